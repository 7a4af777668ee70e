"""How `generate` goes about its work: in how many bits, compiled or not, heard while it is made, or for many prompts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from cyclopts import Parameter

from counterpoint import destination
from counterpoint.commands import editing
from counterpoint.commands.terminal import progress, report_unknown, say
from counterpoint.ending import NOTHING, interruptible

if TYPE_CHECKING:
    from counterpoint.generation import Model
    from counterpoint.request import Request


class Working(TypedDict, total=False):
    """The way of working as it is typed."""

    dtype: Annotated[
        Literal["auto", "fp32", "bf16", "int8", "int4"],
        Parameter(help="Of the weights: fewer bits are faster; auto takes the fastest that costs less than 1 %."),
    ]
    compile: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Build the step for this processor: autoregression is several times faster. Of flows, torch compiles the "
            "network, which takes its time and pays for large ones only.",
        ),
    ]
    stream: Annotated[
        bool,
        Parameter(negative=(), help="Write a wav file that can be played while it grows; its loudness is the first second's."),
    ]
    prompts: Annotated[
        Path,
        Parameter(
            help="A file with a prompt on every line, made into --output, a folder; the same command goes on where it stopped."
        ),
    ]


def load(model: str, device: str, working: Working) -> "Model":
    """The model, as fast as is asked for."""
    from counterpoint import generation

    return generation.load(model, device, working.get("dtype", "fp32"), working.get("compile", False))


def text(prompt: str | None, working: Working) -> str:
    """The prompt, or with --prompts something that stands for those of the file.  Raises ValueError where there is none."""
    if "prompts" in working and prompt is not None:
        raise ValueError("--prompts has all prompts in its file; leave the prompt on the command line out.")
    if "prompts" in working:
        return "music"
    if prompt is None:
        raise ValueError('There is no prompt; describe the music, for example "a slow waltz for piano", or give --prompts.')
    return prompt


def check(working: Working, others: dict[str, bool], compared: str | None, count: int, format: str | None) -> None:
    """Raises ValueError for flags that do not go together; `others` are those that look at what came out."""
    speed = [name for name in ("dtype", "compile") if working.get(name)]
    ways = [name for name in ("stream", "prompts") if working.get(name)]
    if len(ways) == 2:
        raise ValueError("--prompts makes many pieces at once, and none can be heard before; leave --stream out.")
    for name in (*ways, *speed) if compared is not None else ():
        raise ValueError(f"--{name} and --compare do not go together; leave one of them out.")
    for other in [name for name, given in others.items() if given] if ways else []:
        raise ValueError(f"--{ways[0]} and --{other} do not go together; leave one of them out.")
    if ways and count != 1:
        raise ValueError(f"--{ways[0]} makes one piece of a prompt, not {count}; leave --count out.")
    if "stream" in ways and format not in (None, "wav"):
        raise ValueError(f"A file that grows is a wav file, not {format}; leave --format out.")


def make(asked: "Request", model: str, output: str | None, format: str | None, device: str, working: Working) -> None:
    """Make what is asked in that way."""
    if "prompts" in working:
        many(asked, working["prompts"], model, output, device, working, format)
    else:
        stream(asked, model, output, device, working)


def stream(asked: "Request", model: str, output: str | None, device: str, working: Working) -> None:
    """Write one piece while it is made."""
    target = destination.audio_file(asked.text, output, "wav" if output is None else None, asked.seed, 1)
    if target.suffix.lower() != ".wav":
        raise ValueError(f"A file that grows is a wav file; let {target} end in .wav, or leave --stream out.")
    editing.spared([target], list(asked.files().values()))
    loaded = load(model, device, working)
    left = {"now": NOTHING}
    with interruptible(lambda: left["now"]), progress("generating") as bar:
        music = loaded.streamed(asked, bar)
        left["now"] = f"{target} holds what was made so far"
        say(f"{target}: grows while it is made")
        music.save(target)
    timings = music.record["timings"]
    seconds = music.record["seconds"]
    say(f"{target}: {seconds:g} s of music in {timings['total']:.1f} s, the first of it after {timings['first']:.1f} s")
    report_unknown(music.record["unknown"])


def many(
    asked: "Request", prompts: Path, model: str, output: str | None, device: str, working: Working, format: str | None
) -> None:
    """Make all prompts of a file."""
    from counterpoint import many as batches
    from counterpoint.hub import checkpoint

    if output is None:
        raise ValueError("--prompts makes many files; name the folder for them with --output.")
    by = {"model": checkpoint.identity(model), "dtype": working.get("dtype", "fp32"), "compiled": working.get("compile", False)}
    wanted = batches.read(prompts, asked, Path(output), format or "wav", by)
    missing = [piece for piece in wanted if not piece.is_there()]
    if missing:
        destination.check_writable(missing[0].path)
        editing.spared([piece.path for piece in missing], [prompts, *asked.files().values()])
        loaded = load(model, device, working)
        with (
            interruptible(lambda: f"what is whole in {output} stays; the same command goes on"),
            progress("generating", True) as bar,
        ):
            for piece in batches.make(loaded, missing, bar):
                say(f"{piece.path}: seed {piece.asked.seed}")
    say(f"{output}: {len(wanted)} pieces, {len(wanted) - len(missing)} of them were there")
