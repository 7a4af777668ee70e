// A player on the page: waveform, play button, clock, and for several clips the buttons to switch between them.

import { button, clock, el } from "./dom.js";
import { Player } from "./player.js";
import { draw, loadPeaks, waveform } from "./wave.js";

// `names` are what the clips are called on their buttons, or null for a single clip; `onHeard` is told of every change.
export function deck(ids, clips, names, before, onHeard) {
  let peaks = { low: [0], high: [0] };
  let ready = null;
  const canvas = waveform(() => player);
  const play = button("Play", () => player.toggle(), { class: "play", "aria-keyshortcuts": "Space" });
  const time = el("span", { class: "clock" });
  const choices = names === null ? [] : ids.map((id, i) => button(names[i], () => choose(id), { class: "choice" }));
  const keys = el("span", { class: "keys" }, el("kbd", {}, "Space"), " plays and pauses, a click in the picture moves");
  const trouble = el("p", { class: "instruction", role: "alert", hidden: true }, "The sound cannot be loaded at the moment; it is tried again. Your answers are kept.");
  const node = el(
    "section",
    { class: "deck", "aria-label": "Player" },
    names === null ? null : el("div", { class: "choices", role: "group", "aria-label": "Clips" }, ...choices),
    canvas,
    el("div", { class: "controls" }, play, time, keys),
    trouble,
  );

  function paint() {
    play.textContent = player.playing ? "Pause" : "Play";
    time.textContent = `${clock(player.time)} / ${clock(player.track.clip.seconds)}`;
    choices.forEach((choice, i) => {
      choice.setAttribute("aria-pressed", String(ids[i] === player.track.id));
      choice.classList.toggle("heard", player.tracks.get(ids[i]).enough());
    });
    if (canvas.isConnected) draw(canvas, player, peaks);
    trouble.hidden = !player.failed;
    node.setAttribute("aria-busy", String(player.track.audio.readyState < HTMLMediaElement.HAVE_CURRENT_DATA));
    const enough = player.enough();
    if (enough !== ready) onHeard((ready = enough));
  }

  async function picture() {
    const id = player.track.id;
    const loaded = await loadPeaks(id).catch(() => null);
    if (loaded === null) setTimeout(picture, 2000);
    else if (id === player.track.id) peaks = loaded;
  }

  function choose(id, playing = true) {
    player.select(id, playing);
    picture();
  }

  const player = new Player(ids, clips, before, paint);
  picture();
  return { node, player, choose };
}

// Space plays wherever it does not press a button or move a slider.
export function playsWithSpace(event, player) {
  if (event.key !== " " || event.ctrlKey || event.altKey || event.metaKey) return false;
  if (event.target.closest?.("button, a, input[type=checkbox], input[type=text], textarea")) return false;
  event.preventDefault();
  if (!event.repeat) player.toggle();
  return true;
}
