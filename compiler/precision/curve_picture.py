"""KL against size: the curve of the best choices, the chosen one, and others to compare with."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Final

from elastix.compiler.precision import svg
from elastix.compiler.precision.allocate import Point

WIDTH: Final = 760
HEIGHT: Final = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 36, 58, 64
_CURVE, _CHOSEN, _OTHER = "#2f6fb5", "#d9480f", "#7a8794"
_NAME_WIDTH: Final = 60
_FLOOR: Final = 1e-6
"""KL below which a logarithm says nothing."""


@dataclass(frozen=True)
class Curve:
    """points: of the curve, as predicted; chosen: what the plan has, as predicted; measured: its KL, if it was;
    others: other choices with their names, such as one format for all; weights: of the streams, for bits a weight."""

    points: tuple[Point, ...]
    chosen: Point
    weights: int
    measured: float | None = None
    others: tuple[tuple[str, Point], ...] = ()

    def bits(self, size: int) -> float:
        """Bits a weight of a size in bytes."""
        return 8 * size / self.weights


@dataclass(frozen=True)
class Axes:
    """What part of the plane is shown: bits a weight, and the logarithm of KL to the base 10."""

    low: float
    high: float
    bottom: float
    top: float

    @classmethod
    def of(cls, curve: Curve) -> "Axes":
        """All points, with a margin, and whole powers of 10."""
        points = [*curve.points, curve.chosen, *(point for _, point in curve.others)]
        kls = [each.kl for each in points] + ([] if curve.measured is None else [curve.measured])
        bits = [curve.bits(each.bytes) for each in points]
        logs = [math.log10(max(kl, _FLOOR)) for kl in kls]
        margin = 0.04 * (max(bits) - min(bits)) or 0.5
        bottom, top = math.floor(min(logs)), math.ceil(max(logs))
        return cls(min(bits) - margin, max(bits) + margin, bottom, max(top, bottom + 1))

    def across(self, bits: float) -> float:
        """From 0 at the left to 1."""
        return (bits - self.low) / (self.high - self.low)

    def up(self, kl: float) -> float:
        """From 0 at the bottom to 1."""
        return (math.log10(max(kl, _FLOOR)) - self.bottom) / (self.top - self.bottom)

    def steps(self) -> list[float]:
        """Bits a weight at which to mark the axis: every 1, or finer where the range is small."""
        step = next(each for each in (0.05, 0.1, 0.25, 0.5, 1, 2) if (self.high - self.low) / each < 10 or each == 2)
        first = math.ceil(self.low / step)
        return [step * each for each in range(first, math.floor(self.high / step) + 1)]


def curve_svg(curve: Curve) -> str:
    """The picture as a file."""
    return svg.picture(
        WIDTH, HEIGHT, f"KL against bits a weight; {chosen_line(curve)}", _elements(curve, Axes.of(curve))
    )


def chosen_line(curve: Curve) -> str:
    """The chosen point in words."""
    found = curve.chosen
    measured = "" if curve.measured is None else f", measured {curve.measured:.4f}"
    return (
        f"{curve.bits(found.bytes):.3f} bits a weight, {found.bytes / 1e6:.1f} MB a token, "
        f"KL {found.kl:.4f} predicted{measured}"
    )


def _elements(curve: Curve, axes: Axes) -> Iterator[str]:
    def x(bits: float) -> float:
        return _LEFT + axes.across(bits) * (WIDTH - _LEFT - _RIGHT)

    def y(kl: float) -> float:
        return HEIGHT - _BOTTOM - axes.up(kl) * (HEIGHT - _TOP - _BOTTOM)

    def place(point: Point) -> tuple[float, float]:
        return x(curve.bits(point.bytes)), y(point.kl)

    yield svg.text(24, 26, "What a size costs", size=16, bold=True)
    yield svg.text(24, 44, f"chosen: {chosen_line(curve)}", fill=svg.FAINT)
    for power in range(round(axes.bottom), round(axes.top) + 1):
        height = y(10.0**power)
        yield svg.line(_LEFT, height, WIDTH - _RIGHT, height)
        yield svg.text(_LEFT - 8, height + 4, f"{10.0**power:g}", anchor="end", fill=svg.FAINT)
    for bits in axes.steps():
        yield svg.line(x(bits), _TOP, x(bits), HEIGHT - _BOTTOM)
        yield svg.text(x(bits), HEIGHT - _BOTTOM + 18, f"{bits:g}", anchor="middle")
        size = f"{bits * curve.weights / 8e6:,.0f} MB"
        yield svg.text(x(bits), HEIGHT - _BOTTOM + 34, size, anchor="middle", fill=svg.FAINT, size=11)
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield svg.text(middle, HEIGHT - 12, "bits a weight, and bytes read a token", anchor="middle", fill=svg.FAINT)
    yield svg.text(24, _TOP + 4, "KL", fill=svg.FAINT)
    yield svg.path([place(point) for point in curve.points], stroke=_CURVE)
    for point in curve.points:
        yield svg.dot(*place(point), 2.5, fill=_CURVE, hint=_hint("best choice", curve, point))
    others = sorted(curve.others, key=lambda each: each[1].bytes)
    for (name, point), following in zip_longest(others, others[1:]):
        across, height = place(point)
        close = following is not None and place(following[1])[0] - across < _NAME_WIDTH
        side, anchor = (-6, "end") if close else (8, "start")
        yield svg.dot(across, height, 4, fill=_OTHER, hint=_hint(name, curve, point))
        yield svg.text(across + side, height - 7, name, anchor=anchor, fill=svg.FAINT, size=11)
    across, height = place(curve.chosen)
    yield svg.dot(across, height, 6.5, fill=_CHOSEN, hint=_hint("chosen", curve, curve.chosen))
    if curve.measured is not None:
        hint = f"measured: KL {curve.measured:.4g}"
        yield svg.dot(across, y(curve.measured), 4, fill="#ffffff", stroke=_CHOSEN, hint=hint)
    yield from _legend(curve)


def _legend(curve: Curve) -> Iterator[str]:
    entries = [(_CURVE, _CURVE, "best at each size"), (_CHOSEN, _CHOSEN, "chosen, predicted")]
    if curve.measured is not None:
        entries.append(("#ffffff", _CHOSEN, "chosen, measured"))
    if curve.others:
        entries.append((_OTHER, _OTHER, "one format for all"))
    left, top = WIDTH - _RIGHT - 150, _TOP + 10
    yield svg.box(left - 10, top - 4, 154, 20 * len(entries) + 6, fill="#ffffff")
    for row, (fill, stroke, words) in enumerate(entries):
        yield svg.dot(left, top + 10 + 20 * row, 4.5, fill=fill, stroke=stroke)
        yield svg.text(left + 12, top + 14 + 20 * row, words)


def _hint(name: str, curve: Curve, point: Point) -> str:
    return f"{name}: {curve.bits(point.bytes):.3f} bits a weight, {point.bytes:,} bytes a token, KL {point.kl:.4g}"


def curve_text(curve: Curve, *, width: int = 64, height: int = 12) -> list[str]:
    """The picture for a terminal: `·` the curve, `o` other choices, `x` the measured KL, `◆` the chosen point."""
    axes = Axes.of(curve)
    cells = [[" "] * width for _ in range(height)]

    def put(bits: float, kl: float, sign: str) -> None:
        column, row = round(axes.across(bits) * (width - 1)), round((1 - axes.up(kl)) * (height - 1))
        cells[row][column] = sign

    for bits, kl in _interpolated(curve, width):
        put(bits, kl, "·")
    for _, point in curve.others:
        put(curve.bits(point.bytes), point.kl, "o")
    if curve.measured is not None:
        put(curve.bits(curve.chosen.bytes), curve.measured, "x")
    put(curve.bits(curve.chosen.bytes), curve.chosen.kl, "◆")
    labels = {
        round((1 - axes.up(10.0**p)) * (height - 1)): f"{10.0**p:g}"
        for p in range(round(axes.bottom), round(axes.top) + 1)
    }
    rows = [f"{labels.get(row, ''):>8} ┤{''.join(each).rstrip()}" for row, each in enumerate(cells)]
    marks = [" "] * (width + 8)
    for bits in axes.steps():
        start = round(axes.across(bits) * (width - 1))
        for place, sign in enumerate(f"{bits:g}"):
            marks[start + place] = sign
    key = "◆ chosen, predicted" + ("" if curve.measured is None else "   x measured") + "   · best at each size"
    others = "   o one format for all" if curve.others else ""
    foot = [" " * 9 + "└" + "─" * width, " " * 10 + "".join(marks).rstrip() + "  bits a weight"]
    return ["KL to fp32 against bits a weight", *rows, *foot, f"{'':10}{key}{others}"]


def _interpolated(curve: Curve, count: int) -> Iterator[tuple[float, float]]:
    """The curve at evenly spaced sizes, straight in the logarithm between its points."""
    points = sorted(curve.points, key=lambda each: each.bytes)
    for a, b in pairwise(points):
        steps = max(1, round(count * (b.bytes - a.bytes) / max(points[-1].bytes - points[0].bytes, 1)))
        for step in range(steps + 1):
            part = step / steps
            log = (1 - part) * math.log(max(a.kl, _FLOOR)) + part * math.log(max(b.kl, _FLOOR))
            yield curve.bits(round(a.bytes + part * (b.bytes - a.bytes))), math.exp(log)
