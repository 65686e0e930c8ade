"""SCORES and VALUES against C21 in numpy, bit for bit, whatever the memory, the vector engine and the bus do."""

import numpy as np
import pytest
from attention_bench import UNTOUCHED, AttentionBench, Case, Rows

from elastix.compiler.processor.step.instructions import Target
from elastix.compiler.processor.step.parameters import StepParameters

SHAPES = {
    "D64-Dh8-L1-W4": dict(beat=64, head_dim=8, vector_lanes=1, attention_lanes=4, max_context=40),
    "D128-Dh8-L2-W8-g2-M2": dict(
        beat=128, head_dim=8, vector_lanes=2, attention_lanes=8, group=2, lanes=2, kv_heads=4, max_context=40
    ),
    "D64-Dh64-L4-W2-g3-M2": dict(
        beat=64, head_dim=64, vector_lanes=4, attention_lanes=2, group=3, lanes=2, kv_heads=3, max_context=40
    ),
    "D256-Dh64-L2-W32-g2": dict(
        beat=256, head_dim=64, vector_lanes=2, attention_lanes=32, group=2, kv_heads=2, max_context=70
    ),
    "D128-Dh64-L4-W16-M2": dict(
        beat=128, head_dim=64, vector_lanes=4, attention_lanes=16, lanes=2, kv_heads=2, max_context=36
    ),
    "D64-Dh8-L8-W1-g3": dict(beat=64, head_dim=8, vector_lanes=8, attention_lanes=1, group=3, max_context=40),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def parameters(request: pytest.FixtureRequest) -> StepParameters:
    return StepParameters(**request.param)


def give_rows(bench: AttentionBench, position: int, tokens: int) -> dict[tuple[int, int], Rows]:
    """Rows of the run for every head, (head, 0 keys or 1 values) -> rows of all positions; written to memory too."""
    p, heads = bench.p, dict[tuple[int, int], Rows]()
    for head in range(p.kv_heads):
        for kind, target in ((0, Target.KEY), (1, Target.VALUE)):
            rows = heads[head, kind] = bench.random_rows(position + tokens)
            for lane in range(tokens):
                row = position + lane
                fields = {
                    "head": head,
                    "lane": lane,
                    "row": row,
                    "rows": rows_at(p, head, kind),
                    "scales": scales_at(p),
                }
                bench.quantize(target, rows.codes[row], int(rows.scales[row]), **fields)
    return heads


def scales_at(p: StepParameters) -> int:
    return -(-p.max_context * p.row_bytes // 64) * 64


def rows_at(p: StepParameters, head: int, kind: int) -> int:
    return (2 * head + kind) * (scales_at(p) + -(-2 * p.max_context // 64) * 64)


def check_memory(bench: AttentionBench, heads: dict[tuple[int, int], Rows], position: int) -> None:
    """The new rows, padded with 0, and their scales are in memory, and nothing else was touched."""
    p, wanted = bench.p, bytearray([UNTOUCHED]) * len(bench.memory)
    for (head, kind), rows in heads.items():
        base = rows_at(p, head, kind)
        for row in range(position, len(rows.scales)):
            codes = rows.codes[row].astype(np.int8).tobytes()
            at = base + row * p.row_bytes
            wanted[at : at + p.row_bytes] = codes.ljust(p.row_bytes, b"\0")
            at = base + scales_at(p) + 2 * row
            wanted[at : at + 2] = int(rows.scales[row]).to_bytes(2, "little")
    assert bench.memory == wanted


@pytest.mark.parametrize("position", [0, 1, 5, 33])
def test_heads_one_after_the_other(parameters: StepParameters, position: int) -> None:
    p = parameters
    bench = AttentionBench(p, seed=position)
    heads = give_rows(bench, position, p.lanes)
    bench.until_idle()
    check_memory(bench, heads, position)
    for lane in range(p.lanes):
        for head in range(p.kv_heads):
            rows = [
                Rows(each.codes[: position + lane + 1], each.scales[: position + lane + 1])
                for each in (heads[head, 0], heads[head, 1])
            ]
            case = Case(bench, position + lane, lane, head, head & 1, rows[0], rows[1], position)
            to, stride, register = 64 * head, 256, 5 * head + 1
            case.give_queries()
            bench.until_idle()
            case.begin_scores(to, stride, register)
            case.check_scores(bench.finish(), to, stride, register)
            case.check_scales()
            case.give_weights()
            bench.until_idle()
            case.begin_values(to)
            case.check_values(bench.finish(), to)
    assert not bench.overflows
