"""Codes that a file stores are kept, and only the scales around them are fitted to ours: no weight is rounded twice.

A group of the file is w = d·q + o. Ours is rowscale·s·(q − z), with s and z on their integer grids. With the codes
fixed the squared error of a group follows from n, Σq and Σq² alone, so all of it is a few operations per group:
Σ(w − ŵ)² = (d − δ)²·Σ(q − q̄)² + n·((d − δ)·q̄ + o + δz)², δ = rowscale·s.
Three things may be done to the codes of a group without touching what they mean: mirrored where d < 0, moved so that
their zero is the format's, and spread over a wider code.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import BlockCodes
from elastix.compiler.numbers.formats import TILE, Format
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.quantize import Quantized, chunk_rows, dequantize, quantize_rows

F64 = NDArray[np.float64]
Codes = NDArray[np.int16]
WIDEST_GROUP: Final = 256


@dataclass(frozen=True)
class Kept(Quantized):
    """Rows of kept codes; errors are against the file's values. rounded_rows: those that rounding served better."""

    rounded_rows: int


@dataclass(frozen=True)
class _Groups:
    """Codes as the format will hold them, int16 [rows, K], and their steps d ≥ 0 and offsets o, [rows, groups].

    span: from the lowest code that the file has to the highest, in codes of the format.
    """

    q: Codes
    d: F64
    o: F64
    span: int


def misfit(codes: BlockCodes, form: Format) -> str:
    """Why a format cannot hold the codes, as the end of a sentence; empty if it can.

    It can if it has as many bits, if its groups lie within the file's, and if a common zero point, where the format has
    one, is that of every group.
    """
    why = _unfit(codes, form)
    if why or form.zero == "asymmetric":
        return why
    for here in chunk_rows(codes.shape, codes.kind):
        groups = _groups(codes.rows(here), form)
        if isinstance(groups, str):
            return groups
    return ""


def _unfit(codes: BlockCodes, form: Format) -> str:
    """`misfit`, as far as shapes tell."""
    if form.bits < codes.bits:
        return f"{codes.kind} has codes of {codes.bits} bits"
    if codes.group < codes.shape[1] and codes.group % form.group:
        return f"{codes.kind} has groups of {codes.group} columns"
    return ""


def fits(codes: BlockCodes, form: Format) -> bool:
    """Whether a format can hold the codes."""
    return not misfit(codes, form)


def natural_format(codes: BlockCodes) -> Format:
    """The format of fewest bits that holds the codes: symmetric if that does, else asymmetric."""
    whole = codes.group >= codes.shape[1]
    sizes = range(WIDEST_GROUP, 0, -TILE)
    group = next((size for size in sizes if whole or codes.group % size == 0), None)
    if group is None:
        raise ElastixError(f"codes in groups of {codes.group} columns", wanted=f"a multiple of {TILE}")
    symmetric = Format(codes.bits, group, "s8", "symmetric")
    return symmetric if fits(codes, symmetric) else Format(codes.bits, group, "s8c8", "asymmetric")


def _starts(columns: int, form: Format) -> NDArray[np.intp]:
    return np.arange(0, columns, form.group)


def _groups(codes: BlockCodes, form: Format) -> _Groups | str:
    """The codes mirrored, moved and spread as the format needs them; or why that cannot be."""
    columns = codes.shape[1]
    of = _starts(columns, form) // codes.group
    d, o = codes.scale[:, of].astype(np.float64), codes.offset[:, of].astype(np.float64)
    q = codes.q.astype(np.int16)
    group: NDArray[np.intp] = np.arange(columns) // form.group
    top, mirrored = (1 << codes.bits) - 1, d < 0
    if mirrored.any():
        q = np.where(mirrored[:, group], np.int16(top) - q, q)
        d, o = np.abs(d), np.where(mirrored, o + top * d, o)
    if form.zero == "asymmetric":
        spread = 1 << (form.bits - codes.bits)
        return _Groups(q * np.int16(spread), d / spread, o, top * spread)
    shift = -np.divide(o, d, out=np.zeros_like(o), where=d > 0) - form.z16 / 16
    shift = np.where(d > 0, shift, 0)
    if (shift != np.rint(shift)).any() or (o[d == 0] != 0).any():
        return f"{codes.kind} has zero points that are not {form.zero}"
    if shift.any():
        q = q - shift[:, group].astype(np.int16)
    if q.min(initial=0) < 0 or q.max(initial=0) >> form.bits:
        return f"{codes.kind} has codes on either side of zero that {form} has not"
    return _Groups(q, d, o + d * shift, top)


@dataclass(frozen=True)
class _Sums:
    """Columns of each group [groups]; mean and Σ(q − q̄)² of its codes [rows, groups]."""

    n: F64
    mean: F64
    spread: F64

    @classmethod
    def of(cls, q: Codes, form: Format) -> "_Sums":
        starts = _starts(q.shape[1], form)
        n = np.diff(np.append(starts, q.shape[1])).astype(np.float64)
        wide = q.astype(np.int64)
        first, second = (np.add.reduceat(each, starts, axis=1).astype(np.float64) for each in (wide, wide * wide))
        return cls(n, first / n, second - first * first / n)

    def error(self, step_off: F64, mean_off: F64 | float) -> F64:
        """Σ of squares of each group, whose steps are off by `step_off` and whose values at code 0 by `mean_off`."""
        return step_off**2 * self.spread + self.n * (step_off * self.mean + mean_off) ** 2


def _row_scales(d: F64, form: Format) -> F64:
    """The least bf16 of each row that lets every s fit; the stored one, a sixteenth, must be normal."""
    largest = d.max(axis=1)
    wanted = np.maximum(largest / form.scale_maximum, 2.0**-122).astype(np.float32)
    above = (wanted.view(np.uint32) + np.uint32(0xFFFF)) >> 16 << 16
    return np.where(largest > 0, above.view(np.float32), 0).astype(np.float64)


def _fit(groups: _Groups, sums: _Sums, rowscale: F64, form: Format) -> tuple[F64, F64, F64]:
    """s and z of each group, of least error among the s beside d/rowscale, and that error."""
    scale, free = rowscale[:, None], form.zero == "asymmetric"
    middle = np.rint(np.divide(groups.d, scale, out=np.zeros_like(groups.d), where=scale > 0))
    best, best_s, best_z = np.full_like(middle, np.inf), middle, middle
    for move in (0, -1, 1) if free else (0,):
        s = np.clip(middle + move, 0, form.scale_maximum)
        step = s * scale
        z = _zeros(groups, sums, step, form) if free else np.full_like(s, form.z16 / 16)
        error = sums.error(groups.d - step, groups.o + step * z)
        better = error < best
        best, best_s, best_z = (np.where(better, a, b) for a, b in ((error, best), (s, best_s), (z, best_z)))
    return best_s, best_z, best


def _zeros(groups: _Groups, sums: _Sums, step: F64, form: Format) -> F64:
    """The zero points of the format nearest to those that leave a group's mean as it is."""
    wanted = -((groups.d - step) * sums.mean + groups.o)
    z = np.divide(wanted, step, out=np.zeros_like(step), where=step > 0)
    return np.clip(np.rint(z / form.z_step) * form.z_step, 0, (1 << form.bits) - form.z_step)


def keep_codes(codes: BlockCodes, form: Format, *, name: str = "") -> Kept:
    """The rows with their codes, in a format that fits them; the same for any way to cut the rows into pieces.

    A row that would lose more than by rounding evenly to the format's bits (its zero points lie beyond the codes, or
    between those of a coarse grid) is rounded anew where that loses less.
    Raises ElastixError where the format does not fit, and on scales that are not finite, naming the tensor.
    """
    return _joined([_kept(codes.rows(here), form, name) for here in chunk_rows(codes.shape, name)])


def _kept(codes: BlockCodes, form: Format, name: str) -> Kept:
    if not (np.isfinite(codes.scale).all() and np.isfinite(codes.offset).all()):
        raise ElastixError(f"NaN or infinity among the scales of {name or 'a layer'}", wanted="finite weights")
    groups = _unfit(codes, form) or _groups(codes, form)
    if isinstance(groups, str):
        raise ElastixError(f"{name or 'a layer'} in format {form}: {groups}", wanted="a format that fits")
    sums = _Sums.of(groups.q, form)
    rowscale = _row_scales(groups.d, form)
    s, z, errors = _fit(groups, sums, rowscale, form)
    rows = QuantizedRows(
        format=form,
        codes=groups.q.astype(np.uint8),
        scales=s.astype(np.uint8),
        rowscale=(np.ldexp(rowscale, -4).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16),
        zeros=np.rint(z / form.z_step * form.c8_step).astype(np.uint8) if form.zero == "asymmetric" else None,
    )
    # A uniform error within ±δ/2 has the mean square δ²/12.
    even = (groups.d * groups.span / ((1 << form.bits) - 1)) ** 2 / 12 * sums.n
    error, energy = errors.sum(axis=1), sums.error(groups.d, groups.o).sum(axis=1)
    worse = np.flatnonzero(error > even.sum(axis=1))
    if worse.size:
        return _some_rounded(Kept(rows, 0, float(energy.sum()), 0), error, worse, codes.rows(worse).values(), name)
    return Kept(rows, float(error.sum()), float(energy.sum()), 0)


def _some_rounded(kept: Kept, error: F64, which: NDArray[np.intp], values: NDArray[np.float32], name: str) -> Kept:
    """Those of some rows, of these values, rounded anew that lose less so; error: of each row as kept."""
    old, new = kept.rows, quantize_rows(values, kept.rows.format, name=name).rows
    lost = ((dequantize(new).astype(np.float64) - values) ** 2).sum(axis=1)
    better = lost < error[which]
    for mine, theirs in ((old.codes, new.codes), (old.scales, new.scales), (old.rowscale, new.rowscale)):
        mine[which[better]] = theirs[better]
    if old.zeros is not None and new.zeros is not None:
        old.zeros[which[better]] = new.zeros[better]
    total = error.sum() + (lost - error[which])[better].sum()
    return Kept(old, float(total), kept.energy, int(better.sum()))


def _joined(parts: list[Kept]) -> Kept:
    rows = [part.rows for part in parts]
    zeros = [r.zeros for r in rows if r.zeros is not None]
    joined = QuantizedRows(
        rows[0].format,
        np.concatenate([r.codes for r in rows]),
        np.concatenate([r.scales for r in rows]),
        np.concatenate([r.rowscale for r in rows]),
        np.concatenate(zeros) if zeros else None,
    )
    error, energy = (sum(values) for values in zip(*((part.error, part.energy) for part in parts), strict=True))
    return Kept(joined, error, energy, sum(part.rounded_rows for part in parts))
