"""Bits of every layer at a glance: a row for each kind of layer, a column for each block of the model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from elastix.compiler.precision import svg
from elastix.compiler.precision.planned_layer import PlannedLayer

SHADES: Final = ("#f2a65a", "#f8c98a", "#fde5bd", "#dcebf8", "#a9cdec", "#6fa9db", "#3a7fbe", "#17548c")
"""Of 1 … 8 bits: warm below 4 bits, cool from there on."""
BARS: Final = "▁▂▃▄▅▆▇█"
"""Of 1 … 8 bits."""
_INDEX: Final = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class Kind:
    """Layers whose names differ only in the number of their block, by that number; −1 is a layer of no block."""

    name: str
    layers: dict[int, PlannedLayer]

    @property
    def bits(self) -> float:
        """Mean bits of a code, weights counted."""
        return sum(each.format.bits * each.rows * each.columns for each in self.layers.values()) / self.weights

    @property
    def weights(self) -> int:
        return sum(each.rows * each.columns for each in self.layers.values())

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.layers.values())

    @property
    def kl(self) -> float:
        return sum(each.kl for each in self.layers.values())

    @property
    def formats(self) -> str:
        """The formats of its layers but for the bits: `s8c8 asymmetric g64, g128`."""
        groups: dict[str, set[int]] = {}
        for form in sorted({each.format for each in self.layers.values()}, key=str):
            groups.setdefault(f"{form.scale} {form.zero}", set()).add(form.group)
        return "; ".join(f"{name} {', '.join(f'g{size}' for size in sorted(of))}" for name, of in groups.items())


def kinds(layers: Sequence[PlannedLayer]) -> list[Kind]:
    """All layers by kind, in the order of the model."""
    found: dict[str, dict[int, PlannedLayer]] = {}
    for layer in layers:
        short = layer.name.removesuffix(".weight")
        index = _INDEX.search(short)
        name = short if index is None else short[index.end() :]
        found.setdefault(name, {})[-1 if index is None else int(index[1])] = layer
    return [Kind(name, members) for name, members in found.items()]


def bits_svg(layers: Sequence[PlannedLayer]) -> str:
    """The picture as a file."""
    found = kinds(layers)
    blocks = 1 + max((index for kind in found for index in kind.layers), default=0)
    cell = min(24.0, max(9.0, 720 / max(blocks, 1)))
    left = 34 + 7.2 * max((len(_shown(kind.name)) for kind in found), default=0)
    width = left + cell * max(blocks, 4) + 190
    height = 92 + 26 * len(found) + 44
    return svg.picture(width, height, "Bits of every layer", _elements(found, blocks, cell, left, height))


def _elements(found: list[Kind], blocks: int, cell: float, left: float, height: float) -> Iterator[str]:
    yield svg.text(24, 26, "Bits of every layer", size=16, bold=True)
    yield svg.text(24, 44, "a column for each block of the model", fill=svg.FAINT)
    right, top = left + cell * max(blocks, 4), 84
    for words, place in (("mean", right + 46), ("MB", right + 104), ("KL", right + 166)):
        yield svg.text(place, top - 10, words, anchor="end", fill=svg.FAINT, size=11)
    every = 1 if cell >= 18 else 5
    for block in range(0, blocks if blocks > 1 else 0, every):
        yield svg.text(left + cell * (block + 0.5), top - 10, str(block), anchor="middle", fill=svg.FAINT, size=10)
    for row, kind in enumerate(found):
        y = top + 26 * row
        yield svg.text(left - 10, y + 16, _shown(kind.name), anchor="end")
        for index, layer in kind.layers.items():
            yield from _cell(layer, left + cell * max(index, 0), y, cell)
        for words, place in ((f"{kind.bits:.2f}", 46), (f"{kind.bytes / 1e6:.2f}", 104), (f"{kind.kl:.2g}", 166)):
            yield svg.text(right + place, y + 16, words, anchor="end")
    for bits, shade in enumerate(SHADES, 1):
        x = left + 26 * (bits - 1)
        yield svg.box(x, height - 32, 24, 18, fill=shade)
        yield svg.text(x + 12, height - 19, str(bits), anchor="middle", fill=_ink(bits), size=11)
    yield svg.text(left + 26 * len(SHADES) + 8, height - 19, "bits of a code", fill=svg.FAINT, size=11)


def _cell(layer: PlannedLayer, x: float, y: float, cell: float) -> Iterator[str]:
    bits = layer.format.bits
    parts = (layer.name, str(layer.format), f"error {layer.error:.2e}", f"KL {layer.kl:.2e}", layer.why)
    yield svg.box(x + 0.5, y, cell - 1, 22, fill=SHADES[bits - 1], hint="\n".join(part for part in parts if part))
    if cell >= 12:
        yield svg.text(x + cell / 2, y + 15, str(bits), anchor="middle", fill=_ink(bits), size=11)


def _ink(bits: int) -> str:
    return "#ffffff" if bits >= 6 else svg.INK


def _shown(name: str) -> str:
    """A name that fits beside the cells: views of a tensor are shortened."""
    return name if len(name) <= 34 else name[:33] + "…"


def bars(kind: Kind) -> str:
    """Its layers' bits as a row of bars, one for each block."""
    return "".join(BARS[kind.layers[index].format.bits - 1] for index in sorted(kind.layers))
