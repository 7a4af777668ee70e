"""The paper's figures 3 to 10, with the tables that go with them."""

from counterpoint.study.design import Column, Exhibit, Picture, Row
from counterpoint.study.entropy import Certainty
from counterpoint.study.material import Network
from counterpoint.study.speed import Speed
from counterpoint.study.taken import Taken

from .sizes import BATCHES, RATES
from .things import CONTROLS, QUALITY, RECIPES, Things, controlled


def figure_3(things: Things) -> Exhibit:
    """And table 8."""
    cells = {str(steps): (f"steps={steps}",) for steps in (200, 50, 25, 10)}
    dopri5 = ("solver=dopri5", "tolerance=1e-2")
    rows = []
    for rate in RATES:
        network, held = things.network("FM (EnC)", rate), things.held(rate)
        for steps, sampling in cells.items():
            label = f"{rate} {steps} steps"
            rows.append(Row(label, (things.taken(f"figure-3-{steps}", network, held, sampling=sampling),), label))
        label = f"{rate} dopri5"
        rows.append(Row(label, (things.taken("figure-3-dopri5", network, held, sampling=dopri5),), label))
    rows.append(Row("25 distilled, 4 leaps", (_few(things),)))
    labels = {f"{rate} Hz": tuple(f"{rate} {steps} steps" for steps in (10, 25, 50, 200)) for rate in RATES}
    picture = Picture("FAD by Euler steps", "steps", "FAD", "fad", labels, (10, 25, 50, 200), logarithmic=True)
    about = "Beyond the paper: a copy of the 25 Hz model that was taught to make music in four leaps."
    return Exhibit(
        "figure-3", "Figure 3 and table 8: sampling in few steps", tuple(rows), QUALITY, (picture,), about, also=("table-8",)
    )


def _few(things: Things) -> Taken:
    teacher = things.network("FM (EnC)", 25)
    taught = (
        "train.steps=150",
        "train.threads=1",
        f"data.crop_seconds={things.size.seconds:g}",
        "objective.guidance={all=1.5}",
    )
    student = Network("fm-25-distilled-s0", RECIPES / "jasco-tiny-fast.toml", teacher.frames, taught, 0, teacher)
    return things.taken("figure-3-few", student, things.held(25), sampling=("steps=4", "guidance={all=1}"))


def figure_4(things: Things) -> Exhibit:
    """And table 7: how long, against how many frames a second."""
    rows = []
    for rate, times in ((25, (1, 2, 4)), (50, (1, 2, 4)), (100, (1,))):
        for many in times:
            seconds = many * things.size.seconds
            longer = (f"data.crop_seconds={seconds:g}", f"system.window_seconds={max(10, seconds):g}")
            network = things.network("FM (EnC)", rate, 0, *((f"-x{many}", longer) if many > 1 else ()))
            cell = things.taken(f"figure-4-x{many}", network, things.held(rate, seconds=seconds))
            rows.append(Row(f"{rate} Hz {10 * many} s", (cell,), f"{rate} Hz {10 * many} s"))
    labels = {f"{rate} Hz": tuple(f"{rate} Hz {10 * many} s" for many in (1, 2, 4)) for rate in (25, 50)}
    picture = Picture("FAD by duration", "seconds (the paper's)", "FAD", "fad", labels, (10, 20, 40))
    about = f"Ten seconds of the paper are {things.size.seconds:g} here; seconds in the table are the paper's."
    return Exhibit(
        "figure-4", "Figure 4 and table 7: duration and frame rate", tuple(rows), QUALITY, (picture,), about, also=("table-7",)
    )


def speeds(things: Things, batches: tuple[int, ...], durations: tuple[float, ...], layers: tuple[int, ...] = ()) -> list[Row]:
    """Latency of AR and of flow in several steps, by layers (none: the scale's own), batch and seconds."""
    rows, size = [], things.size
    for depth in layers or (0,):
        changed = (*size.changes, *((f"system.backbone.depth={depth}",) if depth else ()))
        for kind in ("AR", *(f"FM {steps}" for steps in (200, 50, 25, 10))):
            if depth and kind in ("FM 200", "FM 25"):
                continue
            file = size.ar if kind == "AR" else size.fm
            sampling = () if kind == "AR" else (f"steps={kind[3:]}",)
            for batch in batches:
                for seconds in durations:
                    label = f"{kind}, batch {batch}" + (f", {seconds:g} s, {depth} layers" if depth else "")
                    cell = Speed(f"speed-{label.replace(', ', '-').replace(' ', '')}", RECIPES / file, things.coder(25), batch,
                                 seconds, changed, (*sampling, "guidance={all=1}"), repeats=2)  # fmt: skip
                    rows.append(Row(label, (things.once(cell),)))
    return rows


LATENCY = (Column("latency", "seconds a batch", "lower"), Column("throughput", "samples a second", "higher"))


def figure_5(things: Things) -> Exhibit:
    """Seconds and samples a second by batch."""
    size, kinds = things.size, ("AR", "FM 200", "FM 50", "FM 25", "FM 10")
    rows = speeds(things, size.speeds, (size.seconds,))
    labels = {kind: tuple(f"{kind}, batch {batch}" for batch in size.speeds) for kind in kinds}
    pictures = tuple(
        Picture(title, "batch", title, figure, labels, size.speeds, logarithmic=True)
        for figure, title in (("throughput", "samples a second"), ("latency", "seconds"))
    )
    about = "Untrained networks of 25 frames a second, without guidance and codec; the median of two runs after a first."
    return Exhibit("figure-5", "Figure 5: speed and batch size", tuple(rows), LATENCY, pictures, about)


def by_duration(things: Things, name: str, title: str, layers: tuple[int, ...]) -> Exhibit:
    """Figures 6, 7 and 10: latency by duration."""
    size = things.size
    durations, batches = tuple(many * size.seconds for many in (1, 2, 4)), size.speeds[::2]
    rows = speeds(things, batches, durations, layers)
    pictures = tuple(
        Picture(f"batch {batch}, {depth} layers", "seconds of music", "seconds", "latency",
                {kind: tuple(f"{kind}, batch {batch}, {seconds:g} s, {depth} layers" for seconds in durations)
                 for kind in ("AR", "FM 50", "FM 10")},
                durations)
        for depth in layers for batch in batches
    )  # fmt: skip
    return Exhibit(name, title, tuple(rows), LATENCY, pictures)


def figure_8(things: Things) -> Exhibit:
    """Two paradigms by batch and duration, under a fixed number of updates."""
    size, rows = things.size, []
    for model in ("AR", "FM (EnC)"):
        for many in (1, 3):
            for batch, paper in zip(size.batches, BATCHES, strict=True):
                seconds = many * size.seconds
                changes = (
                    f"train.batch_size={batch}",
                    f"data.crop_seconds={seconds:g}",
                    f"system.window_seconds={max(10, seconds):g}",
                )
                network = things.network(model, 25, 0, f"-x{many}-b{batch}", (*size.swept, *changes))
                cell = things.taken("figure-8", network, things.held(25, seconds=seconds))
                rows.append(Row(f"{model[:2]} {10 * many} s, batch {paper}", (cell,)))
    labels = {
        f"{model} {s} s": tuple(f"{model} {s} s, batch {batch}" for batch in BATCHES)
        for model in ("AR", "FM")
        for s in (10, 30)
    }
    pictures = tuple(
        Picture(f"{heading} by batch size", "batch (the paper's)", heading, figure, labels, BATCHES, logarithmic=True)
        for figure, heading in (("fad", "FAD"), ("clap", "CLAP"))
    )
    stands = (
        f"batches of {size.batches[0]} to {size.batches[-1]} stand for the paper's 8 to 256, and {size.seconds:g} s for ten"
    )
    about = f"A fixed number of updates; here {stands}. One training seed."
    return Exhibit("figure-8", "Figure 8: batch size and duration", tuple(rows), QUALITY, pictures, about)


def figure_9(things: Things) -> Exhibit:
    """How sure autoregression is, step by step."""
    text, controls, held = things.network("AR", 50), controlled(things, "AR", 0), things.held(50)
    asked = {
        "text": (text, ("text",), ()),
        "all controls": (controls, ("text", *CONTROLS), ()),
        "all controls, guided by sources": (controls, ("text", *CONTROLS), ("guidance={all=1.5, text=1.5}",)),
    }
    rows = tuple(
        Row(name, (Certainty(f"figure-9-{name.replace(', ', '-').replace(' ', '-')}", network, held, told, sampling),))
        for name, (network, told, sampling) in asked.items()
    )
    columns = tuple(Column(f"bits_{part}", f"bits, {part}") for part in ("early", "late", "all"))
    picture = Picture("Entropy of the first codebook", "step", "bits", "bits_all", {name: (name,) for name in asked})
    about = "Early are the first 50 steps; entropy of what is drawn from, after guidance."
    return Exhibit("figure-9", "Figure 9: entropy under control", rows, columns, (picture,), about)
