"""Codes of a file are kept where a format holds them: the codes stay, only scales and zero points are fitted."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.image import lay_out, write_image
from elastix.compiler.importer.block_codes import BlockCodes, NoCodes
from elastix.compiler.importer.store import ArrayStore
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.keep import fits, keep_codes, misfit, natural_format
from elastix.compiler.numbers.pack import pack_layer
from elastix.compiler.numbers.quantize import dequantize, quantize

ASYMMETRIC = Format(4, 32, "s8c8", "asymmetric")
SYMMETRIC = Format(8, 32, "s8", "symmetric")


def minima(n: int = 24, k: int = 320, bits: int = 4, group: int = 32, seed: int = 0) -> BlockCodes:
    """Weights of a normal distribution, rounded between the minimum and maximum of each group as Q4_1 does."""
    w = np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32) * np.float32(0.02)
    starts = np.arange(0, k, group)
    low, high = np.minimum.reduceat(w, starts, axis=1), np.maximum.reduceat(w, starts, axis=1)
    scale = ((high - low) / ((1 << bits) - 1)).astype(np.float16).astype(np.float32)
    offset = low.astype(np.float16).astype(np.float32)
    of = np.arange(k) // group
    q = np.clip(np.rint((w - offset[:, of]) / scale[:, of]), 0, (1 << bits) - 1).astype(np.uint8)
    return BlockCodes(bits, group, q, scale, offset, "minima")


def around_zero(bits: int, group: int = 32, sign: float = 1, n: int = 24, k: int = 320) -> BlockCodes:
    """Codes with their zero in the middle, none of them at the lowest code."""
    random = np.random.default_rng(bits)
    q = random.integers(1, 1 << bits, (n, k)).astype(np.uint8)
    scale = random.uniform(0.5, 2, (n, -(-k // group))).astype(np.float16).astype(np.float32) * np.float32(sign)
    return BlockCodes(bits, group, q, scale, -scale * np.float32(1 << (bits - 1)), "middle")


def relative(codes: BlockCodes, form: Format) -> float:
    """Error of what was kept, by its own account and by the weights that it stands for; both must agree."""
    kept, w = keep_codes(codes, form), codes.values().astype(np.float64)
    error, energy = ((dequantize(kept.rows) - w) ** 2).sum(), (w**2).sum()
    assert kept.error == pytest.approx(error, rel=1e-3, abs=1e-12 * energy)
    assert kept.energy == pytest.approx(energy)
    return float(error / energy)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_codes_with_minima_stay_as_they_are(bits: int) -> None:
    codes, form = minima(bits=bits), Format(bits, 32, "s8c8", "asymmetric")
    kept = keep_codes(codes, form)
    assert np.array_equal(kept.rows.codes, codes.q) and kept.rounded_rows == 0
    assert natural_format(codes) == form
    # Zero points are rounded to z_step, scales to an 8-bit grid.
    spread = ((1 << bits) - 1) / 4.2  # standard deviation of the codes: a group of 32 spans about 4.2 of them
    assert relative(codes, form) < (form.z_step**2 / 12) / spread**2 + 2e-5


def test_codes_around_zero_are_kept_in_symmetric_formats() -> None:
    for bits, group in product((2, 3, 4, 8), (32, 64, 128)):
        codes, form = around_zero(bits, group), Format(bits, group, "s8", "symmetric")
        assert natural_format(codes) == form and relative(codes, form) < 1e-5
        assert np.array_equal(keep_codes(codes, form).rows.codes, codes.q)
        assert (keep_codes(codes, form).rows.zeros is None) and keep_codes(codes, form).rounded_rows == 0


def test_scales_below_zero_mirror_the_codes() -> None:
    mirrored = around_zero(4, sign=-1)
    form = Format(4, 32, "s8", "symmetric")
    assert np.array_equal(keep_codes(mirrored, form).rows.codes, 16 - mirrored.q) and relative(mirrored, form) < 1e-5
    mirrored.q[3, 7] = 0  # its mirror image is 16, which has no code: the zero point must give way
    assert "either side of zero" in misfit(mirrored, form)
    assert natural_format(mirrored) == ASYMMETRIC
    assert relative(mirrored, ASYMMETRIC) < 1e-5
    assert np.array_equal(keep_codes(mirrored, ASYMMETRIC).rows.codes, 15 - mirrored.q)


def test_wider_formats_and_smaller_groups_hold_the_same_weights() -> None:
    codes = minima(group=64)
    best = relative(codes, Format(4, 64, "s8c8", "asymmetric"))
    for bits, group in product((4, 5, 6, 8), (32, 64)):
        form = Format(bits, group, "s8c8", "asymmetric")
        assert relative(codes, form) < 1.05 * best
        # At 8 bits zero points are whole codes: rounding anew is as good, and some rows are.
        assert bits == 8 or np.array_equal(keep_codes(codes, form).rows.codes, codes.q << (bits - 4))
    middle = around_zero(4, 320)  # one scale for a whole row, whatever its length
    assert natural_format(middle) == Format(4, 256, "s8", "symmetric")
    for form in (Format(4, 96), Format(5, 32), SYMMETRIC):
        assert relative(middle, form) < 1e-5
        assert np.array_equal(keep_codes(middle, form).rows.codes, middle.q + ((1 << form.bits) >> 1) - 8)


@pytest.mark.parametrize(
    ("codes", "form", "why"),
    [
        (minima(), Format(3, 32, "s8c8", "asymmetric"), "minima has codes of 4 bits"),
        (minima(), Format(4, 64, "s8c8", "asymmetric"), "minima has groups of 32 columns"),
        (minima(group=128), Format(4, 96, "s8c8", "asymmetric"), "minima has groups of 128 columns"),
        (minima(), SYMMETRIC, "minima has zero points that are not symmetric"),
        (around_zero(4), Format(4, 32, "s6", "half_step"), "middle has zero points that are not half_step"),
    ],
)
def test_what_does_not_fit_says_why(codes: BlockCodes, form: Format, why: str) -> None:
    assert misfit(codes, form) == why and not fits(codes, form)
    with pytest.raises(ElastixError, match=why):
        keep_codes(codes, form, name="w")


def test_rows_that_rounding_serves_better_are_rounded() -> None:
    codes = minima()
    codes.offset[5] = 1.0  # far above zero: the zero point would lie at a code of −250
    codes.scale[7], codes.offset[7] = 0, -0.25  # a constant has no step to fit
    kept = keep_codes(codes, ASYMMETRIC)
    assert kept.rounded_rows == 2 and relative(codes, ASYMMETRIC) < 1e-3
    others = [row for row in range(24) if row not in (5, 7)]
    assert np.array_equal(kept.rows.codes[others], codes.q[others])
    anew = quantize(codes.values(), ASYMMETRIC)
    assert np.array_equal(kept.rows.codes[[5, 7]], anew.rows.codes[[5, 7]])


def test_rows_of_zeros_and_short_last_groups() -> None:
    codes = minima(k=300)
    codes.scale[2], codes.offset[2], codes.q[2] = 0, 0, 0
    kept = keep_codes(codes, ASYMMETRIC)
    assert relative(codes, ASYMMETRIC) < 5e-5 and kept.rounded_rows == 0
    assert not dequantize(kept.rows)[2].any() and kept.rows.rowscale[2] == 0


def test_pieces_give_the_same_as_the_whole() -> None:
    codes = minima(n=200, k=544)
    whole = keep_codes(codes, ASYMMETRIC)
    for cut in (slice(0, 7), slice(7, 133), slice(133, 200)):
        piece = keep_codes(codes.rows(cut), ASYMMETRIC).rows
        assert np.array_equal(piece.scales, whole.rows.scales[cut])
        assert np.array_equal(piece.rowscale, whole.rows.rowscale[cut])
        assert piece.zeros is not None and whole.rows.zeros is not None
        assert np.array_equal(piece.zeros, whole.rows.zeros[cut])


def test_scales_that_are_no_numbers_are_refused() -> None:
    codes = minima()
    codes.scale[1, 2] = np.nan
    with pytest.raises(ElastixError, match="NaN or infinity among the scales of up"):
        keep_codes(codes, ASYMMETRIC, name="up")


class _Rounded(ArrayStore):
    """A store of which some weights have codes."""

    def __init__(self, found: dict[str, BlockCodes | NoCodes]) -> None:
        plain = np.ones((16, 320), np.float32)
        super().__init__({n: c.values() if isinstance(c, BlockCodes) else plain for n, c in found.items()})
        self.found = found

    def codes(self, name: str) -> BlockCodes | NoCodes:
        return self.found[name]


@pytest.mark.parametrize("threads", [1, 2])
def test_images_keep_the_codes_that_fit(tmp_path: Path, threads: int) -> None:
    one_far = minima(seed=1)
    one_far.offset[5] = 1.0
    found: dict[str, BlockCodes | NoCodes] = {
        "up": minima(n=150),
        "far": one_far,
        "down": NoCodes("it is stored as F16"),
    }
    store = _Rounded(found | {"head": minima()})
    layers = [("up", ASYMMETRIC), ("far", ASYMMETRIC), ("down", ASYMMETRIC), ("head", SYMMETRIC)]
    layout = lay_out(layers, [], store, beat=256, channels=2)
    written = write_image(tmp_path / "weights.bin", layout, store, threads=threads)
    assert written.codes == {
        "up": "kept from minima",
        "far": "kept from minima, 1 rows rounded",
        "down": "rounded: it is stored as F16",
        "head": "rounded: minima has zero points that are not symmetric",
    }
    content, place = (tmp_path / "weights.bin").read_bytes(), layout.layers[0]
    kept = keep_codes(minima(n=150), ASYMMETRIC)
    for channel, segment in enumerate(pack_layer(kept.rows, place.geometry)):
        start = place.address + channel * place.geometry.channel_stride
        assert content[start : start + len(segment)] == segment
    assert written.errors["up"] == pytest.approx(kept.error / kept.energy)
