"""What a request asks of a model's sampler: what the model can take of it, and why it cannot take the rest."""

import math
from collections.abc import Mapping

from counterpoint.conditioners.controls import condition_names
from counterpoint.paradigms import guidance
from counterpoint.paradigms.solvers import SCHEDULES
from counterpoint.request import SAMPLING, Request
from counterpoint.systems import jasco, musicgen
from counterpoint.systems.jasco import Distilled, JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig

Sampling = jasco.Sampling | musicgen.Sampling


def settle(name: str, config: JascoConfig | MusicgenConfig, asked: Request, planned: bool) -> Sampling:
    """The model's own sampling, for what is `planned` or not, with what is asked for.  Raises ValueError for what it cannot
    take (`refusals`)."""
    for reason in refusals(name, config, asked).values():
        raise ValueError(f"{reason}.")
    known = type(config.sampling).model_fields  # a model with one method has no choice of it
    return usual(config, planned).model_copy(update={key: value for key, value in asked.sampling().items() if key in known})


def usual(config: JascoConfig | MusicgenConfig, planned: bool) -> Sampling:
    """The model's own sampling, guided as suits a score, or having none."""
    own = config.sampling
    weights = own.guidance if planned or own.guidance_alone is None else own.guidance_alone
    return own.model_copy(update={"guidance": weights, "guidance_alone": None})


def methods(config: JascoConfig | MusicgenConfig) -> tuple[str, ...]:
    """How a model can fill what lies between given audio, its own way first; none of them where it cannot."""
    if isinstance(config, MusicgenConfig):
        return ("fill-in-middle",) if config.middle > 0 else ()
    learnt = ("supervised",) if config.canvas > 0 else ()
    return learnt if config.distilled is not None else (*learnt, "zero-shot")


def refusals(name: str, config: JascoConfig | MusicgenConfig, asked: Request) -> dict[str, str]:
    """The settings that the model `name` cannot take, each with the reason: what would be ignored is refused."""
    own, wanted = config.sampling, asked.sampling()
    known = type(own).model_fields
    strangers = wanted.keys() - known - {"method"}
    able = ", ".join(setting for setting in SAMPLING if setting in known)
    refused = {setting: f"{name} is not sampled by {setting}; it knows {able}" for setting in strangers}
    if asked.method is not None and asked.method not in methods(config):
        able = ", ".join(methods(config)) or "no method"
        refused["method"] = f"{name} does not fill gaps by the method {asked.method}; it knows {able}"
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
    return refused | {
        "tolerance": f"tolerance is that of dopri5, but {name} takes the steps of {solver}; ask for the solver dopri5, too"
    }


def _of_guidance(name: str, config: JascoConfig | MusicgenConfig, weights: Mapping[str, float]) -> dict[str, str]:
    """Guidance by what the model is not told, and how it acts where there is none."""
    try:
        variants = _variants(config, weights)
    except ValueError as error:
        return {"guidance": str(error).rstrip(".")}
    if _as_learnt(config, variants):
        does = f"does nothing, as guidance of 1 leaves {name} unguided; ask for guidance, too"
        return {setting: f"{setting} {does}" for setting in ("guidance_interval", "guidance_rescale")}
    if len(variants) == 1:
        one = f"guidance {describe_guidance(weights)} is a single evaluation a step, which nothing has widened"
        return {"guidance_rescale": f"guidance_rescale does nothing, as {one}; ask for more guidance, too"}
    return {}


def _variants(config: JascoConfig | MusicgenConfig, weights: Mapping[str, float]) -> dict[str, float]:
    """What is evaluated in a step (`guidance.variants`) of a model that is told what `config` says."""
    return guidance.variants(weights, _conditions(config))


def _as_learnt(config: JascoConfig | MusicgenConfig, variants: Mapping[str, float]) -> bool:
    """Whether the variants are one, that of all conditions, by whatever name: guidance of 1."""
    (first, *others) = variants
    return not others and (first == "all" or set(_conditions(config)) <= set(first.split("+")))


def _conditions(config: JascoConfig | MusicgenConfig) -> tuple[str, ...]:
    return condition_names(config.score, config.controls)


def caution(name: str, config: JascoConfig | MusicgenConfig, asked: Request) -> str:
    """What is done, though it may not be what was meant, of a distilled model; else empty."""
    if not isinstance(config, JascoConfig) or config.distilled is None:
        return ""
    return "; ".join(filter(None, (_guided_anew(name, config, config.distilled, asked), _unlearnt(name, config, asked))))


def _guided_anew(name: str, config: JascoConfig, distilled: Distilled, asked: Request) -> str:
    """Where a model that is guided already is guided."""
    variants = {} if asked.guidance is None else _variants(config, asked.guidance)
    if asked.guidance is None or _as_learnt(config, variants):
        return ""
    folded, more = describe_guidance(distilled.guidance), describe_guidance(asked.guidance)
    known = {1: "", 2: " and costs a second evaluation a step"}
    costs = known.get(len(variants), f" and costs {len(variants)} evaluations a step instead of one")
    return (
        f"{name} is distilled, and guidance {folded} is part of its every step; "
        f"guidance {more}, as asked for, is applied on top of it{costs}"
    )


def _unlearnt(name: str, config: JascoConfig, asked: Request) -> str:
    """Where a model leaps over spans that it has not learnt."""
    sampling, distilled = config.sampling.model_copy(update=asked.sampling()), config.distilled
    if distilled is None:
        return ""
    spans = sampling.strength * SCHEDULES[sampling.schedule](sampling.steps).diff()
    shortest, longest = float(spans.min()), float(spans.max())
    if distilled.shortest <= shortest + 1e-6 and longest <= distilled.longest + 1e-6:
        return ""
    fewest, most = math.ceil(1 / distilled.longest - 1e-6), math.floor(1 / max(distilled.shortest, 1e-3) + 1e-6)
    return f"{name} has not learnt leaps as these; it knows {fewest} to {most} steps of the schedule uniform"


def describe(config: JascoConfig | MusicgenConfig, sampling: Sampling) -> str:
    """How a model of `config` is sampled, in a few words for people."""
    guided = f"guidance {describe_guidance(sampling.guidance)}"
    if sampling.guidance_rescale:
        guided += f", rescaled by {sampling.guidance_rescale:g}"
    if isinstance(sampling, musicgen.Sampling):
        how = f"temperature {sampling.temperature:g}, top_k {sampling.top_k}"
        how += f", top_p {sampling.top_p:g}" if sampling.top_p else ""
        return f"{how}, {guided}"
    if sampling.guidance_interval != (0.0, 1.0):
        guided += " within {:g}:{:g}".format(*sampling.guidance_interval)
    if sampling.solver == "dopri5":
        return f"dopri5 to {sampling.tolerance:g}, {guided}"
    many = f"{sampling.steps} {{}}{'s' * (sampling.steps > 1)} of {{}}"
    how = many.format("step", sampling.solver)
    if isinstance(config, JascoConfig) and config.distilled is not None:
        how = many.format("leap", "its own")
        learnt = f"guidance {describe_guidance(config.distilled.guidance)} learnt"
        guided = learnt if sampling.guidance == {"all": 1.0} else f"{learnt}, {guided} on top"
    schedule = f", {sampling.schedule}" if sampling.schedule != "uniform" else ""
    return f"{how}{schedule}, {guided}"


def describe_guidance(weights: Mapping[str, float]) -> str:
    """A number, or a table as one types it."""
    if weights.keys() == {"all"}:
        return f"{weights['all']:g}"
    return ", ".join(f"{name}={weight:g}" for name, weight in weights.items())
