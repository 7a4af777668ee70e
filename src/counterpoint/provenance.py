"""A take's record is enough to make it again: to the bit, as another take, or as a variation.

provenance.regenerate("take.wav")                       # the same bytes, or a sentence on what is missing
provenance.retake(model, "take.wav", seed=8)            # all as it was, but the seed
provenance.retake(model, "take.wav", strength=0.4)      # its audio varied, its structure kept
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import counterpoint
from counterpoint import generation, parallel, request
from counterpoint.controls.given import digest
from counterpoint.generation import Model
from counterpoint.hub import checkpoint
from counterpoint.request import Request
from counterpoint.source import NO_FILE, Source, read_record, read_source, score_of
from counterpoint.takes import Take
from counterpoint.types import Progress


def record_of(given: str | Path | Take) -> dict[str, Any]:
    """How a take was made, from a file's tags or from the take.  Raises ValueError where nothing tells."""
    record = dict(given.record) if isinstance(given, Take) else read_record(given)
    if not record:
        raise ValueError(f"{given} holds no record of how it was made; give a take as it was saved, not converted or cut.")
    return record


def load(record: Mapping[str, Any], model: str | None = None, device: str = "cpu") -> Model:
    """The model of a record, or another that is named.  Raises ValueError where it is not here."""
    name = model or record["model"]
    try:
        checkpoint.locate(name, download=model is not None)
    except ValueError as error:
        raise ValueError(f"It was made by {name}, which is not here; give its folder with --model. ({error})") from error
    made_on = record.get("made_on", {})
    return generation.load(name, device, made_on.get("dtype", "fp32"), made_on.get("compiled", False))


def asked(record: Mapping[str, Any], model: Model, given: str | Path | Take, source: str | Path | None = None) -> Request:
    """What was asked for when a take was made; settings are those of the record where the model is the same.

    `source` is where the given audio is now, if it is not where it was, nor beside the take.  Raises ValueError for what is
    missing, all of it in one sentence.
    """
    controls, missing = _controls(record, given)
    score = score_of(record)
    if score is None and record.get("plan", "none") != "none":
        missing.append("its tags do not hold the plan")
    found = None
    if "source" in record:
        found, complaint = _found(record["source"], given, source)
        missing += [complaint] if complaint else []
    if missing:
        raise ValueError(f"{_name(given)} cannot be made again: {'; '.join(missing)}.")
    content: dict[str, Any] = {"text": record["prompt"], "seed": record["seed"], "score": score}
    content |= {} if score is not None else {"plan": "none"}
    content |= {name: record[name] for name in ("before", "after", "spans", "strength", "method", "tries") if name in record}
    content |= {"source": found} if found is not None else {"seconds": record["seconds"]}
    return request.read(content | controls | _settings(record, model))


def _settings(record: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """The sampler's settings, where the model is the same."""
    own = model.checkpoint.config.sampling.model_dump(mode="json")
    same = record["weights"] == model.checkpoint.version
    depends = {"guidance"} if own["guidance_alone"] is not None else set()  # its own is another without a score
    return {name: value for name, value in record["sampling"].items() if same and (name in depends or value != own.get(name))}


def regenerate(
    path: str | Path,
    model: str | None = None,
    source: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Take:
    """The take that a file's tags tell of, made again to the bit.

    Raises ValueError that says what is missing: the record, the model or its weights, files, or what else is not as it was.
    """
    record = record_of(path)
    if record.get("streamed"):
        raise ValueError(
            f"{path} was streamed, which is not mastered, so that it cannot be made again to the bit; make its music with "
            f"retake --seed {record['seed']}."
        )
    if "sha256" not in record:
        raise ValueError(f"{path} was made by a version that did not keep what is needed; make another with retake.")
    loaded = load(record, model, device)
    if record["weights"] != loaded.checkpoint.version:
        raise ValueError(
            f"{path} was made with weights {record['weights']} of {record['model']}, and those here are "
            f"{loaded.checkpoint.version}; give the folder of the former with --model."
        )
    threads = record.get("made_on", {}).get("threads")
    with parallel.threads_of_torch(threads if isinstance(threads, int) and threads > 0 else torch.get_num_threads()):
        take = next(loaded.takes(asked(record, loaded, path, source), progress))
    if take.record["sha256"] != record["sha256"]:
        raise ValueError(f"{path} came out otherwise than it was: {_differences(record, take)}.")
    return take


def retake(
    model: Model,
    given: str | Path | Take,
    seed: int | None = None,
    text: str | None = None,
    strength: float | None = None,
    *,
    source: str | Path | None = None,
    progress: Progress | None = None,
) -> Take:
    """Another take of the same request: by default with the next seed.  With a `strength`, the take's audio is varied instead.

    Raises ValueError where the record, or what it names, is missing; a variation of any other audio needs a `text`.
    """
    return next(model.takes(another(model, given, seed, text, strength, source=source), progress))


def another(
    model: Model,
    given: str | Path | Take,
    seed: int | None = None,
    text: str | None = None,
    strength: float | None = None,
    count: int = 1,
    source: str | Path | None = None,
) -> Request:
    """The request of `retake`."""
    if strength is None:
        record = record_of(given)
        first = asked(record, model, given, source)
        changed = {"seed": record["seed"] + 1 if seed is None else seed, "count": count, "text": text or first.text}
        return request.read({**_content(first), **changed})
    audio = given.as_source() if isinstance(given, Take) else read_source(given)
    record = dict(audio.record)
    if text is None and not record:
        raise ValueError(f"{audio.name} does not tell how it was made; describe its music in words, too.")
    controls, wrong = _controls(record, given)
    if wrong:
        raise ValueError(f"{audio.name} cannot be varied under what it held on to: {'; '.join(wrong)}.")
    content: dict[str, Any] = controls | (_settings(record, model) if record else {})
    content |= {"text": text or record["prompt"], "source": audio, "strength": strength, "count": count}
    content |= {"seed": (record["seed"] + 1 if record else 0) if seed is None else seed}
    if record.get("plan") == "none":
        content["plan"] = "none"
    elif controls:  # which its plan has: so a model that knows them is told them once more
        content["score"] = audio.score
    content.pop("method", None)  # which filled gaps, and here is none
    return request.read(content)


def _content(first: Request) -> dict[str, Any]:
    """A request as what it is read from."""
    return {name: getattr(first, name) for name in first.model_fields_set}


def _controls(record: Mapping[str, Any], given: str | Path | Take) -> tuple[dict[str, Any], list[str]]:
    """The controls of a record, their files where they are now; and what is wrong with those that are not as they were."""
    controls, wrong = dict(record.get("controls", {})), []
    for name, was in record.get("files", {}).items():
        known = places(name, given)
        there = [place for place in known if place.is_file()]
        same = [place for place in there if digest(place) == was]
        if not same:
            wrong.append(f"{name}, which it held on to, is {'changed' if there else 'gone'}; put it back, or beside the take")
        elif same[0] != known[0]:
            controls |= {control: str(same[0]) for control, value in controls.items() if value == name}
    return controls, wrong


def places(name: str, given: str | Path | Take) -> list[Path]:
    """Where a file may be that a take was given: where it was, or beside the take."""
    folder = [] if isinstance(given, Take) else [Path(given).parent]
    return [Path(name.strip()).expanduser(), *(beside / part for beside in folder for part in (name, Path(name).name))]


def _found(told: Mapping[str, Any], given: str | Path | Take, named: str | Path | None) -> tuple[Source | None, str]:
    """The given audio of a record: where it is said to be, where it was, or beside the take; or what is wrong."""
    known = [Path(named)] if named is not None else places(told["file"], given)
    there = [place for place in known if place.is_file()]
    for place in there:
        source = read_source(place)
        if source.digest == told["sha256"]:
            return source, ""
    where = str(known[0])
    if where == NO_FILE:
        return None, "the take that it was given was no file; save that take as wav or flac and give the file with --source"
    if there:
        return None, f"{where}, the audio that it was given, has changed (its samples' SHA-256 is another)"
    return None, f"{where}, the audio that it was given, is gone; say where it is with --source"


def _differences(record: Mapping[str, Any], take: Take) -> str:
    """What may be why."""
    told = [] if record["version"] == counterpoint.__version__ else [f"version {record['version']} made it"]
    now, then = take.record["made_on"], dict(record.get("made_on", {}))
    beside = then.pop("beside", 0)
    told += [f"{name} was {was}, is {now.get(name)}" for name, was in then.items() if now.get(name) != was]
    if beside:
        others = "1 other" if beside == 1 else f"{beside} others"
        told.append(
            f"made beside {others}, it differs from what is made alone in its last bits, and retake --seed {record['seed']} "
            f"makes it but for that rounding"
        )
    return ", ".join(told) or "another kind of processor made it, other libraries, or another commit of this version"


def _name(given: str | Path | Take) -> str:
    return "The take" if isinstance(given, Take) else str(given)
