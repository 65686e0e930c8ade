"""What each format would cost each layer: the error at its output, on a sample of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.importer.block_codes import BlockCodes, NoCodes, block_codes
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.keep import fits, keep_codes
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.precision.rounding import InputMoments, error_of, round_rows
from elastix.compiler.precision.sites import Site

F32 = NDArray[np.float32]
FORMATS: Final = tuple(
    Format.parse(text)
    for text in (
        "2b g128 s8c8 asymmetric",
        "2b g64 s8c8 asymmetric",
        "2b g32 s8c8 asymmetric",
        "3b g192 s8c8 asymmetric",
        "3b g128 s8c8 asymmetric",
        "3b g64 s8c8 asymmetric",
        "3b g64 s6 half_step",
        "3b g32 s8c8 asymmetric",
        "4b g192 s8c8 asymmetric",
        "4b g128 s8c8 asymmetric",
        "4b g64 s8c8 asymmetric",
        "4b g32 s8c8 asymmetric",
        "5b g128 s8c8 asymmetric",
        "5b g64 s8c8 asymmetric",
        "6b g64 s8c8 asymmetric",
        "8b g64 s8 symmetric",
    )
)
"""What a layer may get; those that no layer ever wants cost only their seconds."""
REFERENCE: Final = Format(3, 64, "s8c8", "asymmetric")
"""At this format every layer's share of the KL is measured; the others follow by their errors."""
SAMPLED_ROWS: Final = 768
SWEEPS: Final = 2
"""Of coordinate descent, when rows are rounded for good; the sample for the choice does with none."""


@dataclass(frozen=True)
class Weights:
    """A layer's values and, where its file stores it rounded, its codes."""

    site: Site
    values: F32
    codes: BlockCodes | None

    @classmethod
    def read(cls, store: object, site: Site, values: F32) -> "Weights":
        """values: the layer's weights as fp32 [N, K]; store: what they come from."""
        found = block_codes(store, site.name)
        return cls(site, values, None if isinstance(found, NoCodes) else found)

    def corrected(self, factor: NDArray[np.float64]) -> "Weights":
        """Its rows times [K, K]: other weights, of which the file has no codes."""
        return Weights(self.site, (self.values @ factor).astype(np.float32), None)


@dataclass(frozen=True)
class RoundedLayer:
    """Rows in a format; error: share of the output's energy that is lost; kept: whether the codes are the file's."""

    rows: QuantizedRows
    error: float
    kept: bool


def round_layer(weights: Weights, moments: InputMoments, form: Format, *, sweeps: int, threads: int) -> RoundedLayer:
    """A layer in a format. Codes are kept where it holds them: rounding could win less than the file lost before."""
    name, w = weights.site.name, weights.values
    if weights.codes is not None and fits(weights.codes, form):
        rows = keep_codes(weights.codes, form, name=name).rows
        energy = error_of(np.zeros_like(w), rows, moments, threads=threads)  # only its size is wanted
        lost = error_of(w, rows, moments, threads=threads)
        return RoundedLayer(rows, float(lost.sum() / max(energy.sum(), 1e-30)), True)
    rounded = round_rows(w, moments, form, sweeps=sweeps, threads=threads, name=name)
    share = float(rounded.error.sum() / max(rounded.energy.sum(), 1e-30))
    return RoundedLayer(rounded.rows, share, False)


def sampled(weights: Weights) -> Weights:
    """At most SAMPLED_ROWS of the rows, evenly spread."""
    step = max(weights.site.rows // SAMPLED_ROWS, 1)
    here = slice(0, None, step)
    return Weights(
        weights.site,
        np.ascontiguousarray(weights.values[here]),
        None if weights.codes is None else weights.codes.rows(here),
    )


def relative_errors(
    weights: Weights,
    moments: InputMoments,
    formats: Sequence[Format],
    *,
    threads: int,
) -> list[float]:
    """For each format the share of the output's energy that is lost, on a sample of the rows."""
    part = sampled(weights)
    return [round_layer(part, moments, form, sweeps=0, threads=threads).error for form in formats]
