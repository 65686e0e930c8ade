"""The oracle: rules C1 … C11 and the memory image, written from the two READMEs, slow, clear and exact.

An engine like the others: given a memory and the address of a descriptor it writes the results into the memory.
It shares no code with the packer: it takes the descriptor and the stream apart by itself.

Why int64 never overflows: K < 2^21 (16 bits of tiles), |x̂| < 2^11 (A ≤ 12), |16q − Z| < 2^12 and s < 2^8, so
|acc| < 2^52 (C2), which float64 also holds exactly (C7).
"""

import zlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.fp32 import (
    Flags,
    Float32,
    Int64,
    add,
    flush,
    from_bf16,
    from_integer,
    multiply,
    scale_by_power_of_two,
)

Memory = NDArray[np.uint8]
ENTRIES: Final = ((8, 0), (6, 0), (8, 8))
"""Bits of s and bits of c8 in an entry of the header, by the descriptor's scale format."""


class Processor(Protocol):
    """What the oracle needs to know of the hardware: D, A, M, C."""

    @property
    def beat(self) -> int: ...
    @property
    def activation_bits(self) -> int: ...
    @property
    def lanes(self) -> int: ...
    @property
    def channels(self) -> int: ...


# --- the rules ---------------------------------------------------------------------------------------------------


def group_sum(q: Int64, x: Int64, z16: Int64) -> Int64:
    """C1: d[r] = 16·Σ_k q[r,k]·x[k] − Z[r]·Σ_k x[k]."""
    return 16 * (q @ x) - z16 * x.sum()


def common_zero_point(c9: int, bits: int) -> int:
    """C1: the Z that the digits of c9 spell in `bits` planes: bits below the last plane are not looked at."""
    return 8 * (c9 >> (8 - bits))


def free_zero_point(c8: int, bits: int) -> int:
    """C1: Z = c8·2^(b−4), of the top 2b + 1 bits of c8; the others are not looked at."""
    unused = max(7 - 2 * bits, 0)
    return (c8 >> unused << unused << bits) >> 4


def row_sum(s: Int64, d: Int64) -> Int64:
    """C2: acc[r] = Σ_g s[r,g]·d[r,g]."""
    return (s * d).sum(axis=1)


def quantize(x: NDArray[Any], activation_bits: int) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """C3: rows of fp32 [M, K] to x̂ [M, K] and e [M]; raises ElastixError on NaN or infinity."""
    x = flush(x)
    if not np.isfinite(x).all():
        raise ElastixError("an activation that is NaN or infinite", wanted="finite values (C6)")
    largest = np.abs(x).max(axis=1, initial=0.0)
    exponent = ((largest.astype(np.float32).view(np.uint32) >> 23) & 0xFF).astype(np.int32) - 127
    e = np.where(largest == 0, 0, exponent - (activation_bits - 2)).astype(np.int32)
    limit = (1 << (activation_bits - 1)) - 1
    exact = np.ldexp(x.astype(np.float64), -e[:, None])
    return np.clip(np.rint(exact), -limit, limit).astype(np.int16), e


def leave_accumulator(acc: Int64, rowscale: NDArray[np.uint16], e: int, flags: Flags) -> Float32:
    """C7, C8, C9: y = (RNE_fp32(acc) × rowscale) · 2^e; rowscale is the stored bf16 pattern."""
    p = multiply(from_integer(acc), from_bf16(rowscale), flags)
    return scale_by_power_of_two(p, e, flags)


def add_bias(y: Float32, bias: Float32, flags: Flags) -> Float32:
    """C10: fp32 addition."""
    return add(y, bias, flags)


def weight_values(q: Int64, s: Int64, z16: Int64, rowscale: NDArray[np.uint16], flags: Flags) -> Float32:
    """C11: w = (float)(s·(16q − Z)) × rowscale; q, s and Z are [rows, columns], rowscale [rows]."""
    return multiply(from_integer(s * (16 * q - z16)), from_bf16(rowscale)[:, None], flags)


# --- the memory image --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Launch:
    """A descriptor, read out of a memory. Addresses and strides in bytes, the rest as in the README."""

    bits: int
    scale_format: int
    tokens: int
    row_blocks: int
    tiles: int
    group_tiles: int
    c9: int
    weights: int
    channel_stride: int
    header_words: int
    x: int
    y: int
    block_beats: int

    @property
    def groups(self) -> int:
        return -(-self.tiles // self.group_tiles)


def _bad(found: str, wanted: str) -> ElastixError:
    return ElastixError(f"a bad descriptor: {found}", wanted=wanted)


def _span(memory: Memory, address: int, size: int, what: str) -> Memory:
    if address < 0 or address + size > memory.size:
        raise ElastixError(f"{what} at {address:#x}, {size} bytes", wanted=f"within the {memory.size} bytes of memory")
    return memory[address : address + size]


def read_descriptor(memory: Memory, address: int, lanes: int) -> Launch:
    """The descriptor at an address; raises ElastixError if it is not one that a processor of `lanes` carries out."""
    raw = _span(memory, address, 64, "a descriptor").tobytes()
    w = [int.from_bytes(raw[4 * i : 4 * i + 4], "little") for i in range(16)]
    if zlib.crc32(raw[:60]) != w[15]:
        raise _bad(f"CRC {w[15]:#010x}", f"{zlib.crc32(raw[:60]):#010x}")
    if address % 64:
        raise _bad(f"address {address:#x}", "a multiple of 64")
    launch = Launch(
        bits=w[0] >> 8 & 255,
        scale_format=w[0] >> 16 & 255,
        tokens=w[0] >> 24,
        row_blocks=w[1],
        tiles=w[2] & 0xFFFF,
        group_tiles=w[2] >> 16,
        c9=w[3] & 0x1FF,
        weights=w[4] | w[5] << 32,
        channel_stride=w[6],
        header_words=w[7] & 0xFFFF,
        x=w[8] | w[9] << 32,
        y=w[10] | w[11] << 32,
        block_beats=w[12],
    )
    if w[0] & 255 != 1:
        raise _bad(f"opcode {w[0] & 255}", "1")
    if not 1 <= launch.bits <= 8:
        raise _bad(f"{launch.bits} bits", "1 to 8")
    if launch.scale_format >= len(ENTRIES):
        raise _bad(f"scale format {launch.scale_format}", f"0 to {len(ENTRIES) - 1}")
    if not 1 <= launch.tokens <= lanes:
        raise _bad(f"{launch.tokens} tokens", f"1 to {lanes}")
    if not launch.tiles or not 1 <= launch.group_tiles <= 8:
        raise _bad(f"{launch.tiles} tiles in groups of {launch.group_tiles}", "at least one, groups of 1 to 8")
    entry = sum(ENTRIES[launch.scale_format])
    header = 1 + -(-max(launch.groups - 16 // entry, 0) // (32 // entry))
    if (launch.header_words, launch.block_beats) != (header, header + launch.bits * launch.tiles):
        raise _bad(
            f"{launch.header_words} header words, {launch.block_beats} beats a block",
            f"{header} and {header + launch.bits * launch.tiles}",
        )
    return launch


@dataclass(frozen=True)
class Block:
    """One row block, unpacked: rowscale [R], s and Z [R, groups], q [R, 32·tiles]."""

    rowscale: NDArray[np.uint16]
    s: Int64
    z16: Int64
    q: Int64


def _scales(words: Int64, launch: Launch) -> tuple[Int64, Int64]:
    """Header words [header_words, R] → s and Z, both [R, groups]."""
    scale_bits, zero_bits = ENTRIES[launch.scale_format]
    entry = scale_bits + zero_bits
    # One entry after the other, from bit 16 of the first word on; none lies across two words.
    places = [(0, at) for at in range(16, 33 - entry, entry)]
    places += [(word, at) for word in range(1, len(words)) for at in range(0, 33 - entry, entry)]
    shape = (words.shape[1], launch.groups)
    s, z16 = np.zeros(shape, np.int64), np.full(shape, common_zero_point(launch.c9, launch.bits))
    for group, (word, at) in enumerate(places[: launch.groups]):
        found = words[word] >> at & (1 << entry) - 1
        s[:, group] = found & (1 << scale_bits) - 1
        if zero_bits:
            c8 = found >> scale_bits << (8 - zero_bits)
            z16[:, group] = [free_zero_point(int(value), launch.bits) for value in c8]
    return s, z16


def unpack_block(beats: NDArray[np.uint32], launch: Launch) -> Block:
    """The beats of one block, uint32 [block_beats, R] (slice r of each beat in column r), taken apart."""
    words = beats.astype(np.int64)
    s, z16 = _scales(words[: launch.header_words], launch)
    q = np.zeros((words.shape[1], launch.tiles, 32), np.int64)
    at = launch.header_words
    for g in range(launch.groups):
        tiles = range(g * launch.group_tiles, min((g + 1) * launch.group_tiles, launch.tiles))
        for plane in reversed(range(launch.bits)):
            for tile in tiles:
                q[:, tile] |= (words[at][:, None] >> np.arange(32) & 1) << plane
                at += 1
    return Block((words[0] & 0xFFFF).astype(np.uint16), s, z16, q.reshape(len(q), -1))


def read_segments(memory: Memory, launch: Launch, processor: Processor) -> list[NDArray[np.uint32]]:
    """Each channel's segment as uint32 [blocks, block_beats, R]; raises ElastixError where a CRC is wrong."""
    r = processor.beat // 32
    segments: list[NDArray[np.uint32]] = []
    for channel in range(processor.channels):
        blocks = len(range(channel, launch.row_blocks, processor.channels))
        body = blocks * launch.block_beats * processor.beat // 8
        address = launch.weights + channel * launch.channel_stride
        raw = _span(memory, address, body + processor.beat // 8, f"channel {channel}'s weights").tobytes()
        stored, found = int.from_bytes(raw[body : body + 4], "little"), zlib.crc32(raw[:body])
        if stored != found:
            raise ElastixError(f"weights of channel {channel} with CRC {found:#010x}", wanted=f"{stored:#010x}")
        segments.append(np.frombuffer(raw[:body], "<u4").reshape(blocks, launch.block_beats, r))
    return segments


def _read_activations(memory: Memory, launch: Launch, token: int) -> tuple[Int64, int]:
    size = 64 * (launch.tiles + 1)
    image = _span(memory, launch.x + token * size, size, f"the activations of token {token}").tobytes()
    values = np.frombuffer(image, "<i2").astype(np.int64)
    return values[32:], int(values[0])


def execute(memory: Memory, descriptor_address: int, processor: Processor) -> Flags:
    """Carry out a descriptor: results into the memory, sticky flags back. Raises ElastixError, nothing written then."""
    launch = read_descriptor(memory, descriptor_address, processor.lanes)
    segments = read_segments(memory, launch, processor)
    activations = [_read_activations(memory, launch, token) for token in range(launch.tokens)]
    r, flags = processor.beat // 32, Flags()
    y = np.zeros((launch.tokens, launch.row_blocks, r), "<f4")
    columns = 32 * launch.group_tiles
    for i in range(launch.row_blocks):
        block = unpack_block(segments[i % processor.channels][i // processor.channels], launch)
        for token, (x, e) in enumerate(activations):
            d = np.zeros_like(block.s)
            for g in range(launch.groups):
                here = slice(g * columns, (g + 1) * columns)
                d[:, g] = group_sum(block.q[:, here], x[here], block.z16[:, g])
            y[token, i] = leave_accumulator(row_sum(block.s, d), block.rowscale, e, flags)
    _span(memory, launch.y, y.nbytes, "the results")[:] = np.frombuffer(y.tobytes(), np.uint8)
    return flags


def run(memory: Memory, descriptor_address: int, processor: Processor) -> None:
    """The engine contract: given the memory and the address of a descriptor, write the results into the memory."""
    execute(memory, descriptor_address, processor)


def embedding(memory: Memory, descriptor_address: int, ids: Int64, k: int, processor: Processor) -> Float32:
    """C11: the rows `ids` of a packed table as fp32 [len(ids), k]."""
    launch = read_descriptor(memory, descriptor_address, processor.lanes)
    segments = read_segments(memory, launch, processor)
    r, flags = processor.beat // 32, Flags()
    rows: list[Float32] = []
    for row in ids.ravel().tolist():
        i = row // r
        block = unpack_block(segments[i % processor.channels][i // processor.channels], launch)
        group_of = np.arange(k) // (32 * launch.group_tiles)
        q, s, z16 = block.q[:, :k], block.s[:, group_of], block.z16[:, group_of]
        rows.append(weight_values(q, s, z16, block.rowscale, flags)[row % r])
    return np.stack(rows) if rows else np.zeros((0, k), np.float32)
