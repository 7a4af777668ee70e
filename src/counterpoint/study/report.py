"""A study's findings as README.md, and as one report.html that needs nothing else: tables, pictures, players."""

import base64
import html
import io
import math
from collections.abc import Sequence
from pathlib import Path

import soundfile

from counterpoint.files import write_text
from counterpoint.study import drawing
from counterpoint.study.design import Claim, Exhibit, Picture
from counterpoint.study.findings import Findings
from counterpoint.study.inference import Effect, Judgement
from counterpoint.study.part import Workshop

MARKS = {"lower": "↓", "higher": "↑", "": ""}
Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of entries."""


def write(findings: Findings, shop: Workshop) -> tuple[Path, Path]:
    """Both, each whole or not at all; returns their paths."""
    readme, page = shop.folder / "README.md", shop.folder / "report.html"
    write_text(readme, markdown(findings))
    write_text(page, web_page(findings, shop))
    return readme, page


def markdown(findings: Findings) -> str:
    """The report as text."""
    parts = [f"# {findings.study.title}", *_head(findings), "## Claims", _markdown_table(claims_table(findings))]
    parts += [_wording(findings)]
    for exhibit in findings.exhibits:
        parts += [f"## {exhibit.title}", *([exhibit.about] if exhibit.about else []), _markdown_table(table(findings, exhibit))]
    return "\n\n".join(parts) + "\n"


def _head(findings: Findings) -> list[str]:
    """What a reader must know first."""
    scale, files = findings.asked.scale, findings.files
    there, wanted = len(files), len({cell.name for exhibit in findings.exhibits for cell in exhibit.cells})
    commits = ", ".join(sorted({str(file["commit"]) for file in files})) or "none"
    machines = ", ".join(sorted({str(file["machine"]) for file in files})) or "none"
    hours = sum(file["seconds"] for file in files) / 3600
    return [
        f"{findings.study.source}, at the scale `{scale}`: {findings.study.scale(scale).about}",
        f"{there} of {wanted} cells are there; making and judging them took {hours:.2f} hours beside training. "
        f"Commits: {commits}. Machine: {machines}. Every number comes from a file in `results/`, which names its commit, "
        "recipe, seeds and n.",
        "Intervals are of 95 %, over clips and, where there are several, over training seeds; with one seed "
        "they speak of the models that were trained, and of no others. A dash is what was not measured, "
        "in brackets is what the paper has. Distances compare only within a study: ears, music and n are its own.",
    ]


def claims_table(findings: Findings) -> Table:
    """A row for each statement; the first of a claim has its verdict."""
    rows = []
    for claim in findings.claims:
        for i, statement in enumerate(claim.statements):
            judged = findings.judgements[f"{claim.id}/{i}"]
            first = [claim.id, claim.where, f"**{findings.verdict(claim)}**"] if i == 0 else ["", "", ""]
            paper = findings.paper_contrast(statement)
            rows.append([*first, statement.text, number(paper), *_judged(judged)])
    return ["claim", "where", "verdict", "statement", "paper", "here", "p (Holm)", "seeds", "n", "alone"], rows


def _judged(judged: Judgement) -> list[str]:
    if judged.effect is None:
        return ["-", "-", "-", "-", "not measured"]
    effect = judged.effect
    return [with_interval(effect), f"{judged.p:.2g}", str(effect.seeds), str(effect.n), judged.verdict]


def _wording(findings: Findings) -> str:
    return "\n".join(f"* `{claim.id}`: {claim.text} ({claim.where})" for claim in findings.claims)


def table(findings: Findings, exhibit: Exhibit) -> Table:
    """An exhibit's rows: each figure with its interval, and the paper's in brackets."""
    headings = ["", *(f"{column.heading}{MARKS[column.better]}" for column in exhibit.columns), "seeds", "n"]
    rows = []
    for row in exhibit.rows:
        effects = [findings.effect(exhibit, row, column.figure) for column in exhibit.columns]
        entries = []
        for column, effect in zip(exhibit.columns, effects, strict=True):
            paper = findings.paper(exhibit.id, row.paper, column.figure)
            entries.append(with_interval(effect) + (f" [{number(paper)}]" if math.isfinite(paper) else ""))
        known = next((effect for effect in effects if effect is not None), None)
        rows.append([row.label, *entries, *(["-", "-"] if known is None else [str(known.seeds), str(known.n)])])
    return headings, rows


def with_interval(effect: Effect | None) -> str:
    """A value and the ends of its interval."""
    if effect is None:
        return "-"
    low, high = effect.interval
    return f"{number(effect.value)} ({number(low)} to {number(high)})" if effect.error else number(effect.value)


def number(value: float) -> str:
    """Three digits after the leading ones, a dash for none."""
    return "-" if not math.isfinite(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _markdown_table(told: Table) -> str:
    headings, rows = told
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(entry.replace('|', '/') for entry in line)} |" for line in lines)


# The page ---------------------------------------------------------------------------------------------------------------

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px } td, th { padding: 3px 8px; border-bottom: 1px solid #ddd;
text-align: left; vertical-align: top } th { border-bottom: 2px solid #888 } svg { width: 560px; max-width: 100% }
svg text { font: 11px system-ui, sans-serif; fill: #333 } svg .title { font-size: 13px; font-weight: 600 }
.holds { color: #2b7a2b } .not { color: #b03020 } .undecided { color: #777 } audio { height: 28px; width: 220px }
.wide { overflow-x: auto }
"""


def web_page(findings: Findings, shop: Workshop) -> str:
    """The report as one page."""
    title = html.escape(findings.study.title)
    parts = [f"<h1>{title}</h1>", *(f"<p>{_prose(text)}</p>" for text in _head(findings)), "<h2>Claims</h2>"]
    parts += [_html_table(claims_table(findings)), "<ul>", *(_said(claim) for claim in findings.claims), "</ul>"]
    for exhibit in findings.exhibits:
        parts += [f"<h2>{html.escape(exhibit.title)}</h2>", f"<p>{_prose(exhibit.about)}</p>" if exhibit.about else ""]
        parts += [_html_table(table(findings, exhibit)), *(draw(findings, exhibit, picture) for picture in exhibit.pictures)]
        parts += [_players(findings, exhibit, shop)]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{"".join(parts)}</body></html>\n'


def _said(claim: Claim) -> str:
    return f"<li><b>{html.escape(claim.id)}</b>: {html.escape(claim.text)} ({html.escape(claim.where)})</li>"


def _prose(text: str) -> str:
    """Escaped, with `names` in a typewriter's letters."""
    pieces = html.escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


def _html_table(told: Table) -> str:
    headings, rows = told
    head = "".join(f"<th>{html.escape(entry)}</th>" for entry in headings)
    body = "".join(f"<tr>{''.join(map(_entry, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _entry(text: str) -> str:
    plain = text.strip("*")
    kind = {"holds": "holds", "does not hold": "not", "undecided": "undecided"}.get(plain, "")
    inner = f"<b>{html.escape(plain)}</b>" if text != plain else html.escape(plain)
    return f'<td class="{kind}">{inner}</td>' if kind else f"<td>{inner}</td>"


def draw(findings: Findings, exhibit: Exhibit, picture: Picture) -> str:
    """A picture as SVG; empty where nothing of it is there."""
    told: dict[str, list[tuple[float, float, float, float]]] = {}
    for name, labels in picture.lines.items():
        told[name] = _curve(findings, exhibit, labels) if not picture.x else _points(findings, exhibit, picture, labels)
    shown = {name: line for name, line in told.items() if line}
    return drawing.lines(picture.title, picture.x_label, picture.y_label, shown, picture.logarithmic)


def _points(
    findings: Findings, exhibit: Exhibit, picture: Picture, labels: Sequence[str]
) -> list[tuple[float, float, float, float]]:
    effects = [findings.effect(exhibit, exhibit.row(label), picture.figure) if label else None for label in labels]
    return [(x, e.value, *e.interval) for x, e in zip(picture.x, effects, strict=True) if e is not None]


def _curve(findings: Findings, exhibit: Exhibit, labels: Sequence[str]) -> list[tuple[float, float, float, float]]:
    """The curve that the first of the rows' results holds."""
    found = [result for label in labels for result in findings.results.get(f"{exhibit.id}/{label}", ())]
    curves = found[0].curves if found else {}
    y = next((curve for name, curve in curves.items() if name != "x"), ())
    return [(x, value, math.nan, math.nan) for x, value in zip(curves.get("x", ()), y, strict=True)]


def _players(findings: Findings, exhibit: Exhibit, shop: Workshop) -> str:
    """The first clips of each row, to be heard."""
    rows = []
    for row in exhibit.rows if exhibit.players else ():
        results = findings.results.get(f"{exhibit.id}/{row.label}", ())
        if results and results[0].made:
            clips = [shop.folder / results[0].made / f"{name}.flac" for name in results[0].ids[: exhibit.players]]
            heard = "".join(f"<td>{_player(clip)}</td>" for clip in clips if clip.is_file())
            rows.append(f"<tr><th>{html.escape(row.label)}</th>{heard}</tr>" if heard else "")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>' if any(rows) else ""


def _player(clip: Path) -> str:
    """A clip within the page, as Vorbis."""
    audio, rate = soundfile.read(clip, dtype="float32")
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format="OGG", subtype="VORBIS")
    return f'<audio controls preload="none" src="data:audio/ogg;base64,{base64.b64encode(buffer.getvalue()).decode()}"></audio>'
