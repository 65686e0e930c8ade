"""Float weights to codes, group scales, row scales and zero points of least squared error.

Per group, first the step δ in floating point: a few clippings of its range, each with the step that least squares gives
for the codes it leads to, δ* = Σuv/Σv² (v = q − z). Then the row scale: a bf16 just large enough that every s fits.
Then s itself, and z where it is free, on the actual integer grid: the neighbours of δ*/rowscale are tried and the one
of least error stays. Rows are scaled by a power of two first, so tiny and huge ones lose nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.fp32 import flush
from elastix.compiler.numbers.pack import QuantizedRows

F32 = NDArray[np.float32]
T = TypeVar("T")
U = TypeVar("U")
CHUNK: Final = 1 << 15
"""Weights quantized at a time: three fp32 arrays of this size stay in a core's L2 cache."""
CLIPPINGS: Final[dict[int, tuple[float, ...]]] = {
    8: (1.0, 0.96),
    7: (1.0, 0.95),
    6: (1.0, 0.95, 0.9),
    5: (1.0, 0.94, 0.88, 0.82),
    4: (1.0, 0.93, 0.86, 0.79, 0.72),
    3: (1.0, 0.9, 0.8, 0.7, 0.6, 0.5),
    2: (1.0, 0.87, 0.75, 0.63, 0.52, 0.42, 0.32),
    1: (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2),
}
"""Parts of a group's range that the codes are tried on, per bits; fewer bits gain more from clipping."""


@dataclass(frozen=True)
class Quantized:
    """Rows with what they lost: `error` = Σ(w − ŵ)², `energy` = Σw², both in units of the tensor's own squares."""

    rows: QuantizedRows
    error: float
    energy: float


@dataclass
class _Part:
    """Equally long groups of a chunk: u [rows, groups, n], scaled rows; step, z and s [rows, groups] once found."""

    columns: slice
    u: F32
    step: F32
    z: F32
    s: F32


def _parts(u: F32, form: Format) -> list[_Part]:
    """Full groups, and the short last one if there is one."""
    n, k = u.shape
    full = k // form.group * form.group
    parts: list[_Part] = []
    for start, stop, size in ((0, full, form.group), (full, k, k - full)):
        if stop > start:
            piece = np.ascontiguousarray(u[:, start:stop]).reshape(n, -1, size)
            empty = np.zeros(piece.shape[:2], np.float32)
            parts.append(_Part(slice(start, stop), piece, empty, np.full_like(empty, form.z16 / 16), empty.copy()))
    return parts


def _codes(u: F32, step: F32, z: F32, top: int) -> F32:
    """q = clamp(RNE(u/δ + z), 0, 2^b − 1); a step of 0 gives code 0."""
    inverse = np.divide(1, step, out=np.zeros_like(step), where=step > 0)
    q = u * inverse[..., None]
    q += z[..., None]
    np.rint(q, out=q)
    np.maximum(q, 0, out=q)
    np.minimum(q, top, out=q)
    return q


def _dot(a: F32, b: F32) -> F32:
    return np.einsum("rgk,rgk->rg", a, b)


def _error(u: F32, step: F32, z: F32, top: int) -> F32:
    """Σ(u − δ·(q − z))² of each group."""
    v = _codes(u, step, z, top)
    v -= z[..., None]
    v *= step[..., None]
    v -= u
    return _dot(v, v)


def _centre(low: F32, high: F32, step: F32, form: Format) -> F32:
    """The z of asymmetric groups that puts their range's middle on the codes' middle."""
    middle = np.divide(low + high, step, out=np.zeros_like(step), where=step > 0)
    return _allowed(np.float32(0.5 * ((1 << form.bits) - 1)) - np.float32(0.5) * middle, form)


def _allowed(z: F32, form: Format) -> F32:
    """The nearest zero points that the format has."""
    step, top = np.float32(form.z_step), np.float32((1 << form.bits) - form.z_step)
    return np.clip(np.rint(z / step) * step, 0, top).astype(np.float32)


def _find_steps(part: _Part, form: Format) -> None:
    """Step (and z) of each group in floating point: the clipping that leaves the least squared error."""
    u, top = part.u, (1 << form.bits) - 1
    low, high = np.minimum(u.min(axis=2), 0), np.maximum(u.max(axis=2), 0)
    half = form.z16 / 16
    if form.zero == "asymmetric":
        widest = (high - low) / top
    else:
        widest = np.maximum(high / max(top - half, 0.5), -low / half).astype(np.float32)
    best = np.full_like(widest, -1.0)
    for clipping in CLIPPINGS[form.bits]:
        step = (widest * np.float32(clipping)).astype(np.float32)
        z = _centre(low, high, step, form) if form.zero == "asymmetric" else np.full_like(step, half)
        v = _codes(u, step, z, top)
        v -= z[..., None]
        a, b = _dot(u, v), _dot(v, v)
        fitted = np.divide(a, b, out=np.zeros_like(a), where=b > 0)
        gain = a * fitted
        better = (gain > best) & (fitted > 0)
        np.copyto(best, gain, where=better)
        np.copyto(part.step, fitted, where=better)
        np.copyto(part.z, z, where=better)


def _fit_scales(part: _Part, rowscale: F32, form: Format) -> F32:
    """s (and z) of each group on the integer grid: the best neighbours of δ/rowscale. Returns Σ(u − δ(q − z))²."""
    top, scale = (1 << form.bits) - 1, rowscale[:, None]
    middle = np.rint(np.divide(part.step, scale, out=np.zeros_like(part.step), where=scale > 0))
    best = np.full_like(part.step, np.inf)

    def attempt(s: F32, z: F32) -> None:
        s = np.clip(s, 0, form.scale_maximum)
        error = _error(part.u, s * scale, z, top)
        better = error < best
        np.copyto(best, error, where=better)
        np.copyto(part.s, s, where=better)
        np.copyto(part.z, z, where=better)

    for move in (-1, 0, 1):
        attempt(middle + np.float32(move), part.z)
    if form.zero == "asymmetric":
        for half in (0.5, 0.25, 0.125, 0.0625):
            if half >= form.z_step:
                attempt(part.s, _allowed(part.z - np.float32(half), form))
                attempt(part.s, _allowed(part.z + np.float32(half), form))
        attempt(part.s - 1, part.z)
        attempt(part.s + 1, part.z)
    return best


def _row_exponents(w: F32) -> NDArray[np.int32]:
    """k of each row such that w·2^−k lies within ±4 and 2^−k is a normal fp32."""
    largest = np.abs(w).max(axis=1, initial=0.0)
    exponents = ((largest.view(np.uint32) >> 23) & 0xFF).astype(np.int32) - 127
    return np.clip(exponents, -126, 126)


def _row_scales(steps: F32, exponents: NDArray[np.int32], form: Format) -> F32:
    """The least bf16 of each row, in units of u, that lets every s fit; of 16 neighbours the best gained under 2 %."""
    # The stored row scale is a sixteenth and must be normal, so in units of u it is at least 2^(−122 − k).
    largest = steps.max(axis=1)
    least = np.ldexp(np.float32(1), np.maximum(-122 - exponents, -126))
    wanted = np.maximum(largest / np.float32(form.scale_maximum), least).astype(np.float32)
    above = (wanted.view(np.uint32) + np.uint32(0xFFFF)) >> 16 << 16
    return np.where(largest > 0, above.view(np.float32), 0).astype(np.float32)


def quantize_rows(w: NDArray[np.float32], form: Format, *, name: str = "") -> Quantized:
    """Rows [n, K] of a layer. Raises ElastixError that names the tensor where a weight is NaN or infinite."""
    w = np.ascontiguousarray(w, np.float32)
    if not np.isfinite(w).all():
        raise ElastixError(f"NaN or infinity among the weights of {name or 'a layer'}", wanted="finite weights")
    w = flush(w)
    n, k = w.shape
    exponents = _row_exponents(w)
    u = w * np.ldexp(np.float32(1), -exponents)[:, None]
    parts = _parts(u, form)
    for part in parts:
        _find_steps(part, form)

    rowscale = _row_scales(np.concatenate([part.step for part in parts], axis=1), exponents, form)
    codes, error = np.empty((n, k), np.uint8), np.zeros(n)
    for part in parts:
        error += _fit_scales(part, rowscale, form).sum(axis=1, dtype=np.float64)
        step = part.s * rowscale[:, None]
        codes[:, part.columns] = _codes(part.u, step, part.z, (1 << form.bits) - 1).reshape(n, -1)
    units = np.ldexp(1.0, 2 * exponents)
    stored = np.ldexp(rowscale, exponents - 4)
    rows = QuantizedRows(
        format=form,
        codes=codes,
        scales=np.concatenate([part.s for part in parts], axis=1).astype(np.uint8),
        rowscale=(stored.view(np.uint32) >> 16).astype(np.uint16),
        zeros=(np.concatenate([part.z for part in parts], axis=1) * np.float32(256 >> form.bits)).astype(np.uint8)
        if form.zero == "asymmetric"
        else None,
    )
    energy = np.einsum("rk,rk->r", u, u).astype(np.float64)
    return Quantized(rows, float((error * units).sum()), float((energy * units).sum()))


def chunk_rows(shape: tuple[int, ...], name: str, multiple: int = 1) -> list[slice]:
    """A layer [N, K] as slices of whole rows, each but the last a multiple of `multiple` rows, whatever the threads.

    Raises ElastixError for a shape that is no layer's.
    """
    if len(shape) != 2 or 0 in shape:
        raise ElastixError(f"weights {name} of shape {list(shape)}", wanted="two dimensions, neither of them 0")
    rows = max(CHUNK // shape[1] // multiple, 1) * multiple
    return [slice(start, min(start + rows, shape[0])) for start in range(0, shape[0], rows)]


def map_in_order(function: Callable[[T], U], items: Iterable[T], threads: int) -> Iterator[U]:
    """`map`, on several threads, a bounded number of items ahead; results in the order of the items."""
    if threads < 2:
        yield from map(function, items)
        return
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(function, item) for item in islice(rest, 4 * threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(rest, 1))


def quantize(w: NDArray[np.float32], form: Format, *, name: str = "", threads: int = 2) -> Quantized:
    """A whole layer [N, K] at once; the same result for any number of threads."""
    slices = chunk_rows(w.shape, name)
    chunks = list(map_in_order(lambda here: quantize_rows(w[here], form, name=name), slices, threads))
    rows = [chunk.rows for chunk in chunks]
    zeros = [r.zeros for r in rows if r.zeros is not None]
    joined = QuantizedRows(
        form,
        np.concatenate([r.codes for r in rows]),
        np.concatenate([r.scales for r in rows]),
        np.concatenate([r.rowscale for r in rows]),
        np.concatenate(zeros) if zeros else None,
    )
    return Quantized(joined, sum(c.error for c in chunks), sum(c.energy for c in chunks))


def dequantize(rows: QuantizedRows) -> NDArray[np.float32]:
    """The weights that the codes stand for, as C11 has them: fp32 [rows, K]."""
    tall, wide = rows.scales.shape
    padded = np.zeros((tall, wide * rows.format.group), np.float32)
    padded[:, : rows.columns] = rows.codes
    values = padded.reshape(tall, wide, -1)
    # Integers below 2^24, so exact; the one rounding is that of the product with the row scale.
    values *= 16
    values -= rows.z16.astype(np.float32)[..., None]
    values *= rows.scales.astype(np.float32)[..., None]
    values += 0  # the integer 0 has no sign
    rowscale = (rows.rowscale.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        values *= rowscale[:, None, None]
    largest = np.finfo(np.float32).max
    np.clip(values, -largest, largest, out=values)
    values *= np.abs(values) >= np.finfo(np.float32).tiny
    return np.ascontiguousarray(padded[:, : rows.columns])
