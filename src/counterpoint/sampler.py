"""What a request asks of a model's sampler: what the model can take of it, and why it cannot take the rest."""

from collections.abc import Mapping

from counterpoint.paradigms import guidance
from counterpoint.request import Request
from counterpoint.systems import jasco, musicgen
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig

Sampling = jasco.Sampling | musicgen.Sampling


def settle(name: str, config: JascoConfig | MusicgenConfig, asked: Request) -> Sampling:
    """The model's own sampling with what is asked for.  Raises ValueError for what it cannot take (`refusals`)."""
    for reason in refusals(name, config, asked).values():
        raise ValueError(f"{reason}.")
    return config.sampling.model_copy(update=asked.sampling())


def refusals(name: str, config: JascoConfig | MusicgenConfig, asked: Request) -> dict[str, str]:
    """The settings that the model `name` cannot take, each with the reason: what would be ignored is refused."""
    own, wanted = config.sampling, asked.sampling()
    known = type(own).model_fields
    refused = {setting: f"{name} is not sampled by {setting}; it knows {', '.join(known)}" for setting in wanted.keys() - known}
    refused |= _of_guidance(name, config, own.guidance if asked.guidance is None else asked.guidance)
    if isinstance(config, JascoConfig):
        refused |= _of_flow(name, config, asked.solver or config.sampling.solver)
    return {setting: refused[setting] for setting in wanted if setting in refused}


def _of_flow(name: str, config: JascoConfig, solver: str) -> dict[str, str]:
    """Of solver, steps, schedule and tolerance, those that contradict each other or the model."""
    refused: dict[str, str] = {}
    if config.distilled is not None and solver != "euler":
        refused["solver"] = f"{name} is distilled and takes its own steps, not those of {solver}; ask for steps alone"
        solver = "euler"
    if solver == "dopri5":
        does = "does nothing with dopri5, which chooses its own steps; ask for a tolerance, or for another solver"
        return refused | {setting: f"{setting} {does}" for setting in ("steps", "schedule")}
    return refused | {"tolerance": f"tolerance is that of dopri5, but {name} takes the steps of {solver}; ask for steps"}


def _of_guidance(name: str, config: JascoConfig | MusicgenConfig, weights: Mapping[str, float]) -> dict[str, str]:
    """Guidance by what the model is not told, and how it acts where there is none."""
    try:
        variants = guidance.variants(weights, ("text",) if config.score is None else ("text", "score"))
    except ValueError as error:
        return {"guidance": str(error).rstrip(".")}
    if list(variants) != ["all"]:
        return {}
    does = f"does nothing, as guidance of 1 leaves {name} unguided; ask for guidance, too"
    return {setting: f"{setting} {does}" for setting in ("guidance_interval", "guidance_rescale")}


def caution(name: str, config: JascoConfig | MusicgenConfig, asked: Request) -> str:
    """What is done, though it may not be what was meant: guidance of a model that is guided already; else empty."""
    if not isinstance(config, JascoConfig) or config.distilled is None or asked.guidance is None:
        return ""
    variants = guidance.variants(asked.guidance, list(asked.guidance))
    if list(variants) == ["all"]:
        return ""
    folded, more = describe_guidance(config.distilled.guidance), describe_guidance(asked.guidance)
    costs = "a second evaluation a step" if len(variants) == 2 else f"{len(variants)} evaluations a step instead of one"
    return (
        f"{name} is distilled, and guidance {folded} is part of its every step; "
        f"guidance {more}, as asked for, is applied on top of it and costs {costs}"
    )


def describe(sampling: Sampling) -> str:
    """How it is sampled, in a few words for people."""
    if isinstance(sampling, musicgen.Sampling):
        how = f"temperature {sampling.temperature:g}, top_k {sampling.top_k}"
        how += f", top_p {sampling.top_p:g}" if sampling.top_p else ""
    elif sampling.solver == "dopri5":
        how = f"dopri5 to {sampling.tolerance:g}"
    else:
        how = f"{sampling.steps} step{'s' * (sampling.steps > 1)} of {sampling.solver}"
        how += f", {sampling.schedule}" if sampling.schedule != "uniform" else ""
    return f"{how}, guidance {describe_guidance(sampling.guidance)}"


def describe_guidance(weights: Mapping[str, float]) -> str:
    """A number, or a table as one types it."""
    if weights.keys() == {"all"}:
        return f"{weights['all']:g}"
    return ", ".join(f"{name}={weight:g}" for name, weight in weights.items())
