"""Auto-Regressive vs Flow-Matching (Tal, Kreuk and Adi, 2025): every table and figure, at three scales.

What a scale changes is in sizes.py, what exhibits share in things.py.  Labels of rows are those of paper.toml, where the paper
has numbers, and claims.toml speaks of rows by exhibit and label.
"""

from dataclasses import replace

from counterpoint.study.design import Asked, Column, Exhibit, Scale, Study, read_claims, read_paper

from .figures import by_duration, figure_3, figure_4, figure_5, figure_8, figure_9
from .sizes import SIZES
from .tables import appendix_b, appendix_d, table_2, table_3, table_4, table_5, table_6
from .things import QUALITY, Things


def views(things: Things) -> Exhibit:
    """The same cells by what they cost."""
    table, steps, sweep = table_2(things), figure_3(things), figure_8(things)
    rows = [row for row in (*table.rows, *steps.rows, *sweep.rows)]
    costs = {"parameters": "parameters", "training_flops": "training FLOPs", "clip_flops": "FLOPs a clip"}
    columns = (QUALITY[0], QUALITY[1], *(Column(name, heading) for name, heading in costs.items()))
    about = (
        "Beyond the paper: equal parameters are table 2's rows of one frame rate; equal training, rows of one number of FLOPs; "
        "equal generation, autoregression's row beside flow's steps of as many FLOPs a clip, or (figure 5) of as many seconds."
    )
    return Exhibit(
        "views",
        "The same by parameters, training and generation",
        tuple(replace(row, paper="") for row in rows),
        columns,
        (),
        about,
    )


def exhibits(asked: Asked) -> list[Exhibit]:
    """All of them, in the paper's order."""
    things, layers = Things(asked), SIZES[asked.scale].layers
    own = next((int(text.partition("=")[2]) for text in things.size.changes if "depth" in text), 24)
    figures = [
        by_duration(things, "figure-6", "Figure 6: latency by duration, 2 layers", (2,)),
        by_duration(things, "figure-7", f"Figure 7: latency by duration, {own} layers", (own,)),
        by_duration(things, "figure-10", "Figure 10: latency by layers", layers),
    ]
    return [
        *(make(things) for make in (table_2, figure_3, figure_4, table_3, table_4, table_5, figure_5)), *figures,
        *(make(things) for make in (figure_8, figure_9, table_6, appendix_b, appendix_d, views)),
    ]  # fmt: skip


STUDY = Study(
    "ar-vs-fm",
    "Auto-regressive against flow matching",
    "After \"Auto-Regressive vs Flow-Matching: a Comparative Study of Modeling Paradigms for Text-to-Music Generation\" "
    "(Tal, Kreuk and Adi, 2025)",
    {
        "tiny": Scale(
            3.3e10,
            2,
            "composed music, networks of 1.5 million weights, and codecs that begin in closed form: for EnCodec one of 64 "
            "numbers a frame, and tokens of them; for the VAE one of 128, as VAEs of waveforms learn nothing so soon.",
        ),
        "small": Scale(1e14, 1, "composed music, networks of 34 million parameters, a day of one GPU."),
        "paper": Scale(3e14, 1, "the paper's own networks, codecs, batch and updates, on your music."),
    },
    exhibits,
    read_claims(__file__),
    read_paper(__file__),
)  # fmt: skip
