"""Does a model do what it is told?  Held-out clips and prompts, judged by librosa and mir_eval.

    python benchmarks/held_out.py --corpus FOLDER [--model jasco-tiny] [--clips 100] [--out results.json]
    python benchmarks/held_out.py --prompts [--model jasco-tiny] [--clips 60] [--out results.json]

With a corpus: its test clips as they are (`real`), through the codec (`codec`), through the codec's tokens (`tokens`),
made by the model from the clip's caption and true score (`plan`) and from the caption alone (`words`).  Every row comes
twice: judged against its own score and against another clip's (`shuffled`), which is what chance gives.
With `--prompts`: sentences that ask for a tempo, a key and a style, through the public API, with a plan (`auto`) and without
(`none`); judged against what the words asked, and against another sentence's words; and with a plan also against the chords,
onsets, drums and melody of the score that was composed for the sentence, and against another sentence's score.

Columns as in corpus_check.py; then against the real rendering: `log_mel` mean difference in dB, `frechet` (relative only, it
cannot see order in time and never decides alone); and of the audio alone: `high` level above 5 kHz in dB, `flatness`,
`dispersion` of the log-mel bands in dB (too low: dull).  Means and 95 % bootstrap intervals over clips.
"""

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

import spectra
from analysers import judge, key, key_score, listen, tempo, tempo_matches
from counterpoint import audio as sound
from counterpoint import generation, sampler
from counterpoint.annotation import from_dict
from counterpoint.config import Config
from counterpoint.data.corpus.styles import MOODS, STYLES
from counterpoint.data.folder import read_folder
from counterpoint.files import write_text
from counterpoint.generation import Model, Take
from counterpoint.music import Key, Score
from counterpoint.types import Canvas
from intervals import summarise, table, write_json

SYSTEMS = ("real", "codec", "tokens", "plan", "words")


@dataclass(frozen=True)
class Held:
    """A clip that the model has never seen: what it is called, its score, its audio (mono)."""

    caption: str
    score: Score
    audio: np.ndarray


@dataclass(frozen=True)
class Judged:
    """What was heard in one clip: against its own score, against another's, and frames of its log-mel spectrogram."""

    own: dict[str, float]
    other: dict[str, float]
    mel: np.ndarray


# Held-out clips -------------------------------------------------------------------------------------------------------


def held_out(folder: Path, split: str, clips: int, rate: int, seconds: float) -> list[Held]:
    """The first clips of a split of a corpus, mono at `rate`.  Raises ValueError where there are none."""
    rows = [row for row in read_folder(folder) if row.split == split and row.seconds <= seconds + 1e-6][:clips]
    if len(rows) < 2:
        raise ValueError(f"{folder} has {len(rows)} {split} clips of at most {seconds:g} s; compose a larger corpus.")
    held = []
    for i, row in enumerate(rows):
        score = from_dict(json.loads(Path(row.values["annotation"]).read_text(encoding="utf-8")))
        samples, own_rate = sound.read(row.path)
        samples = sound.resample(sound.mix(samples, 1), own_rate, rate)
        held.append(Held(row.captions[i % len(row.captions)], score, samples[0].numpy()))
    return held


@torch.inference_mode()
def play(model: Model, held: Sequence[Held], name: str, batch: int, seed: int, sampling: Config) -> list[np.ndarray]:
    """What one system makes of each clip, in the order of the clips."""
    if name == "real":
        return [clip.audio for clip in held]
    made: list[np.ndarray] = []
    for start in range(0, len(held), batch):
        part = held[start : start + batch]
        samples = [len(clip.audio) for clip in part]
        audio = torch.zeros(len(part), 1, max(samples))
        for i, clip in enumerate(part):
            audio[i, 0, : samples[i]] = torch.from_numpy(clip.audio)
        frames = frames_of(model, part, audio.to(model.device), name, range(seed + start, seed + start + len(part)), sampling)
        decoded = model.codec.decode(frames).float().cpu()
        made += [sound.normalise(decoded[i, :, :n], model.codec.sample_rate)[0].numpy() for i, n in enumerate(samples)]
    return made


def frames_of(
    model: Model, part: Sequence[Held], audio: torch.Tensor, name: str, seeds: Sequence[int], sampling: Config
) -> torch.Tensor:
    """The frames "b t d" of one batch: encoded, quantised or generated."""
    codec = model.codec
    if name in ("codec", "tokens"):
        frames = codec.encode(audio)
        return frames if name == "codec" else codec.from_tokens(codec.to_tokens(frames))
    view = model.system.view
    blank = Canvas.blank(len(part), codec.num_frames(audio.shape[-1]), model.system.spec, view)
    canvas = Canvas(blank.frames.to(model.device), blank.given.to(model.device))
    values: dict = {"text": [clip.caption for clip in part]}
    if name == "plan":
        values["score"] = [clip.score for clip in part]
    made = model.system.generate(canvas, values, list(seeds), sampling)
    return codec.as_frames(made, view)


def judge_clip(made: np.ndarray, real: np.ndarray, rate: int, own: Score, other: Score) -> Judged:
    """All figures of one clip."""
    heard = listen(made, rate)
    alone = {
        "high": spectra.high_band_ratio(made, rate),
        "flatness": spectra.spectral_flatness(made),
        "dispersion": spectra.dispersion(spectra.log_mel(made, rate)),
    }
    own_figures = {**judge(own, heard), "log_mel": spectra.log_mel_db(made, real, rate), **alone}
    return Judged(own_figures, judge(other, heard), spectra.log_mel(made, rate)[:, ::6])


def stated(args: argparse.Namespace) -> dict[str, float]:
    """What the command line states of the sampling, but for guidance."""
    names = ("steps", "temperature", "top_k", "top_p")
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def sampling_of(model: Model, args: argparse.Namespace, planned: bool) -> Config:
    """The checkpoint's own sampling with a plan or without, but for what the command line states."""
    guidance = None if args.guidance is None else {"all": args.guidance}
    told = {name: value for name, value in {**stated(args), "guidance": guidance}.items() if value is not None}
    return sampler.usual(model.checkpoint.config, planned).model_copy(update=told)


def on_clips(model: Model, args: argparse.Namespace) -> dict:
    """Summaries of every system on the held-out clips."""
    window = model.checkpoint.config.window_seconds
    rate = model.codec.sample_rate
    held = held_out(args.corpus, args.split, args.clips, rate, window)
    scores = [clip.score for clip in held]
    others = scores[1:] + scores[:1]
    reals = [clip.audio for clip in held]
    rows: dict[str, dict[str, dict[str, float]]] = {}
    reference = [spectra.log_mel(real, rate)[:, ::6] for real in reals]
    with ProcessPoolExecutor(args.workers) as pool:
        for name in args.systems:
            started = perf_counter()
            made = play(model, held, name, args.batch, args.seed, sampling_of(model, args, name == "plan"))
            seconds = perf_counter() - started
            judged = list(pool.map(judge_clip, made, reals, [rate] * len(held), scores, others, chunksize=4))
            mels = [clip.mel for clip in judged]
            rows[name] = summarise([clip.own for clip in judged])
            distance = spectra.frechet_log_mel(mels, reference)
            rows[name]["frechet"] = {"mean": distance, "low": distance, "high": distance, "n": len(mels)}
            rows[f"{name}, shuffled"] = summarise([clip.other for clip in judged])
            print(
                f"{name}: {len(made)} clips made in {seconds:.0f} s, judged in {perf_counter() - started - seconds:.0f} s",
                flush=True,
            )
    return {"clips": len(held), "rows": rows}


# Prompts --------------------------------------------------------------------------------------------------------------

SENTENCES = (
    "a {mood} {style} in {key} at {bpm} bpm",
    "{style} track, {mood}, {bpm} BPM, key of {key}",
    "please play something {mood}: {style} at a tempo of {bpm} bpm, in {key}",
    "{key} {style}, {bpm} bpm, {mood} mood",
)


@dataclass(frozen=True)
class Asked:
    """A sentence and what it asks for."""

    text: str
    bpm: float
    key: Key


def prompts(count: int, seed: int) -> list[Asked]:
    """Sentences with tempi from the style's range and keys at random."""
    gen = np.random.default_rng(seed)
    asked = []
    for i in range(count):
        style = list(STYLES.values())[i % len(STYLES)]
        low, high = style.tempo
        bpm = int(gen.integers(low, high + 1))
        wanted = Key(int(gen.integers(12)), ("major", "minor")[int(gen.integers(2))])
        mood = list(MOODS)[int(gen.integers(len(MOODS)))]
        text = SENTENCES[int(gen.integers(len(SENTENCES)))].format(mood=mood, style=style.name, key=wanted.name, bpm=bpm)
        asked.append(Asked(text, bpm, wanted))
    return asked


def follows(made: np.ndarray, rate: int, own: Asked, other: Asked) -> tuple[dict[str, float], dict[str, float]]:
    """Whether tempo and key are those of its own sentence, and of another."""
    heard = listen(made, rate)
    beat, tonality = tempo(heard)[0], key(heard)

    def figures(asked: Asked) -> dict[str, float]:
        return {
            "tempo": float(tempo_matches(beat, asked.bpm, octave=False)),
            "octave": float(tempo_matches(beat, asked.bpm)),
            "key": key_score(tonality, asked.key),
            "tonic": float(tonality.tonic == asked.key.tonic),
        }

    return figures(own), figures(other)


PLANNED = ("root", "majmin", "onsets", "drums", "melody")


def add_plan(pool: ProcessPoolExecutor, pairs: list, takes: list[Take], rate: int) -> None:
    """Chords, onsets and notes against the score that the composer planned for the sentence, and for another sentence."""
    scores = [take.score for take in takes]
    made = [take.audio.mean(0).numpy() for take in takes]
    for side, shift in ((0, 0), (1, 7)):
        judged = pool.map(judge_sound, scores[shift:] + scores[:shift], made, [rate] * len(made), chunksize=4)
        for pair, figures in zip(pairs, judged, strict=True):
            pair[side].update({name: figures[name] for name in PLANNED})


def judge_sound(score: Score, made: np.ndarray, rate: int) -> dict[str, float]:
    """All figures of a sound against a score."""
    return judge(score, listen(made, rate))


def on_prompts(model: Model, args: argparse.Namespace) -> dict:
    """Summaries of what the public API makes of sentences, with and without a plan."""
    asked = prompts(args.clips, args.seed + 60_000)
    others = asked[7:] + asked[:7]
    rows: dict[str, dict[str, dict[str, float]]] = {}
    with ProcessPoolExecutor(args.workers) as pool:
        for plan in ("auto", "none"):
            started = perf_counter()
            takes = [
                model.generate(one.text, 10.0, args.seed + i, plan, guidance=args.guidance, **stated(args))
                for i, one in enumerate(asked)
            ]
            made = [take.audio.mean(0).numpy() for take in takes]
            pairs = list(pool.map(follows, made, [model.codec.sample_rate] * len(made), asked, others, chunksize=4))
            if plan == "auto":
                add_plan(pool, pairs, takes, model.codec.sample_rate)
            rows[plan] = summarise([own for own, _ in pairs])
            rows[f"{plan}, shuffled"] = summarise([other for _, other in pairs])
            print(f"{plan}: {len(made)} clips in {perf_counter() - started:.0f} s", flush=True)
    return {"clips": len(asked), "prompts": [one.text for one in asked], "rows": rows}


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="jasco-tiny", help="shipped name or folder")
    parser.add_argument("--corpus", type=Path, help="a corpus folder whose test clips the model has not seen")
    parser.add_argument("--split", default="test", choices=("valid", "test"), help="settings are chosen on valid, told on test")
    parser.add_argument("--prompts", action="store_true")
    parser.add_argument("--clips", type=int)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-k", type=int)
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="results as JSON")
    parser.add_argument("--markdown", type=Path, help="the table as markdown")
    args = parser.parse_args()
    if not args.prompts and args.corpus is None:
        parser.error("give --corpus FOLDER, or --prompts")
    args.clips = args.clips or (60 if args.prompts else 100)

    model = generation.load(args.model, args.device)
    results = on_prompts(model, args) if args.prompts else on_clips(model, args)
    name, version = model.checkpoint.name, model.checkpoint.version
    own = {name: sampling_of(model, args, name == "plan").model_dump() for name in ("plan", "words")}
    settings = {"seed": args.seed, "sampling": own}
    text = table(results["rows"], f"{name} {version}, n={results['clips']}")
    print(text)
    if args.out:
        write_json(args.out, {"model": name, "version": version, **settings, **results})
    if args.markdown:
        write_text(args.markdown, text + "\n")


if __name__ == "__main__":
    main()
