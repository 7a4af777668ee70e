// Clips that play one at a time, from one common place, and a record of which moments were really heard.

export const CELL = 0.05; // seconds
const AROUND = 1.0; // seconds on either side of a span

export function needed(clip) {
  if (clip.span === null) return [0, clip.seconds];
  return [Math.max(0, clip.span[0] - AROUND), Math.min(clip.seconds, clip.span[1] + AROUND)];
}

class Track {
  constructor(id, clip, before) {
    this.id = id;
    this.clip = clip;
    this.audio = new Audio(`audio/${id}.wav`);
    this.audio.preload = "auto";
    this.cells = new Uint8Array(Math.ceil(clip.seconds / CELL));
    before?.cells.split("").forEach((cell, i) => (this.cells[i] = Number(cell)));
    this.failed = false;
    this.heard = before?.heard ?? 0;
    this.plays = before?.plays ?? 0;
  }

  // Played from one moment to another: a cell counts when its middle was passed.
  mark(from, to) {
    this.heard += to - from;
    for (let i = Math.max(0, Math.ceil(from / CELL - 0.5)); i < this.cells.length && (i + 0.5) * CELL <= to; i++) this.cells[i] = 1;
  }

  // How much of what must be heard has been heard, 0 to 1.
  share() {
    const [start, end] = needed(this.clip);
    const first = Math.floor(start / CELL);
    const last = Math.max(first + 1, Math.min(this.cells.length, Math.floor(end / CELL)));
    return this.cells.subarray(first, last).reduce((sum, cell) => sum + cell, 0) / (last - first);
  }

  enough() {
    return this.share() > 0.999;
  }

  record() {
    return { cells: this.cells.join(""), heard: this.heard, plays: this.plays };
  }
}

export class Player {
  constructor(ids, clips, before, onTick) {
    this.tracks = new Map(ids.map((id) => [id, new Track(id, clips[id], before?.[id])]));
    this.track = this.tracks.get(ids[0]);
    this.onTick = onTick;
    this.moment = null; // while playing: where and when it began to play, and how far it has come
    for (const track of this.tracks.values()) {
      track.audio.addEventListener("seeking", () => track === this.track && this.moment !== null && this.begin(track.audio.currentTime));
      track.audio.addEventListener("timeupdate", () => this.note(track));
      track.audio.addEventListener("ended", () => this.ended(track));
      track.audio.addEventListener("error", () => this.again(track));
      track.audio.addEventListener("loadeddata", () => (track.failed = false));
    }
    const tick = () => {
      if (this.closed) return;
      this.note(this.track);
      this.onTick();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  get time() {
    return this.track.audio.currentTime;
  }

  get playing() {
    return !this.track.audio.paused;
  }

  get failed() {
    return [...this.tracks.values()].some((track) => track.failed);
  }

  // The server may come back.
  again(track) {
    track.failed = true;
    setTimeout(() => this.closed || track.audio.load(), 2000);
  }

  // Plays from here, after a start or a jump.
  begin(time) {
    this.moment = { from: time, clock: performance.now() / 1000, time };
  }

  note(track) {
    if (track === this.track && this.moment !== null && !track.audio.seeking) this.reach(track.audio.currentTime);
  }

  // Sound moves at the pace of the clock, or falls behind where the machine is busy; what is ahead of the clock was not played.
  reach(time) {
    const passed = performance.now() / 1000 - this.moment.clock;
    if (time > this.moment.time && time - this.moment.from <= passed + 0.2) this.track.mark(this.moment.time, time);
    this.moment.time = time;
  }

  ended(track) {
    if (track !== this.track || this.moment === null) return;
    this.reach(track.clip.seconds);
    this.moment = null;
    this.onTick();
  }

  async play() {
    const audio = this.track.audio;
    if (audio.ended || audio.currentTime >= this.track.clip.seconds - 0.05) audio.currentTime = 0;
    this.track.plays += 1;
    this.begin(audio.currentTime);
    try {
      await audio.play();
    } catch {
      this.moment = null; // paused again at once, or the browser wants a click first
    }
  }

  pause() {
    this.note(this.track);
    this.moment = null;
    this.track.audio.pause();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  seek(time) {
    this.note(this.track);
    const target = Math.min(Math.max(0, time), this.track.clip.seconds - 0.02);
    this.track.audio.currentTime = target;
    if (this.moment !== null) this.begin(target);
    this.onTick();
  }

  // Another clip, at the same place in the music.
  select(id, playing = this.playing) {
    const time = this.time;
    this.pause();
    this.track = this.tracks.get(id);
    this.track.audio.currentTime = time >= this.track.clip.seconds - 0.05 ? 0 : time;
    if (playing) this.play();
    this.onTick();
  }

  enough() {
    return [...this.tracks.values()].every((track) => track.enough());
  }

  records() {
    return Object.fromEntries([...this.tracks].map(([id, track]) => [id, track.record()]));
  }

  close() {
    this.closed = true;
    for (const track of this.tracks.values()) {
      track.audio.pause();
      track.audio.removeAttribute("src");
      track.audio.load();
    }
  }
}
