"""The paper's tables 2 to 6 and appendices B and D."""

from dataclasses import replace

from counterpoint.study.damaged import Damaged
from counterpoint.study.design import Column, Exhibit, Picture, Row
from counterpoint.study.material import Music
from counterpoint.study.rating import ListeningTest, Rating
from counterpoint.study.recoded import Recoded
from counterpoint.study.taken import Held, Taken

from .sizes import RATES
from .things import CONTROLS, MODELS, QUALITY, Things, controlled


def table_2(things: Things) -> Exhibit:
    """Both paradigms, over both kinds of latents, at three frame rates."""
    rows = [
        Row(f"{rate} {model}", tuple(things.taken("table-2", things.network(model, rate, seed), _held(things, model, rate))
                                     for seed in things.seeds), f"{rate} {model}")
        for rate in RATES for model in MODELS
    ]  # fmt: skip
    about = f"Flow by {things.size.steps} Euler steps here, by dopri5 in the paper; both guided as their recipes say."
    labels = {model: tuple(f"{rate} {model}" for rate in RATES) for model in MODELS}
    picture = Picture("FAD by frame rate", "frames a second", "FAD", "fad", labels, RATES)
    return Exhibit("table-2", "Table 2: quality under a fixed training", tuple(rows), QUALITY, (picture,), about, players=2)


def _held(things: Things, model: str, rate: int, music: Music | None = None) -> Held:
    return things.held(rate, "VAE" if "VAE" in model else "EnC", music=music)


def table_3(things: Things) -> Exhibit:
    """All controls, each alone, and none."""
    metrics = ("frechet", "text", "chords", "beats", "drums", "melody")
    rows = []
    for model in ("AR", "FM (EnC)"):
        for name, told in {"all": CONTROLS, **{name: (name,) for name in CONTROLS}, "none": ()}.items():
            cells = tuple(
                things.taken(
                    f"table-3-{name}", controlled(things, model, seed), things.held(50), told=("text", *told), metrics=metrics
                )
                for seed in things.seeds
            )
            rows.append(Row(f"{model[:2]} {name}", cells, f"{model[:2]} {name}"))
        flow = () if model == "AR" else (f"steps={things.size.steps}",)
        sources = ("guidance={all=1.5, text=1.5}", *flow)
        cell = things.taken("table-3-sources", controlled(things, model, 0), things.held(50), told=("text", *CONTROLS),
                            sampling=sources, metrics=metrics)  # fmt: skip
        rows.append(Row(f"{model[:2]} all, guided by sources", (cell,)))
    columns = (*QUALITY, Column("chord_iou_majmin", "Chords IoU", "higher"), Column("downbeat_f1", "Down-beat F1", "higher"),
               Column("beat_f1", "Beat F1", "higher"), Column("drum_onset_f1", "Drum onsets F1", "higher"),
               Column("melody_argmax", "Melody similarity", "higher"))  # fmt: skip
    about = "Beyond the paper: rows without a control, and with guidance by two sources (all = 1.5, text = 1.5)."
    return Exhibit("table-3", "Table 3: adherence to controls", tuple(rows), columns, (), about, players=1)


def filled(things: Things, model: str, seed: int) -> Taken:
    """In-painting by a model: half of the seconds, with a tenth of them on both sides at least."""
    networks = {
        "AR": lambda: things.network("AR", 50, seed, "-middle", ("system.middle=0.5",)),
        "FM": lambda: things.network("FM (EnC)", 50, seed, "-canvas", ("system.canvas=0.5",)),
        "FM (ZS)": lambda: things.network("FM (EnC)", 50, seed),
    }
    zero = (f"steps={things.size.steps}", "method=zero-shot", "strategy=inversion") if model == "FM (ZS)" else ()
    cell = things.taken(f"table-4-{'zs' if zero else 'filled'}", networks[model](), things.held(50), zero)
    return replace(cell, gap_seconds=things.size.seconds / 2, margin_seconds=things.size.seconds / 10)


def better_zero_shot(things: Things) -> list[Row]:
    """Beyond the paper: another strategy than inversion, and for each clip the best of six tries."""
    cell = filled(things, "FM (ZS)", 0)
    usual = replace(cell, name=f"{cell.name}-usual", sampling=cell.sampling[:2])
    tuned = replace(usual, name=f"{cell.name}-tuned", tries=6)
    return [Row("FM (ZS), this project's strategy", (usual,)), Row("FM (ZS), best of six by clip", (tuned,))]


def table_4(things: Things) -> Exhibit:
    """A gap filled by autoregression, by flow that has learnt to, and by flow that has not."""
    rows = [Row(model, tuple(filled(things, model, seed) for seed in things.seeds), model) for model in ("AR", "FM", "FM (ZS)")]
    rows += better_zero_shot(things)
    seams = {"audible_seams": "Audible seams", "seam_loudness_ratio": "Loudness step", "seam_timbre": "Timbre step",
             "seam_click": "Click"}  # fmt: skip
    columns = (*QUALITY, *(Column(name, heading, "lower") for name, heading in seams.items()))
    about = (
        "FM (ZS) is the paper's inversion. Beyond the paper: what is heard at the seams, beside the recording itself; another "
        "strategy, and the best of six strategies for each clip (one training seed). What is given is heard through the codec."
    )
    return Exhibit("table-4", "Table 4: in-painting", tuple(rows), columns, (), about, players=2)


def table_5(things: Things) -> Exhibit:
    """People's marks of table 4's clips."""
    systems = tuple(
        (model.replace("(ZS)", "ZS").replace(" ", "-"), filled(things, model, 0)) for model in ("AR", "FM", "FM (ZS)")
    )
    test = ListeningTest("listening-test", systems, things.held(50), items=min(12, things.size.clips))
    rows = tuple(Row(name, (Rating(f"table-5-{name}", test, name),), name) for name in ("reference", *dict(systems)))
    about = (
        "The test is built in `parts/listening-test/test`: `counterpoint listen serve` it, and call the study again when "
        "people have answered. Without answers there are no numbers."
    )
    columns = (Column("smoothness", "Transition smoothness", "higher"), Column("match", "Audio match", "higher"))
    return Exhibit("table-5", "Table 5: the listening test", rows, columns, (), about)


def table_6(things: Things) -> Exhibit:
    """The models of table 2, judged on other recordings."""
    held = things.held_out
    splits = things.held(25).splits
    worse = Damaged("noisy", things.size.clip_seconds, seed=303, of=held, clips=things.size.clips, splits=splits)
    rows = tuple(
        Row(
            f"{rate} {model}",
            (things.taken("table-6", things.network(model, rate), _held(things, model, rate, worse)),),
            f"{rate} {model}",
        )
        for rate in RATES
        for model in MODELS
    )
    about = "The models of table 2 against recordings in noise and of less treble, every fourth with another clip's caption."
    return Exhibit("table-6", "Table 6: a second, noisier evaluation set", rows, QUALITY, (), about)


def appendix_b(things: Things) -> Exhibit:
    """Both kinds of codecs, without quantising."""
    opinion = () if things.asked.scale == "tiny" else ("visqol",)
    rows = tuple(
        Row(f"{rate} {kind}", (Recoded(f"appendix-b-{kind.lower()}-{rate}", things.coder(rate, kind), things.held(rate, kind),
                                       ("reconstruction", *opinion)),), f"{rate} {kind}")
        for rate in RATES for kind in ("VAE", "EnC")
    )  # fmt: skip
    columns = (Column("si_snr", "SI-SNR", "higher"), Column("visqol", "ViSQOL", "higher"),
               Column("log_mel_distance", "log-mel", "lower"))  # fmt: skip
    return Exhibit("appendix-b", "Appendix B: what codecs give back", rows, columns, players=1)


def appendix_d(things: Things) -> Exhibit:
    """The grids as given, or their axes through guidance 3 and the scale's steps."""
    held = replace(things.held(25), clips=things.size.searched_clips)
    weights = [f"guidance={{all={weight}}}" for weight in range(1, 10)]
    solved = [*(f"steps={steps}" for steps in (10, 25, 50, 150, 250)), "solver=dopri5"]
    cuts = ["top_p=0.6,top_k=0", "top_p=0.8,top_k=0", "top_k=250,top_p=0", "top_k=500,top_p=0"]
    drawn = [f"temperature={t},{cut}" for t in (1.2, 1.4, 1.6, 2.0, 2.4, 2.8) for cut in cuts]
    grid = {"FM (EnC)": (solved, f"steps={things.size.steps}"), "AR": (drawn, cuts[2])}
    rows = []
    for model, (others, usual) in grid.items():
        axes = [*((weight, usual) for weight in weights), *((weights[2], other) for other in others)]
        for place in dict.fromkeys([(w, o) for w in weights for o in others] if things.size.searched else axes):
            told = tuple(part for text in place for part in ([text] if "guidance" in text else text.split(",")))
            label = f"{model[:2]} {' '.join(told).replace('guidance={all=', 'guidance ').replace('}', '')}"
            name = f"appendix-d-{'-'.join(told[:1] + told[1:])}".translate(str.maketrans("{}=", "---"))
            rows.append(Row(label, (things.taken(name, things.network(model, 25), held, sampling=told),)))
    about = "" if things.size.searched else "The axes of the paper's grids: guidance, and the rest at guidance 3."
    return Exhibit("appendix-d", "Appendix D: the search for sampling's settings", tuple(rows), QUALITY[:2], (), about)
