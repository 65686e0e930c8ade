"""What the matrix engine must compute, from compiler/numbers/README.md alone, with exact fractions; and its stream."""

import random
import struct
from dataclasses import dataclass
from fractions import Fraction

ENTRY = {0: (8, 0), 1: (6, 0), 2: (8, 8)}
"""Bits of s and of c8 in an entry of the header, by scale format."""
LARGEST = Fraction((1 << 24) - 1) * Fraction(2) ** 104
SMALLEST = Fraction(1, 1 << 126)


def round_to_float(value: Fraction) -> Fraction:
    """24 significant bits, ties to even, exponent without bounds."""
    if value == 0:
        return value
    exponent = abs(value).numerator.bit_length() - abs(value).denominator.bit_length() - 24
    while abs(value) / Fraction(2) ** exponent >= 1 << 24:
        exponent += 1
    while abs(value) / Fraction(2) ** exponent < 1 << 23:
        exponent -= 1
    return Fraction(round(value / Fraction(2) ** exponent)) * Fraction(2) ** exponent


def bf16(code: int) -> tuple[int, Fraction]:
    """Sign bit and magnitude; a biased exponent of 0 is zero."""
    exponent, fraction = code >> 7 & 255, code & 127
    return code >> 15, Fraction(128 + fraction) * Fraction(2) ** (exponent - 134) if exponent else Fraction(0)


def encode(sign: int, magnitude: Fraction) -> int:
    bits = struct.unpack("<I", struct.pack("<f", float(magnitude)))[0]
    return sign << 31 | bits


def convert(total: int, row_scale: int, exponent: int) -> tuple[int, bool]:
    """C7, C8, C9: fp32 bits and whether C6 applied."""
    scale_sign, scale = bf16(row_scale)
    sign, overflow = int(total < 0) ^ scale_sign, False
    p = round_to_float(round_to_float(Fraction(abs(total))) * scale)
    if p > LARGEST:
        p, overflow = LARGEST, True
    y = p * Fraction(2) ** exponent
    if y < SMALLEST:
        y = Fraction(0)
    elif y > LARGEST:
        y, overflow = LARGEST, True
    return encode(sign, y), overflow


@dataclass
class Layer:
    """Codes q[row][column], scales s and zero points c8 [row][group] (looked at where the format has them), row scales
    (bf16); rows a multiple of R."""

    beat: int
    bits: int
    group_tiles: int
    scale_format: int
    c9: int
    q: list[list[int]]
    s: list[list[int]]
    c8: list[list[int]]
    row_scales: list[int]

    @property
    def tiles(self) -> int:
        return len(self.q[0]) // 32

    @property
    def block_rows(self) -> int:
        return self.beat // 32

    @property
    def blocks(self) -> int:
        return len(self.q) // self.block_rows

    @property
    def header_words(self) -> int:
        return len(self._header_words(0))

    def stream(self) -> list[int]:
        """The beats of one channel, without the CRC beat."""
        beats = list[int]()
        for block in range(self.blocks):
            rows = range(block * self.block_rows, (block + 1) * self.block_rows)
            slices = [self._row_words(row) for row in rows]
            beats += [sum(word << 32 * r for r, word in enumerate(words)) for words in zip(*slices, strict=True)]
        return beats

    def _row_words(self, row: int) -> list[int]:
        words = self._header_words(row)
        width = 32 * self.group_tiles
        for first in range(0, len(self.q[row]), width):
            group = self.q[row][first : first + width]
            for plane in reversed(range(self.bits)):
                for tile in range(0, len(group), 32):
                    words.append(sum((q >> plane & 1) << j for j, q in enumerate(group[tile : tile + 32])))
        return words

    def _header_words(self, row: int) -> list[int]:
        """The row scale with as many entries above it as fit, then words of entries from bit 0 on."""
        scale_bits, zero_bits = ENTRY[self.scale_format]
        words, at = [self.row_scales[row]], 16
        for s, c8 in zip(self.s[row], self.c8[row], strict=True):
            if at + scale_bits + zero_bits > 32:
                words, at = [*words, 0], 0
            words[-1] |= (s | c8 >> 8 - zero_bits << scale_bits) << at
            at += scale_bits + zero_bits
        return words

    def zero_point(self, row: int, group: int) -> Fraction:
        """C1: c8/256 of the range of codes, as far as c8 is looked at; or what the digits of c9 spell."""
        zero_bits = min(ENTRY[self.scale_format][1], 2 * self.bits + 1)
        if not zero_bits:
            return Fraction(self.c9 >> 8 - self.bits, 2)
        return Fraction((self.c8[row][group] >> 8 - zero_bits) << self.bits, 1 << zero_bits)

    def row_sums(self, x: list[int]) -> list[int]:
        """C1 and C2 by their definitions."""
        width, sums = 32 * self.group_tiles, list[int]()
        for row, (q, s) in enumerate(zip(self.q, self.s, strict=True)):
            total = Fraction(0)
            for group, first in enumerate(range(0, len(q), width)):
                part = slice(first, first + width)
                z = self.zero_point(row, group)
                total += 16 * s[group] * sum((code - z) * v for code, v in zip(q[part], x[part], strict=True))
            assert total.denominator == 1
            sums.append(int(total))
        return sums


def random_layer(
    pick: random.Random, beat: int, bits: int, group_tiles: int, scale_format: int, tiles: int, blocks: int
) -> Layer:
    """Random everything, with the extremes of codes, scales and zero points more often than chance."""
    rows, groups = blocks * beat // 32, -(-tiles // group_tiles)

    def extreme(limit: int) -> int:
        return pick.choice([0, limit, pick.randint(0, limit), pick.randint(0, limit)])

    largest_scale = (1 << ENTRY[scale_format][0]) - 1
    c9 = pick.choice([256, 255, 511, 0, pick.getrandbits(9)])
    calm = pick.random() < 0.5
    exponents = (110, 130) if calm else (1, 254)
    return Layer(
        beat,
        bits,
        group_tiles,
        scale_format,
        c9,
        q=[[extreme((1 << bits) - 1) for _ in range(32 * tiles)] for _ in range(rows)],
        s=[[extreme(largest_scale) for _ in range(groups)] for _ in range(rows)],
        c8=[[extreme(255) if ENTRY[scale_format][1] else 0 for _ in range(groups)] for _ in range(rows)],
        row_scales=[
            0
            if pick.random() < 0.1
            else pick.getrandbits(1) << 15 | pick.randint(*exponents) << 7 | pick.getrandbits(7)
            for _ in range(rows)
        ],
    )
