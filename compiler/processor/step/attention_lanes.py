"""One query's exact sums: over the elements of a row for SCORES, over rows for VALUES."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.step.attention_ports import (
    CODE_BITS,
    QUANTIZED_BITS,
    chunks_of,
    lanes_of,
    sum_bits,
)
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.signed_product import signed_product

PRODUCT_BITS = QUANTIZED_BITS + CODE_BITS - 1
"""No product is beyond 2^22 in magnitude: codes are at most 128, their partners 32767."""


def score_latency(p: StepParameters) -> int:
    """Cycles from a row's last operands to its `score`."""
    return 2 + lanes_of(p).bit_length() - 1


def score_bits(p: StepParameters) -> int:
    """Bits of the sum of Dh products."""
    return PRODUCT_BITS + p.head_dim.bit_length() - 1


@cache
def attention_lanes(p: StepParameters) -> Module:
    """Products of w pairs of integers `x` (16 bits) and `z` (8 bits), summed both ways.

    `score`: score_latency cycles after the last chunk of a row, until the next row's, the sum over the row's elements.
    `total`: a cycle after `chunk` and `which`, while none comes, the sum over rows of element `which` of that chunk;
    right from two cycles after the last operands on. `valid`: operands are there, with chunk, first_row, last_chunk.
    """
    chunks, lanes = chunks_of(p), lanes_of(p)
    m = Module("attention_lanes", attention_lanes.__doc__, {"lanes": lanes, "chunks": chunks})
    x, z = m.input("x", QUANTIZED_BITS * lanes), m.input("z", CODE_BITS * lanes)
    valid, first_row = m.input("valid"), m.input("first_row")
    chunk, which = m.input("chunk", index_bits(chunks)), m.input("which", index_bits(lanes))
    last_chunk = m.input("last_chunk")
    if lanes == 1:
        m.unused(which)
    product = signed_product(QUANTIZED_BITS, CODE_BITS)
    products = [
        m.instance(
            f"product_{i}",
            product,
            a=x[QUANTIZED_BITS * i : QUANTIZED_BITS * (i + 1)],
            b=z[CODE_BITS * i : CODE_BITS * (i + 1)],
        )["product"]
        for i in range(lanes)
    ]

    level, sums = 0, products
    while len(sums) > 1:
        level, bits = level + 1, sums[0].width + 1
        sums = [
            m.register(f"sum_{level}_{index}", left.sext(bits) + right.sext(bits))
            for index, (left, right) in enumerate(zip(sums[0::2], sums[1::2], strict=True))
        ]
    dot, ends = sums[0].sext(score_bits(p)), delay_stages(m, "row_ends", valid & last_chunk, level + 1)[-1]
    if chunks > 1:
        comes = delay_stages(m, "dot_comes", valid, level + 1)[-1]
        first_chunk = delay_stages(m, "first_chunk", chunk == 0, level + 1)[-1]
        part = m.state("part", dot.width)
        dot = m.named("part_sum", mux(first_chunk, 0, part) + dot)
        part.next(dot, enable=comes)
    else:
        m.unused(chunk)
    m.output("score", m.register("score_q", dot, enable=ends))

    wide = [each.sext(sum_bits(p)) for each in products]
    totals = (
        _registers(m, wide, valid, first_row) if chunks == 1 else _memories(m, wide, valid, first_row, chunk, chunks)
    )
    m.output("total", m.register("total_q", select(which, totals)))
    return m


def _registers(m: Module, products: list[Signal], valid: Signal, first_row: Signal) -> list[Signal]:
    """The totals where a row is one chunk: cleared in the cycle before the first row's products come."""
    begins = m.named("begins", valid & first_row)
    comes, totals = m.register("product_comes", valid), list[Signal]()
    for index, product in enumerate(products):
        total = m.state(f"total_{index}", product.width)
        totals.append(total.next(mux(begins, 0, total + product), enable=begins | comes))
    return totals


def _memories(
    m: Module, products: list[Signal], valid: Signal, first_row: Signal, chunk: Signal, chunks: int
) -> list[Signal]:
    """The totals of all chunks: read when operands come, written a cycle later with the products added."""
    comes, place, width = m.register("product_comes", valid), m.register("chunk_1", chunk), products[0].width
    totals = Memory(m, "totals", chunks, width * len(products), latency=0)
    found = totals.read(chunk)
    before, after = list[Signal](), list[Signal]()
    for index, product in enumerate(products):
        before.append(m.named(f"found_{index}", found[width * index : width * (index + 1)]))
        earlier = m.register(f"earlier_{index}", mux(first_row, 0, before[index]))
        after.append(m.named(f"total_{index}", earlier + product))
    totals.write(place, concat(*reversed(after)), comes)
    return before
