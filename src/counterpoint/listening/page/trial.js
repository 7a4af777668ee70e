// One page of the test: listen, answer, go on.  Every change is kept in the browser, so a reload loses nothing.

import { button, el, show } from "./dom.js";
import { deck, playsWithSpace } from "./deck.js";
import { preference, ratings, sliders } from "./scales.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

function listenFirst(study, trial) {
  const several = trial.clips.length > 1 ? "every clip" : "the clip";
  const spans = study.clips[trial.clips[0]].span !== null;
  return spans
    ? `Listen first: to the yellow part and one second on either side${trial.clips.length > 1 ? ", in every clip" : ""}. Then you can answer.`
    : `Listen to ${several} once, then you can answer.`;
}

// Resolves with the answer when the listener goes on.
export function runTrial(study, store, trial, number) {
  return new Promise((resolve) => {
    const kept = store.state.draft?.trial === trial.id ? store.state.draft : null;
    const started = performance.now() - 1000 * (kept?.seconds ?? 0);
    const seconds = () => Math.round(performance.now() - started) / 1000;
    const all = trial.reference === null ? trial.clips : [trial.reference, ...trial.clips];
    const letters = trial.clips.map((_, i) => LETTERS[i]);
    const names = study.kind === "rating" ? null : trial.reference === null ? letters : ["Reference", ...letters];
    const hint = el("p", { class: "hint", "aria-live": "polite" });
    const next = button("Next", finish, { class: "next", disabled: true });
    const player = deck(all, study.clips, names, kept?.heard, heard);
    const answer = scale();

    function scale() {
      if (study.kind === "rating") return ratings(study, trial.clips[0], kept?.marks, changed);
      if (study.kind === "ab") return preference(study, trial.clips, kept?.marks, changed);
      return sliders(study, trial.clips, letters, kept?.marks, player.choose, changed);
    }

    function heard(enough) {
      answer?.enable(enough);
      hint.textContent = enough ? "Now answer. You can listen again as often as you like." : listenFirst(study, trial);
      changed();
    }

    function changed() {
      next.disabled = !(player.player.enough() && answer.complete());
      keep();
    }

    function keep() {
      store.state.draft = { trial: trial.id, marks: answer.marks(), heard: player.player.records(), seconds: seconds() };
      store.save();
    }

    function keydown(event) {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (playsWithSpace(event, player.player)) return;
      if (event.key === "Enter" && !next.disabled && event.target.tagName !== "BUTTON") finish();
      else if (answer.press(event.key)) event.preventDefault();
    }

    function finish() {
      const records = player.player.records();
      const told = (name) => Object.fromEntries(all.map((clip) => [clip, Math.round(records[clip][name] * 1000) / 1000]));
      const made = { kind: "answer", trial: trial.id, marks: answer.marks(), seconds: seconds(), heard: told("heard"), plays: told("plays") };
      document.removeEventListener("keydown", keydown);
      window.removeEventListener("pagehide", keep);
      clearInterval(timer);
      player.player.close();
      store.state.draft = null;
      resolve(made);
    }

    const timer = setInterval(keep, 1000);
    document.addEventListener("keydown", keydown);
    window.addEventListener("pagehide", keep);
    show(
      el("h1", {}, `${{ rating: "Clip", ab: "Pair", mushra: "Group" }[study.kind]} ${number}`),
      trial.instruction === null ? null : el("p", { class: "instruction" }, trial.instruction),
      trial.caption === null ? null : el("p", { class: "caption" }, "Description: ", el("q", {}, trial.caption)),
      player.node,
      hint,
      answer.node,
      keysHelp(study),
      el("p", { class: "forward" }, next),
    );
    heard(player.player.enough());
  });
}

function keysHelp(study) {
  const key = (name) => el("kbd", {}, name);
  if (study.kind === "rating") return el("p", { class: "keys" }, "Keys: ", key("1"), "…", key("9"), " and ", key("0"), " for 10 answer, ", key("Enter"), " goes on.");
  if (study.kind === "ab") return el("p", { class: "keys" }, "Keys: ", key("A"), " ", key("N"), " ", key("B"), " answer, ", key("Enter"), " goes on.");
  return el("p", { class: "keys" }, "Keys: ", key("Tab"), " goes from slider to slider, ", key("←"), " ", key("→"), " move it.");
}
