"""Small SVG pictures: elements as text, on a light ground, in the fonts that a viewer has."""

from collections.abc import Iterable
from html import escape
from typing import Final

INK: Final = "#1f2933"
FAINT: Final = "#6b7785"
GRID: Final = "#e3e8ee"


def picture(width: float, height: float, title: str, elements: Iterable[str]) -> str:
    """A whole file of that size in pixels; `title` is what a screen reader says."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_number(width)}" height="{_number(height)}" '
        f'viewBox="0 0 {_number(width)} {_number(height)}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif" font-size="12">'
    )
    ground = f'<rect width="{_number(width)}" height="{_number(height)}" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *elements, "</svg>", ""])


def text(
    x: float, y: float, words: str, *, anchor: str = "start", fill: str = INK, size: float = 12, bold: bool = False
) -> str:
    """Words at their base line; anchor: `start`, `middle` or `end`."""
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}" fill="{fill}" '
        f'font-size="{_number(size)}"{weight}>{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = GRID, width: float = 1, dash: str = "") -> str:
    """A straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    ends = " ".join(
        f'{name}="{_number(at)}"' for name, at in zip(("x1", "y1", "x2", "y2"), (x1, y1, x2, y2), strict=True)
    )
    return f'<line {ends} stroke="{stroke}" stroke-width="{_number(width)}"{dashes}/>'


def path(points: Iterable[tuple[float, float]], *, stroke: str, width: float = 2) -> str:
    """A line through points."""
    places = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
    style = f'fill="none" stroke="{stroke}" stroke-width="{_number(width)}" stroke-linejoin="round"'
    return f'<polyline points="{places}" {style}/>'


def dot(x: float, y: float, radius: float, *, fill: str, stroke: str = "#ffffff", hint: str = "") -> str:
    """A disc with a rim; hint: what a pointer over it shows."""
    place = f'cx="{_number(x)}" cy="{_number(y)}" r="{_number(radius)}"'
    return _hinted("circle", f'<circle {place} fill="{fill}" stroke="{stroke}" stroke-width="1.5"', hint)


def box(x: float, y: float, width: float, height: float, *, fill: str, hint: str = "") -> str:
    """A filled rectangle."""
    sizes = f'width="{_number(width)}" height="{_number(height)}"'
    return _hinted("rect", f'<rect x="{_number(x)}" y="{_number(y)}" {sizes} rx="2" fill="{fill}"', hint)


def _hinted(tag: str, opened: str, hint: str) -> str:
    return f"{opened}><title>{escape(hint)}</title></{tag}>" if hint else f"{opened}/>"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
