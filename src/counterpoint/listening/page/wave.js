// A clip as a picture: the waveform, the in-painted span in yellow, what is still to be heard as a grey line that turns green, a red cursor.

import { clock, el } from "./dom.js";
import { needed } from "./player.js";

const HEIGHT = 150; // CSS pixels
const STRIP = 5;
const COLOURS = { wave: "#3b4a6b", span: "rgba(255,220,0,.45)", cursor: "#e00000", heard: "#2f9e6e", strip: "#cfd5df" };

const pictures = new Map();

// The waveform is computed when the test is made: nothing is decoded to be drawn.
export async function loadPeaks(id) {
  if (!pictures.has(id)) {
    const response = await fetch(`peaks/${id}.json`);
    if (!response.ok) throw new Error(`peaks/${id}.json: ${response.status}`);
    pictures.set(id, await response.json());
  }
  return pictures.get(id);
}

export function waveform(player) {
  const canvas = el("canvas", {
    class: "wave",
    role: "slider",
    tabindex: "0",
    "aria-label": "Place in the clip",
    "aria-valuemin": "0",
    onclick: (event) => player().seek((event.offsetX / canvas.clientWidth) * player().track.clip.seconds),
    onkeydown: (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, Home: -Infinity, End: Infinity };
      if (!(event.key in steps)) return;
      event.preventDefault();
      player().seek(player().time + steps[event.key]);
    },
  });
  return canvas;
}

export function draw(canvas, player, peaks) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const [across, down] = [Math.round(width * scale), Math.round(HEIGHT * scale)];
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, HEIGHT);
  const { clip, cells } = player.track;
  drawSpan(pen, clip, width);
  drawPeaks(pen, peaks, width);
  drawHeard(pen, clip, cells, width);
  pen.fillStyle = COLOURS.cursor;
  pen.fillRect(Math.min(width - 2, (player.time / clip.seconds) * width), 0, 2, HEIGHT);
  describe(canvas, player);
}

function drawSpan(pen, clip, width) {
  if (clip.span === null) return;
  const [start, end] = clip.span.map((second) => (second / clip.seconds) * width);
  pen.fillStyle = COLOURS.span;
  pen.fillRect(start, 0, end - start, HEIGHT - STRIP);
}

function drawPeaks(pen, peaks, width) {
  const middle = (HEIGHT - STRIP) / 2;
  const loudest = Math.max(24, ...peaks.high, ...peaks.low.map((low) => -low));
  const unit = (middle - 6) / loudest;
  const columns = peaks.high.length;
  pen.fillStyle = COLOURS.wave;
  for (let x = 0; x < width; x++) {
    const first = Math.floor((x / width) * columns);
    const last = Math.max(first + 1, Math.floor(((x + 1) / width) * columns));
    const high = Math.max(...peaks.high.slice(first, last));
    const low = Math.min(...peaks.low.slice(first, last));
    pen.fillRect(x, middle - high * unit, 1, Math.max(1, (high - low) * unit));
  }
}

// The strip is as long as what must be heard, green as far as it was.
function drawHeard(pen, clip, cells, width) {
  const [start, end] = needed(clip).map((second) => (second / clip.seconds) * width);
  pen.save();
  pen.beginPath();
  pen.rect(start, HEIGHT - STRIP, end - start, STRIP);
  pen.clip();
  pen.fillStyle = COLOURS.strip;
  pen.fillRect(0, HEIGHT - STRIP, width, STRIP);
  pen.fillStyle = COLOURS.heard;
  cells.forEach((cell, i) => {
    if (cell) pen.fillRect((i / cells.length) * width, HEIGHT - STRIP, width / cells.length + 0.5, STRIP);
  });
  pen.restore();
}

function describe(canvas, player) {
  const { clip } = player.track;
  canvas.setAttribute("aria-valuemax", clip.seconds.toFixed(1));
  canvas.setAttribute("aria-valuenow", player.time.toFixed(1));
  const inside = clip.span !== null && player.time >= clip.span[0] && player.time < clip.span[1];
  canvas.setAttribute("aria-valuetext", `${clock(player.time)} of ${clock(clip.seconds)}${inside ? ", yellow part" : ""}`);
}
