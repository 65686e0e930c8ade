"""Rotations of any order: orthogonal matrices whose entries are all about equally large, applied row by row.

H = D · (F1 ⊗ F2 ⊗ …) / √n. D are n random signs. The factors are, as far as the order n allows, Hadamard matrices (all
entries ±1: 2 by Sylvester, 12, 20, 28, 36 … by Paley's two constructions), hence 576 = 12 · 12 · 2 · 2 and
1536 = 12 · 2^7. What is left of an order that has no such factors becomes one discrete Hartley transform, which exists
for every order, is orthogonal, and has no entry above √2 times the flat one: n = 341 = 11 · 31 is all Hartley. (Blocks
along the diagonal would mix fewer columns, and a QR decomposition gives other bits with every LAPACK.)

Sources: Paley, On orthogonal matrices (1933); Bracewell, Discrete Hartley transform (1983); random signs and Hadamard
matrices against outliers: QuIP# (Tseng et al. 2024), QuaRot (Ashkboos et al. 2024).
"""

import hashlib
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError

Float64 = NDArray[np.float64]

LARGEST_PALEY: Final = 124
"""A factor m costs m additions an element."""
_ROWS_AT_ONCE: Final = 64
"""Few enough for a cache; the bits do not depend on it."""


def rotate(values: NDArray[Any], order: int, blocks: int = 1) -> Float64:
    """values · (H repeated `blocks` times along the diagonal), over the last axis, of order · blocks elements.

    In float64 by additions element by element in one fixed order, then one multiplication: the bits depend neither on
    a BLAS nor on how many rows come at once. Raises ElastixError if the last axis has another width.
    """
    width = order * blocks
    if order < 1 or blocks < 1 or not values.ndim or values.shape[-1] != width:
        raise ElastixError(
            f"a rotation of {width} columns, on a tensor of shape {list(values.shape)}", wanted="as many columns"
        )
    rows = values.reshape(-1, order)
    turned = np.empty(rows.shape)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        here = slice(first, first + _ROWS_AT_ONCE)
        turned[here] = _columns(np.ascontiguousarray(rows[here].T, np.float64)).T
    return turned.reshape(values.shape)


def _columns(x: Float64) -> Float64:
    """Hᵀ · x, for a few columns: one factor at a time, each along its own axis."""
    order = len(x)
    turned, done = x * signs(order)[:, None], 1
    for m in factors(order):
        turned = _times(turned.reshape(done, m, -1), m)
        done *= m
    return turned.reshape(x.shape) * (1 / np.sqrt(np.float64(order)))


def matrix(order: int) -> Float64:
    """H itself."""
    return rotate(np.eye(order), order)


@lru_cache
def signs(order: int) -> Float64:
    """The diagonal D: bits of SHAKE-256, so that they are the same everywhere and always."""
    stream = hashlib.shake_256(f"elastix rotation {order}".encode()).digest(-(-order // 8))
    return 1 - 2 * np.unpackbits(np.frombuffer(stream, np.uint8))[:order].astype(np.float64)


@lru_cache
def factors(order: int) -> tuple[int, ...]:
    """Orders of the factors, whose product is `order`; all but perhaps the last are those of Hadamard matrices."""
    best: tuple[int, ...] = (order,) if order > 1 else ()
    for m in _hadamard_orders():
        if order % m:
            continue
        found = (m, *factors(order // m))
        if _left(found) < _left(best) or (_left(found) == _left(best) and sum(found) < sum(best)):
            best = found
    return best


def _left(found: tuple[int, ...]) -> int:
    return found[-1] if found and found[-1] not in _hadamard_orders() else 1


@lru_cache
def _hadamard_orders() -> dict[int, tuple[int, bool]]:
    """Order to the prime q that it is made of and whether by Paley's second construction; 2 is Sylvester's.

    Orders that are multiples of 8 are products of smaller ones.
    """
    orders: dict[int, tuple[int, bool]] = {2: (1, False)}
    for q in range(3, LARGEST_PALEY):
        if any(q % p == 0 for p in range(2, int(q**0.5) + 1)):
            continue
        m, second = (q + 1, False) if q % 4 == 3 else (2 * (q + 1), True)
        if m % 8 == 4 and 4 < m <= LARGEST_PALEY:
            orders.setdefault(m, (q, second))
    return dict(sorted(orders.items()))


def _times(x: Float64, m: int) -> Float64:
    """The factor along axis 1."""
    if m not in _hadamard_orders():
        return sum(
            (x[:, i, None] * _hartley(m)[i, :, None] for i in range(1, m)), x[:, 0, None] * _hartley(m)[0, :, None]
        )
    factor = paley(m)
    result = np.empty_like(x)
    for j in range(m):
        np.multiply(x[:, 0], factor[0, j], out=result[:, j])
        for i in range(1, m):
            (np.add if factor[i, j] > 0 else np.subtract)(result[:, j], x[:, i], out=result[:, j])
    return result


@lru_cache
def paley(m: int) -> Float64:
    """A Hadamard matrix of an order from `_hadamard_orders`, of quadratic residues modulo a prime."""
    q, second = _hadamard_orders()[m]
    if q == 1:
        return np.array([[1.0, 1.0], [1.0, -1.0]])
    squares = {x * x % q for x in range(1, q)}
    character = np.array([0.0] + [1.0 if x in squares else -1.0 for x in range(1, q)])
    core = np.zeros((q + 1, q + 1))
    core[1:, 1:] = character[(np.arange(q)[:, None] - np.arange(q)) % q]
    core[0, 1:] = 1
    core[1:, 0] = 1 if second else -1
    if not second:
        return core + np.eye(q + 1)
    return np.kron(core, [[1, 1], [1, -1]]) + np.kron(np.eye(q + 1), [[1, -1], [-1, -1]])


@lru_cache
def _hartley(m: int) -> Float64:
    """cos + sin of 2π·i·j/m: entries up to √2, rows orthogonal, of norm √m."""
    angles = 2 * np.pi / m * (np.outer(np.arange(m), np.arange(m)) % m)
    return np.cos(angles) + np.sin(angles)
