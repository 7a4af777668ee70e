// What comes before the test: consent, volume, headphones, the task explained.  Each page resolves when it is done.

import { button, el, show } from "./dom.js";
import { deck, playsWithSpace } from "./deck.js";

export function consent(study) {
  return new Promise((resolve) => {
    const start = button("Begin", () => resolve(), { class: "next", disabled: true });
    const box = el("input", { type: "checkbox", id: "agree", onchange: () => (start.disabled = !box.checked) });
    show(
      el("h1", {}, "Welcome"),
      ...study.consent.map((paragraph) => el("p", {}, paragraph)),
      el("p", { class: "agree" }, box, el("label", { for: "agree" }, "I have read this and take part of my own free will.")),
      el("p", { class: "forward" }, start),
    );
  });
}

export function volume(study) {
  return new Promise((resolve) => {
    const noise = new Audio(`audio/${study.noise}.wav`);
    noise.loop = true;
    const play = button("Play the noise", toggle, { class: "play" });
    const next = button("It is comfortable, go on", done, { class: "next", disabled: true });

    async function toggle() {
      if (!noise.paused) {
        noise.pause();
      } else {
        await noise.play().catch(() => {});
        next.disabled = false;
      }
      play.textContent = noise.paused ? "Play the noise" : "Stop the noise";
    }

    function done() {
      noise.pause();
      noise.removeAttribute("src");
      resolve();
    }

    show(
      el("h1", {}, "Volume"),
      el("p", {}, "Put your headphones on and turn the volume of your device low. Play the noise, then turn the volume up until it is as loud as you like to hear music."),
      el("p", {}, "All clips of this test are as loud as this noise. Please leave the volume as it is from now on."),
      el("p", {}, play),
      el("p", { class: "forward" }, next),
    );
  });
}

export async function headphones(study, store) {
  for (let i = store.state.choices.length; i < study.headphones.length; i++) {
    store.state.choices.push(await quietest(study.headphones[i], i + 1, study.headphones.length));
    store.save();
  }
  store.add({ kind: "headphones", choices: store.state.choices });
}

function quietest(id, number, count) {
  return new Promise((resolve) => {
    const audio = new Audio(`audio/${id}.wav`);
    const play = button("Play the three tones", () => audio.play().catch(() => {}), { class: "play" });
    const choices = ["The first", "The second", "The third"].map((name, place) =>
      button(name, () => done(place), { class: "choice", disabled: true }));
    audio.addEventListener("ended", () => choices.forEach((choice) => (choice.disabled = false)));

    function done(place) {
      audio.removeAttribute("src");
      resolve(place);
    }

    show(
      el("h1", {}, `Headphones, ${number} of ${count}`),
      el("p", {}, "You will hear three tones. Which one is the quietest?"),
      el("p", {}, play),
      el("div", { class: "choices", role: "group", "aria-label": "The quietest tone" }, ...choices),
    );
  });
}

export function examples(study) {
  return new Promise((resolve) => {
    const players = study.examples.map((example) => deck([example.clip], study.clips, null, null, () => {}));
    let last = players[0];
    players.forEach((one) => one.node.addEventListener("click", () => use(one)));

    function use(one) {
      if (last !== one) last.player.pause();
      last = one;
    }

    function keydown(event) {
      playsWithSpace(event, last.player);
    }

    function done() {
      document.removeEventListener("keydown", keydown);
      players.forEach((one) => one.player.close());
      resolve();
    }

    document.addEventListener("keydown", keydown);
    show(
      el("h1", {}, "Your task"),
      el("p", {}, study.task),
      el("ul", {}, ...study.questions.map((question) => el("li", {}, el("strong", {}, question.title), `: ${question.text}`))),
      ...study.examples.flatMap((example, i) => [el("h2", {}, example.title), el("p", {}, example.text), players[i].node]),
      el("p", { class: "forward" }, button("Start the test", done, { class: "next" })),
    );
  });
}
