"""SCORES and VALUES against C21 in numpy, bit for bit, whatever the memory, the vector engine and the bus do."""

import numpy as np
import pytest
from attention_bench import UNTOUCHED, AttentionBench, Case, Rows

from elastix.compiler.processor.step.instructions import Target
from elastix.compiler.processor.step.parameters import StepParameters

SHAPES = {
    "D64-Dh8-L1-W4": StepParameters(beat=64, head_dim=8, vector_lanes=1, attention_lanes=4, max_context=40),
    "D128-Dh8-L2-W8-g2-M2": StepParameters(
        beat=128, head_dim=8, vector_lanes=2, attention_lanes=8, group=2, lanes=2, kv_heads=2, max_context=40
    ),
    "D64-Dh64-L4-W2-g3-M2": StepParameters(
        beat=64, head_dim=64, vector_lanes=4, attention_lanes=2, group=3, lanes=2, max_context=40
    ),
    "D256-Dh64-L2-W32-g2": StepParameters(
        beat=256, head_dim=64, vector_lanes=2, attention_lanes=32, group=2, kv_heads=2, max_context=70
    ),
    "D128-Dh64-L4-W16-M2": StepParameters(
        beat=128, head_dim=64, vector_lanes=4, attention_lanes=16, lanes=2, kv_heads=3, max_context=36
    ),
    "D64-Dh8-L8-W1-g3": StepParameters(beat=64, head_dim=8, vector_lanes=8, attention_lanes=1, group=3, max_context=40),
    "D128-Dh16-L16-W4-g2-M2": StepParameters(
        beat=128, head_dim=16, vector_lanes=16, attention_lanes=4, group=2, lanes=2, kv_heads=2, max_context=40
    ),
    "E2-D64-Dh8-L1-W8-M2": StepParameters(
        beat=64, channels=2, attention_channels=2, head_dim=8, vector_lanes=1, lanes=2, max_context=40
    ),
    "E4-D128-Dh32-L4-W8-g3-M4": StepParameters(
        beat=128,
        channels=5,
        attention_channels=4,
        head_dim=32,
        vector_lanes=4,
        group=3,
        kv_heads=2,
        lanes=4,
        max_context=40,
    ),
    "E8-D64-Dh16-L2-W4-g2": StepParameters(
        beat=64,
        channels=8,
        attention_channels=8,
        head_dim=16,
        vector_lanes=2,
        attention_lanes=4,
        group=2,
        max_context=60,
    ),
}


@pytest.fixture(params=SHAPES.values(), ids=list(SHAPES))
def parameters(request: pytest.FixtureRequest) -> StepParameters:
    return request.param


def give_rows(bench: AttentionBench, position: int, tokens: int, first_head: int = 0) -> dict[tuple[int, int], Rows]:
    """Rows of the run for heads from `first_head` on: (head, 0 keys or 1 values) -> rows of all positions."""
    p, heads = bench.p, dict[tuple[int, int], Rows]()
    for head in range(first_head, p.kv_heads):
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
                    "channel_stride": part_bytes(p) // 64,
                }
                bench.quantize(target, rows.codes[row], int(rows.scales[row]), **fields)
    return heads


def scales_at(p: StepParameters) -> int:
    return -(-p.channel_rows * p.row_bytes // 64) * 64


def part_bytes(p: StepParameters) -> int:
    """From a channel's rows to the next's."""
    return scales_at(p) + -(-2 * p.channel_rows // 64) * 64


def rows_at(p: StepParameters, head: int, kind: int) -> int:
    return (2 * head + kind) * part_bytes(p) * p.attention_channels


def check_memory(bench: AttentionBench, heads: dict[tuple[int, int], Rows], position: int) -> None:
    """The new rows, padded with 0, and their scales are in memory, and nothing else was touched."""
    p, wanted = bench.p, bytearray([UNTOUCHED]) * len(bench.memory)
    for (head, kind), rows in heads.items():
        base = rows_at(p, head, kind)
        for row in range(position, len(rows.scales)):
            codes = rows.codes[row].astype(np.int8).tobytes()
            channel, place = p.row_place(row)
            part = base + channel * part_bytes(p)
            at = part + place * p.row_bytes
            wanted[at : at + p.row_bytes] = codes.ljust(p.row_bytes, b"\0")
            at = part + scales_at(p) + 2 * place
            wanted[at : at + 2] = int(rows.scales[row]).to_bytes(2, "little")
    assert bench.memory == wanted


def case_of(bench: AttentionBench, heads: dict[tuple[int, int], Rows], position: int, lane: int, head: int) -> Case:
    """Head `head` of token `lane`, in bank head mod 2."""
    count = position + lane + 1
    keys, values = (Rows(heads[head, kind].codes[:count], heads[head, kind].scales[:count]) for kind in (0, 1))
    return Case(bench, count - 1, lane, head, head & 1, keys, values, position)


@pytest.mark.parametrize("position", [0, 1, 5, 32, 33])
def test_heads_one_after_the_other(parameters: StepParameters, position: int) -> None:
    p = parameters
    bench = AttentionBench(p, seed=position)
    heads = give_rows(bench, position, p.lanes)
    bench.until_idle()
    check_memory(bench, heads, position)
    for lane in range(p.lanes):
        for head in range(p.kv_heads):
            case = case_of(bench, heads, position, lane, head)
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


@pytest.mark.parametrize("pressure", [0.0, 0.6])
def test_the_other_bank_is_written_meanwhile(pressure: float) -> None:
    """Scores of a head while the weights of the one before and the queries of the one after come, and new rows too."""
    p = SHAPES["D128-Dh64-L4-W16-M2"]
    position = 17
    bench = AttentionBench(p, seed=7, pressure=pressure)
    heads = give_rows(bench, position, p.lanes)
    cases = [case_of(bench, heads, position, lane, head) for lane in range(p.lanes) for head in range(p.kv_heads)]
    for index, case in enumerate(cases):
        case.bank = index & 1
    cases[0].give_queries()
    bench.until_idle()
    cases[0].begin_scores(0, 64, 0)
    for index, case in enumerate(cases):
        following = cases[index + 1] if index + 1 < len(cases) else None
        if following:
            following.give_queries()
        case.check_scores(bench.finish(), 0, 64, 0)
        case.check_scales()
        case.give_weights()
        if following:
            while bench.words and bench.words[0]["target"] == Target.QUERY:
                bench.cycle()
            following.begin_scores(0, 64, 0)
            following.check_scores(bench.finish(), 0, 64, 0)
        bench.until_idle()
        case.begin_values(8)
        if following:
            # The values' turn leaves no trace in the other bank.
            case.check_values(bench.finish(), 8)
            following.check_scales()
            following.begin_scores(0, 64, 0)
        else:
            case.check_values(bench.finish(), 8)
    check_memory(bench, heads, position)


@pytest.mark.parametrize("pressure", [0.0, 0.4])
@pytest.mark.parametrize("position", [0, 1, 33])
def test_instructions_follow_at_once(parameters: StepParameters, position: int, pressure: float) -> None:
    """Each is given while the results of those before are on their way; all of them come, in order."""
    p = parameters
    bench = AttentionBench(p, seed=position, pressure=pressure)
    heads = give_rows(bench, position, 1)
    cases = [case_of(bench, heads, position, 0, head % p.kv_heads) for head in range(2)]
    for bank, case in enumerate(cases):
        case.bank = bank
        case.give_queries()
        case.give_weights()
    bench.until_idle()
    order = [*"SSVSVVSSVS", *(bench.random.choice("SV") for _ in range(10))]
    turns = [(kind, cases[bench.random.randrange(2)], 256 * turn) for turn, kind in enumerate(order)]
    for kind, case, to in turns:
        if kind == "S":
            case.begin_scores(to, 64, to // 256)
        else:
            case.begin_values(to)
    while bench.done < len(turns):
        bench.finish_one()
    visits, bench.visits = bench.visits, []
    for kind, case, to in turns:
        words = -(-(position + 1) // p.vector_lanes) if kind == "S" else p.head_dim // p.vector_lanes
        own, visits = visits[: words * p.group], visits[words * p.group :]
        if kind == "S":
            case.check_scores(own, to, 64, to // 256)
            case.check_scales()
        else:
            case.check_values(own, to)
    assert not visits and bench.done == len(turns)


def test_a_row_that_comes_during_scores_is_sent_before_anything_else_begins() -> None:
    p = SHAPES["D128-Dh8-L2-W8-g2-M2"]
    bench = AttentionBench(p, seed=3)
    heads = give_rows(bench, 33, 2)
    case = case_of(bench, heads, 33, 0, 0)
    case.give_queries()
    bench.until_idle()
    sent = bench.sent
    bench.held = True
    case.begin_scores(0, 64, 0)
    newer = give_rows(bench, 34, 2, first_head=1)
    case.check_scores(bench.finish(), 0, 64, 0)
    assert not bench.words
    bench.dut.set(begin=1)
    for _ in range(100):
        assert bench.dut.get("rows_pending") and not bench.dut.get("taken")
        bench.cycle()
    bench.dut.set(begin=0)
    bench.held = False
    bench.until_idle()
    assert bench.sent == sent + 2 * 2 * (p.row_beats + 1)
    base = rows_at(p, 1, 1) + 35 * p.row_bytes
    assert bench.memory[base : base + 8] == newer[1, 1].codes[35].astype(np.int8).tobytes()


@pytest.mark.parametrize("cycles", [1, 7, 23, 60, 95, 130, 200])
def test_nothing_is_left_after_clear(cycles: int) -> None:
    p = SHAPES["D128-Dh8-L2-W8-g2-M2"]
    bench = AttentionBench(p, seed=cycles)
    for values in (False, True):
        heads = give_rows(bench, 33, 1)
        case = case_of(bench, heads, 33, 0, 1)
        case.give_queries()
        case.give_weights()
        bench.until_idle()
        if values:
            case.begin_values(0)
        else:
            case.begin_scores(0, 64, 0)
        bench.quantize(Target.KEY, np.arange(8), 0, lane=0, head=1)
        for _ in range(cycles):
            bench.cycle()
        bench.clear()
        assert bench.dut.get("taken") and not bench.dut.get("rows_pending") and not bench.dut.get("visit_valid")
        bench.quantize(Target.KEY, case.keys.codes[33], int(case.keys.scales[33]), lane=0, head=1, row=33)
        bench.until_idle()
        case.begin_scores(0, 64, 0)
        case.check_scores(bench.finish(), 0, 64, 0)
        case.begin_values(0)
        case.check_values(bench.finish(), 0)


def test_a_row_that_is_being_sent_is_forgotten_at_clear() -> None:
    p = SHAPES["D128-Dh8-L2-W8-g2-M2"]
    for cycles in range(1, 14):
        bench = AttentionBench(p, seed=cycles, pressure=0)
        bench.held = True
        give_rows(bench, 3, 2)
        while bench.words:
            bench.cycle()
        bench.held = False
        for _ in range(cycles):
            bench.cycle()
        bench.clear()
        bench.memory[:] = bytes([UNTOUCHED]) * len(bench.memory)
        for _ in range(5):
            bench.cycle()
        heads = give_rows(bench, 4, 2)
        bench.until_idle()
        check_memory(bench, heads, 4)


def test_results_wait_as_long_as_nothing_takes_them(parameters: StepParameters) -> None:
    """More scores and results than there are places for."""
    p = parameters
    bench = AttentionBench(p, pressure=0)
    heads = give_rows(bench, 33, 1)
    case = case_of(bench, heads, 33, 0, 0)
    case.give_queries()
    case.give_weights()
    bench.until_idle()
    for begin, check in (
        (lambda: case.begin_scores(0, 64, 0), lambda: case.check_scores(bench.finish(), 0, 64, 0)),
        (lambda: case.begin_values(0), lambda: case.check_values(bench.finish(), 0)),
    ):
        bench.visits_held = True
        begin()
        for _ in range(1500):
            bench.cycle()
        bench.visits_held = False
        check()


def test_saturation_is_told() -> None:
    p = SHAPES["D64-Dh8-L1-W4"]
    bench = AttentionBench(p)
    heads = give_rows(bench, 5, 1)
    case = case_of(bench, heads, 5, 0, 0)
    case.give_weights(exponent=110)
    bench.until_idle()
    case.begin_values(0)
    visits = bench.finish()
    case.check_values(visits, 0)
    assert bench.overflows == sum(word["data"] & 0x7FFFFFFF == 0x7F7FFFFF for word in visits) > 0


def test_cycles_when_nothing_stalls(parameters: StepParameters) -> None:
    """A row takes as long as its bytes, scales come L at a time; results of VALUES leave as converters take them."""
    p, position = parameters, 33
    bench = AttentionBench(p, pressure=0)
    heads = give_rows(bench, position, 1)
    case = case_of(bench, heads, position, 0, 0)
    case.give_queries()
    case.give_weights()
    bench.until_idle()
    chunks = max(p.head_dim // p.attention_lanes, 1)
    at_once = min(p.vector_lanes, p.beat // 16)
    scales = -(-position // (p.beat // 16)) * (p.beat // 16) // at_once
    reads = {"S": 2 * scales + 2 + (position + 1) * chunks, "V": (position + 1) * chunks}
    drain = p.head_dim * -(-p.group // -(-p.group // chunks))

    def measured(order: str) -> int:
        before, end = bench.dut.cycles, bench.done + len(order)
        for kind in order:
            (case.begin_scores(0, 64, 0) if kind == "S" else case.begin_values(0))
        while bench.done < end:
            bench.finish_one()
        bench.visits.clear()
        return bench.dut.cycles - before

    assert measured("S") <= reads["S"] + 45
    assert measured("V") <= reads["V"] + drain + 45
    # What follows begins while results are on their way: those of VALUES before any row of what follows.
    assert measured("SSS") <= 3 * (reads["S"] + 3) + 45
    assert measured("VV") <= 2 * (reads["V"] + drain + 12) + 45
    between = max(drain + 9, 2 * scales + 4)
    assert measured("VS") <= reads["V"] + 3 + between + (position + 1) * chunks + 45
