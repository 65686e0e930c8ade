"""Rotations: orthogonal for every order, flat, the same for every way of cutting the rows."""

import hashlib

import numpy as np
import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.hadamard import factors, matrix, rotate, signs

ORDERS = [1, 2, 3, 4, 8, 10, 12, 20, 28, 36, 40, 44, 64, 72, 99, 172, 192, 256, 341, 576, 896, 960, 1536]


@pytest.mark.parametrize("order", ORDERS)
def test_rotations_are_orthogonal(order: int) -> None:
    h = matrix(order)
    assert np.abs(h @ h.T - np.eye(order)).max() < 1e-12


@pytest.mark.parametrize("order", ORDERS)
def test_entries_are_flat(order: int) -> None:
    largest = np.abs(matrix(order)).max() * np.sqrt(order)
    hadamard = all(m == 2 or m % 4 == 0 for m in factors(order))
    assert largest < (1 + 1e-12 if hadamard else np.sqrt(2) + 1e-12)


@pytest.mark.parametrize(
    ("order", "wanted"),
    [(1, ()), (36, (36,)), (576, (2, 2, 12, 12)), (1536, (2,) * 7 + (12,)), (960, (2, 2, 12, 20)), (172, (2, 2, 43))],
)
def test_orders_are_products_of_hadamard_orders_where_they_can_be(order: int, wanted: tuple[int, ...]) -> None:
    assert factors(order) == wanted


def test_rows_do_not_depend_on_their_neighbours() -> None:
    values = np.random.default_rng(0).standard_normal((150, 72))
    turned = rotate(values, 72)
    assert np.abs(turned - values @ matrix(72)).max() < 1e-12
    for rows in (slice(0, 1), slice(63, 65), slice(149, 150)):
        assert rotate(values[rows], 72).tobytes() == turned[rows].tobytes()
    assert rotate(np.asfortranarray(values), 72).tobytes() == turned.tobytes()


def test_blocks_lie_along_the_diagonal() -> None:
    values = np.random.default_rng(0).standard_normal((5, 36))
    expected = np.concatenate([values[:, i : i + 12] @ matrix(12) for i in (0, 12, 24)], axis=1)
    assert np.abs(rotate(values, 12, 3) - expected).max() < 1e-12


def test_the_rotation_of_an_order_is_always_the_same() -> None:
    # Plans, codes and compiled models of different days must agree on H.
    assert signs(12).tolist() == [-1, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1, 1]
    assert hashlib.sha256(matrix(576).tobytes()).hexdigest()[:16] == "fafa45be77486ff4"


def test_other_widths_are_refused() -> None:
    with pytest.raises(ElastixError, match=r"a rotation of 36 columns, on a tensor of shape \[2, 12\]"):
        rotate(np.zeros((2, 12)), 12, 3)
