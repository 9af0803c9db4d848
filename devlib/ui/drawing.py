"""Drawings of figures as SVG, for places where no script runs: a code-hosting site, an executed notebook.

They are the same for the same figure, so that nbval can compare them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

_WIDTH = 720
_LEFT = 170
_BOTTOM = 26
_TITLE = 26
# Colours that can be read on white and on black.
_COLOURS = {
    "theme:registered": "#1f8a4c", "theme:aged": "#b06a00", "theme:unregistered": "#cc3b40",
    "theme:unknown": "#7a5ac0", "theme:accent": "#2f7fd1", "theme:soft": "#75808c",
}  # fmt: skip
_RING = ("#2f7fd1", "#1f8a4c", "#b06a00", "#7a5ac0", "#cc3b40", "#75808c")
_MOST_LABELS = 30
_TEXT = 'font-family="sans-serif" font-size="11" fill="#75808c"'


def drawn(figure: Mapping[str, Any], label: str, alt: str, height: int) -> str | None:
    """Return a figure as an SVG drawing with its title; `None` where its kind cannot be drawn.

    Args:
        figure: `data` and `layout` as plotly's JSON has them.
        label: the title.
        alt: what it shows.
        height: in CSS pixels, without the title.
    """
    data = figure.get("data") or []
    kinds = {each.get("type", "scatter") for each in data}
    draw = next((draw for kind, draw in _DRAWINGS.items() if kinds == {kind}), None)
    if draw is None:
        return None
    whole = height + _TITLE
    return (
        f'<svg role="img" aria-label="{escape(alt)}" width="{_WIDTH}" height="{whole}" '
        f'viewBox="0 0 {_WIDTH} {whole}" xmlns="http://www.w3.org/2000/svg">'
        f'<text x="4" y="16" {_TEXT} font-weight="bold">{escape(label)}</text>'
        f'<g transform="translate(0 {_TITLE})">{"".join(draw(data, height))}</g></svg>'
    )


def _bars(data: Sequence[Mapping[str, Any]], height: int) -> Iterator[str]:
    across = all(each.get("orientation") == "h" for each in data)
    names = list(dict.fromkeys(str(name) for each in data for name in (each["y"] if across else each["x"])))
    values = [v for each in data for v in _spans(each, across=across)]
    low, high = min((v[0] for v in values), default=0.0), max((v[1] for v in values), default=1.0)
    room = (_WIDTH - _LEFT - 10) if across else (height - _BOTTOM - 10)
    step = ((height - _BOTTOM) if across else (_WIDTH - _LEFT - 10)) / max(len(names), 1)
    scale = room / ((high - low) or 1.0)
    yield from _labels(names, step, height, across=across)
    for each in data:
        colour = _colour(each.get("marker", {}).get("color"))
        for name, (start, stop) in zip(
            each["y"] if across else each["x"], _spans(each, across=across), strict=True
        ):
            place, size = names.index(str(name)) * step, max((stop - start) * scale, 1.0)
            at = (start - low) * scale
            if across:
                yield _box(_LEFT + at, place + 2, size, step - 4, colour)
            else:
                yield _box(_LEFT + place + 2, height - _BOTTOM - at - size, step - 4, size, colour)


def _spans(trace: Mapping[str, Any], *, across: bool) -> list[tuple[float, float]]:
    lengths = [float(each or 0) for each in trace["x" if across else "y"]]
    if "base" not in trace:
        return [(0.0, each) for each in lengths]
    starts = [_number(each) for each in trace["base"]]
    return [(start, start + length) for start, length in zip(starts, lengths, strict=True)]


def _lines(data: Sequence[Mapping[str, Any]], height: int) -> Iterator[str]:
    places = list(dict.fromkeys(str(x) for each in data for x in each["x"]))
    values = [float(y) for each in data for y in each["y"] if y is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    step, scale = (
        (_WIDTH - _LEFT - 10) / max(len(places) - 1, 1),
        (height - _BOTTOM - 10) / ((high - low) or 1),
    )
    for value in (low, high):
        y = height - _BOTTOM - (value - low) * scale
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" {_TEXT}>{value:g}</text>'
    yield from _ends(places, height)
    for each in data:
        colour = _colour(each.get("line", {}).get("color"))
        points = " ".join(
            f"{_LEFT + places.index(str(x)) * step:.1f},{height - _BOTTOM - (float(y) - low) * scale:.1f}"
            for x, y in zip(each["x"], each["y"], strict=True)
            if y is not None
        )
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _map(data: Sequence[Mapping[str, Any]], height: int) -> Iterator[str]:
    trace = data[0]
    numbers = [each for row in trace["z"] for each in row if each is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    wide = (_WIDTH - _LEFT - 10) / max(len(trace["x"]), 1)
    high_of_row = (height - _BOTTOM) / max(len(trace["y"]), 1)
    yield from _labels([str(each) for each in trace["y"]], high_of_row, height, across=True)
    for down, row in enumerate(trace["z"]):
        for along, number in enumerate(row):
            if number is not None:
                strength = 0.08 + 0.92 * (number - low) / ((high - low) or 1)
                yield _box(_LEFT + along * wide, down * high_of_row, wide, high_of_row, "#cc3b40", strength)
    yield from _ends([str(each) for each in trace["x"]], height)


def _rings(data: Sequence[Mapping[str, Any]], height: int) -> Iterator[str]:
    trace = data[0]
    values = dict(zip(trace["ids"], trace["values"], strict=True))
    children: dict[str, list[str]] = {}
    for name, parent in zip(trace["ids"], trace["parents"], strict=True):
        children.setdefault(parent, []).append(name)
    depth = max((name.count("/") for name in trace["ids"]), default=0) + 1
    ring = (height / 2 - 6) / (depth + 1)

    def arcs(parent: str, start: float, stop: float, level: int, hue: int) -> Iterator[str]:
        total = sum(values[each] for each in children.get(parent, ())) or 1.0
        at = start
        for place, name in enumerate(children.get(parent, ())):
            end = at + (stop - start) * values[name] / total
            colour = _RING[(place if level == 1 else hue) % len(_RING)]
            yield _arc(ring * level, ring * (level + 1), at, end, colour, f"{name}: {values[name]:g}", height)
            yield from arcs(name, at, end, level + 1, place if level == 1 else hue)
            at = end

    yield from arcs("", 0.0, 2 * math.pi, 1, 0)
    for place, name in enumerate(children.get("", ())[:_MOST_LABELS]):
        y = 16 + 15 * place
        yield _box(height + 30, y - 9, 10, 10, _RING[place % len(_RING)])
        yield f'<text x="{height + 46}" y="{y}" {_TEXT}>{escape(name)}: {values[name]:g}</text>'


def _arc(inner: float, outer: float, start: float, stop: float, colour: str, title: str, height: int) -> str:
    stop = min(stop, start + 2 * math.pi - 1e-4)
    middle, large = height / 2, int(stop - start > math.pi)

    def point(radius: float, angle: float) -> str:
        return f"{middle + radius * math.sin(angle):.1f} {middle - radius * math.cos(angle):.1f}"

    path = (
        f"M{point(outer, start)}A{outer:.1f} {outer:.1f} 0 {large} 1 {point(outer, stop)}"
        f"L{point(inner, stop)}A{inner:.1f} {inner:.1f} 0 {large} 0 {point(inner, start)}Z"
    )
    told = f"<title>{escape(title)}</title>"
    return f'<path d="{path}" fill="{colour}" stroke="#fff" stroke-width="1">{told}</path>'


def _ends(names: Sequence[str], height: int) -> Iterator[str]:
    for name, anchor, x in ((names[:1], "start", _LEFT), (names[-1:], "end", _WIDTH - 10)):
        yield f'<text x="{x}" y="{height - 8}" text-anchor="{anchor}" {_TEXT}>{escape("".join(name))}</text>'


def _labels(names: Sequence[str], step: float, height: int, *, across: bool) -> Iterator[str]:
    every = max(1, math.ceil(len(names) / _MOST_LABELS))
    for place, name in list(enumerate(names))[::every]:
        middle = (place + 0.5) * step
        where = (
            f'x="{_LEFT - 6}" y="{middle + 4:.1f}" text-anchor="end"'
            if across
            else f'x="{_LEFT + middle:.1f}" y="{height - 8}" text-anchor="middle"'
        )
        yield f"<text {where} {_TEXT}>{escape(name[:28])}</text>"


def _box(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> str:
    shown = "" if opacity == 1.0 else f' fill-opacity="{opacity:.2f}"'
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}" '
        f'fill="{colour}"{shown}/>'
    )


def _colour(name: object) -> str:
    return _COLOURS.get(str(name), "#2f7fd1")


def _number(moment: object) -> float:
    if isinstance(moment, int | float):
        return float(moment)
    return (datetime.fromisoformat(str(moment)) - datetime(1970, 1, 1)).total_seconds() * 1000  # noqa: DTZ001


_DRAWINGS = {"bar": _bars, "scatter": _lines, "heatmap": _map, "sunburst": _rings}
