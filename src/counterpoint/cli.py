"""The command line.  torch is imported inside commands only, so that `counterpoint --help` answers at once.

Whatever goes wrong for a reason that a user can mend is one sentence on stderr and exit code 2; COUNTERPOINT_DEBUG=1 shows
the traceback as well.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

try:
    from cyclopts import App, CycloptsError, Parameter
except KeyboardInterrupt:  # this takes a while, too
    sys.stderr.write("stopped; nothing was written\n")
    raise SystemExit(130) from None

import counterpoint
from counterpoint import destination
from counterpoint.commands import adherence, editing, telling
from counterpoint.commands import working as modes
from counterpoint.commands.adherence import Adherence
from counterpoint.commands.analyse import analyse
from counterpoint.commands.bench import bench
from counterpoint.commands.evaluate import evaluate
from counterpoint.commands.export import export
from counterpoint.commands.going_on import go_on
from counterpoint.commands.holding import Holding
from counterpoint.commands.inpaint import inpaint
from counterpoint.commands.listen import listen_app
from counterpoint.commands.plan import PLANNER, plan
from counterpoint.commands.regenerate import regenerate
from counterpoint.commands.retake import retake
from counterpoint.commands.sampling import Sampler
from counterpoint.commands.study import study
from counterpoint.commands.terminal import progress, say
from counterpoint.commands.working import Working
from counterpoint.ending import NOTHING, Stopped, answering, complaint, interruptible

if TYPE_CHECKING:
    from counterpoint.request import Request

app = App(
    name="counterpoint",
    help="Type a sentence, hear music: text-to-music models that are trained here.",
    version=counterpoint.__version__,
    version_flags=["--version"],
    help_format="plaintext",  # the richer formats take 0.1 s to import
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `run` says what is left behind
)
Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Format = Literal["wav", "flac", "mp3", "ogg"]  # those of audio.FORMATS


@app.command
def generate(
    prompt: str | None = None,
    /,
    *,
    seconds: float | None = None,
    seed: int = 0,
    count: int = 1,
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    format: Format | None = None,
    plan: str = "auto",
    plan_seed: int | None = None,
    planner: Annotated[str, Parameter(help=PLANNER)] = "rules",
    model: str | None = None,
    compare: str | None = None,
    holding: Annotated[Holding | None, Parameter(name="*")] = None,
    heard: Annotated[Adherence | None, Parameter(name="*")] = None,
    sampling: Annotated[Sampler | None, Parameter(name="*")] = None,
    working: Annotated[Working | None, Parameter(name="*")] = None,
    device: Annotated[str, Parameter(help="Where to compute: cpu, cuda or mps.")] = "cpu",
) -> None:
    """Make music from a sentence.

    Parameters
    ----------
    prompt
        The music in words, in quotes: "a bossa nova with flute and nylon guitar, 120 bpm".  With --prompts, none.
    seconds
        Length; 10, or that of a MIDI plan.  Where both are given, this rules: the plan is cut, or silence follows it.
    seed
        The same request and seed give the same music; another seed, another piece.
    count
        How many pieces, with the seeds SEED, SEED + 1, ...
    output
        The file to write, or a folder/.  A file that is named is replaced, a name that is made up never meets another file.
    format
        Format of the file where --output does not say it; wav by default.
    plan
        auto: a score is composed from the words; none: the words alone; or a .mid file or .txt chord chart to play.
    plan_seed
        The seed of what is composed, where it is not that of the music: several takes of one plan.
    model
        A shipped model, a folder that training has written, or a Hub id (owner/name); jasco-tiny by default.
    compare
        Several models with commas between: the same plan and seed of each, and a picture of all; --output is a folder.
    """
    from counterpoint import request

    way, wanted = working or {}, heard or {}
    piece = {"text": modes.text(prompt, way), "seconds": seconds, "seed": seed, "count": count}
    planned = {"plan": plan, "plan_seed": plan_seed, "planner": planner}
    asked = request.read({**piece, **planned, **(holding or {}), **(sampling or {})})
    adherence.check(wanted, compared=compare is not None)
    modes.check(way, {"report": "report" in wanted, "best-of": "best_of" in wanted}, compare, count, format)
    if way.get("stream") or "prompts" in way:
        return modes.make(asked, model or "jasco-tiny", output, format, device, way)
    if compare is not None:
        return _compare(_comparable(compare, model, count, plan_seed), asked, output, format, device)
    _make(asked, wanted, model or "jasco-tiny", output, format, device, way)


def _make(
    asked: "Request",
    wanted: Adherence,
    model: str,
    output: str | None,
    format: Format | None,
    device: str,
    way: Working,
) -> None:
    started = perf_counter()
    beside = telling.REPORT if wanted.get("report") else ""
    seeds = adherence.first_seeds(asked, wanted)
    targets = [destination.audio_file(asked.text, output, format, first, asked.count, beside) for first in seeds]
    editing.spared(targets, list(asked.files().values()))
    loaded = modes.load(model, device, way)  # torch, only now that the request stands
    written = 0
    with (
        interruptible(lambda: f"{written} of {asked.count} pieces are written" if written else NOTHING),
        progress("generating") as bar,
    ):
        for (take, judged), target in zip(adherence.takes(loaded, asked, wanted, bar), targets, strict=True):
            telling.tell(take, take.save(target), perf_counter() - started)
            if judged is not None:
                adherence.tell(take, judged, target, bool(beside))
            started = perf_counter()
            written += 1


def _comparable(compare: str, model: str | None, count: int, plan_seed: int | None) -> list[str]:
    if model is not None:
        raise ValueError(f"--compare names all the models; put {model} there, and leave --model out.")
    if count != 1:
        raise ValueError(f"A comparison is one piece by each model, not {count}; leave --count out, or --compare.")
    if plan_seed is not None:
        raise ValueError("A comparison has one seed for plan and music; leave --plan-seed out, or --compare.")
    return compare.split(",")


def _compare(models: list[str], asked: "Request", output: str | None, format: Format | None, device: str) -> None:
    models = [model.strip() for model in models]
    names = destination.model_names(models)
    free = destination.comparison_files(asked.text, output, format, asked.seed, names)
    from counterpoint.comparison import compare

    def left() -> str:
        written = sum(path.exists() for path in free)
        return f"{written} of {len(free)} files are written" if written else NOTHING

    with interruptible(left):
        with progress("generating") as bar:
            order = (asked.text, asked.seconds, asked.seed, asked.plan)
            made = compare(models, *order, device=device, progress=bar, planner=asked.planner, **asked.wishes())
            targets = made.save(output, format)
        for entry, target in zip(made.entries, targets[:-1], strict=True):
            telling.tell(entry.take, target, entry.elapsed)
            say(f"  sampling: {entry.sampled}")
            for reason in entry.refused:
                say(f"  not taken: {reason}")
        say(f"{targets[-1]}: a picture of them")


@app.command
def compose(
    out: Path,
    /,
    *,
    hours: float = 1.0,
    seed: int = 0,
    workers: int = 1,
    renderer: Literal["builtin", "soundfont"] = "builtin",
    soundfont: Path | None = None,
    seconds: float = 10.0,
    channels: int = 1,
    sample_rate: int = 32000,
) -> None:
    """Compose a corpus to train on: audio, scores, beats, chords and captions, all known exactly.

    Parameters
    ----------
    out
        The folder to write.
    hours
        How much music.
    seed
        The same seed gives the same bytes, whatever the number of workers.
    workers
        Processes.
    renderer
        builtin needs nothing more; soundfont needs FluidSynth and pyfluidsynth (the extra "soundfont").
    soundfont
        The .sf2 file of the soundfont renderer.
    seconds
        Length of a clip.
    channels
        1 or 2.
    sample_rate
        In Hz.
    """
    from counterpoint.data.corpus.corpus import compose_corpus

    with interruptible(lambda: f"what is whole in {out} stays; the same command goes on"), progress("composing", True) as bar:
        compose_corpus(
            out,
            hours=hours,
            seed=seed,
            workers=workers,
            renderer=renderer,
            soundfont=soundfont,
            seconds=seconds,
            channels=channels,
            sample_rate=sample_rate,
            progress=bar,
        )
    say(f"{out}: {hours:g} hours of music (seed {seed})")


@app.command
def encode(
    corpus: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    codec: str = "spectral-tiny",
    workers: Annotated[int, Parameter(help="Processes.")] = 1,
    clip_seconds: Annotated[float, Parameter(help="Songs are cut into clips of about this length.")] = 10.0,
    clipped: Annotated[float, Parameter(help="Files with more of their samples at full scale are skipped.")] = 0.02,
    controls: Annotated[bool, Parameter(help="Label chords, tune, drums, tempo and key, too.", negative="")] = False,
    drum_order: Annotated[
        Literal["blur-quantise", "quantise-blur"], Parameter(help="The paper's, or JASCO's.")
    ] = "blur-quantise",
    drum_blur: Annotated[int, Parameter(help="Frames over which the drums' lane is blurred.")] = 5,
) -> None:
    """Turn music into a codec's frames and painted scores, once for many trainings.

    Parameters
    ----------
    corpus
        A folder of audio with a .txt or .json beside each file, a Hugging Face AudioFolder, or an audiocraft data.jsonl.
    output
        The folder to write; its skipped.csv names the files that cannot be used, with the reason.
    codec
        A shipped codec, a folder, or a Hub id.
    """
    from counterpoint import encoding
    from counterpoint.conditioners.drums import DrumsConfig
    from counterpoint.conditioners.score import paint
    from counterpoint.config import parse
    from counterpoint.data.report import summary
    from counterpoint.hub.checkpoint import load_codec
    from counterpoint.labelling import check_labels, label

    encoding.check_workers(workers)  # before the files are opened, which may take minutes
    how = parse(DrumsConfig, {"order": drum_order, "blur": drum_blur}, "drums")
    if how != DrumsConfig() and not controls:
        raise ValueError("--drum-order and --drum-blur say how drums are labelled; ask for --controls, too, or leave them out.")
    coder = load_codec(codec)
    if controls:
        check_labels(coder, output, how)
    with interruptible(lambda: f"what is done stays beside {output}; the same command goes on"):
        with progress("opening files", True) as bar:
            found = encoding.take_stock(corpus, output, clip_seconds, bar)
        with progress("encoding", True) as bar:
            encoding.encode(found, coder, output, paint, workers, progress=bar, clipped=clipped)
        if controls:
            with progress("labelling", True) as bar:
                label(found, coder, output, how, workers, bar)
    say("\n  ".join([f"{output}: the frames of {corpus} under {codec}", *summary(output), *found.strangers()]))


@app.command(usage="Usage: counterpoint train [OPTIONS] RECIPE [CHANGES...]")
def train(recipe: Path, /, *changes: str, output: Output = None, device: str = "auto") -> None:
    """Train what a recipe describes; the same command goes on where a run has stopped.

    Parameters
    ----------
    recipe
        A TOML file, such as recipes/jasco-tiny.toml.
    changes
        Settings to change, written as train.steps=2000.
    output
        The folder of the run; by default runs/ and the recipe's name.
    device
        Where to compute: auto, cpu or cuda.
    """
    from rich.console import Console

    from counterpoint.recipe.run import run_recipe

    target = output or Path("runs") / recipe.stem

    def left() -> str:
        saved = (target / "train" / "state.pt").is_file()
        where, then = (f"the last saved state is in {target}", "goes on") if saved else ("no step is saved yet", "begins anew")
        return f"{where}; the same command {then}"

    with interruptible(left):
        outcome = run_recipe(recipe, changes, target, device, Console(stderr=True))
    if not outcome.done:
        raise Stopped(f"stopped after step {outcome.step}; {left()}")
    say(f"{target}: trained for {outcome.step} steps, {outcome.minutes:.1f} minutes")


@app.command
def info(model: str | None = None, /) -> None:
    """Show what a model is: what it can do, its settings, its parts and their parameters, and the shape at every stage.

    Parameters
    ----------
    model
        A shipped model, a folder, or a Hub id; without one, what each of the shipped models can do, side by side.
    """
    from counterpoint.hub import anatomy, capabilities

    say(capabilities.overview() if model is None else anatomy.describe(model))


app.command(plan)
app.command(go_on, name="continue")
app.command(inpaint)
app.command(retake)
app.command(regenerate)
app.command(evaluate)
app.command(analyse)
app.command(bench)
app.command(listen_app)
app.command(export)
app.command(study)


def run(argv: Sequence[str] | None = None) -> int:
    """One command line; the exit code: 0, 2 for what the user can mend, 128 and the signal's number for what was stopped:
    130 for Ctrl-C, 143 for SIGTERM."""
    try:
        app(argv, exit_on_error=False, print_error=False)
        return 0
    except Stopped as stop:
        sys.stderr.write(f"{stop}\n")
        return 128 + stop.number
    except KeyboardInterrupt:
        sys.stderr.write(f"stopped; {NOTHING}\n")
        return 130
    except (CycloptsError, ValueError, OSError) as error:
        if os.environ.get("COUNTERPOINT_DEBUG") == "1":
            raise
        sys.stderr.write(f"counterpoint: {complaint(error)}\n")
        return 2


def main() -> NoReturn:
    """The console script."""
    with answering():
        code = run()
    sys.exit(code)
