"""Lines over axes as SVG, so that a report needs no other file and no other library."""

import html
import math
from collections.abc import Mapping, Sequence

Line = Sequence[tuple[float, float, float, float]]
"""Points: x, y, and the ends of y's interval (NaN where there is none)."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 300, 60, 150, 30, 40
COLOURS = ("#0b6e99", "#c9512d", "#4b8b3b", "#7a4fa3", "#a8780d", "#555555", "#c2407e", "#2aa198")


def lines(title: str, x_label: str, y_label: str, told: Mapping[str, Line], logarithmic: bool = False) -> str:
    """One picture; `logarithmic` is the axis of x.  Empty where there is no point."""
    points = [point for line in told.values() for point in line]
    if not points:
        return ""
    place = _Axes([point[0] for point in points], [y for p in points for y in p[1:] if math.isfinite(y)], logarithmic)
    parts = [f'<text x="{LEFT}" y="18" class="title">{html.escape(title)}</text>', place.frame(x_label, y_label)]
    for number, (name, line) in enumerate(told.items()):
        parts.append(_line(name, sorted(line), COLOURS[number % len(COLOURS)], number, place))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">{"".join(parts)}</svg>'


def _line(name: str, line: Line, colour: str, number: int, place: "_Axes") -> str:
    at = " ".join(f"{place.x(x):.1f},{place.y(y):.1f}" for x, y, *_ in line)
    parts = [f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for x, y, low, high in line if len(line) <= 20 else []:
        if math.isfinite(low) and math.isfinite(high):
            ends = f'y1="{place.y(low):.1f}" y2="{place.y(high):.1f}"'
            parts.append(f'<line x1="{place.x(x):.1f}" x2="{place.x(x):.1f}" {ends} stroke="{colour}"/>')
        parts.append(f'<circle cx="{place.x(x):.1f}" cy="{place.y(y):.1f}" r="3" fill="{colour}"/>')
    down, beside = TOP + 12 + 18 * number, WIDTH - RIGHT + 12
    parts.append(f'<rect x="{beside}" y="{down - 9}" width="10" height="10" fill="{colour}"/>')
    parts.append(f'<text x="{beside + 15}" y="{down}">{html.escape(name)}</text>')
    return "".join(parts)


class _Axes:
    """Where numbers lie on the paper."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], logarithmic: bool):
        self._log = logarithmic and min(xs) > 0
        self._xs = sorted(set(xs))
        self._left, self._right = _ends([self._on(x) for x in xs], 0.0)
        self._low, self._high = _ends(ys, 0.05)

    def _on(self, x: float) -> float:
        return math.log(x) if self._log else x

    def x(self, x: float) -> float:
        return LEFT + (self._on(x) - self._left) / (self._right - self._left) * (WIDTH - LEFT - RIGHT)

    def y(self, y: float) -> float:
        return HEIGHT - BOTTOM - (y - self._low) / (self._high - self._low) * (HEIGHT - TOP - BOTTOM)

    def frame(self, x_label: str, y_label: str) -> str:
        """The axes with their numbers and names."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts = [f'<path d="M{LEFT},{TOP} V{bottom} H{right}" fill="none" stroke="#888"/>']
        shown = self._xs if len(self._xs) <= 8 else [self._xs[round(i * (len(self._xs) - 1) / 5)] for i in range(6)]
        parts += [f'<text x="{self.x(x):.1f}" y="{bottom + 14}" text-anchor="middle">{x:g}</text>' for x in shown]
        for i in range(5):
            y = self._low + (self._high - self._low) * i / 4
            parts.append(f'<text x="{LEFT - 5}" y="{self.y(y) + 3:.1f}" text-anchor="end">{y:.3g}</text>')
            parts.append(f'<path d="M{LEFT},{self.y(y):.1f} H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_label)}</text>')
        middle = (TOP + bottom) / 2
        turned = f'transform="rotate(-90 14 {middle})" text-anchor="middle"'
        return "".join([*parts, f'<text x="14" y="{middle}" {turned}>{html.escape(y_label)}</text>'])


def _ends(values: Sequence[float], room: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    reach = (high - low) or abs(high) or 1.0
    return low - room * reach, high + (room * reach if high > low else reach)
