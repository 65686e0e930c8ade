"""Exact sums to fp32 (C7 to C9), gathered into words of L results of one query."""

from functools import cache

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.result_converter import LATENCY, integer_converter
from elastix.compiler.processor.step.attention_memory import power_of_two
from elastix.compiler.processor.step.attention_ports import SCALE_BITS, converters_of, steps_of, sum_bits
from elastix.compiler.processor.step.parameters import StepParameters

ROUND_TRIP = 28
"""Cycles from a place being kept for a word to its leaving it, or so: as many results of a query are on their way."""


def word_room(p: StepParameters) -> int:
    """Words of each converter that find a place, a power of two."""
    return power_of_two(max(16, -(-ROUND_TRIP // p.vector_lanes) + steps_of(p)))


@cache
def score_words(p: StepParameters) -> Module:
    """Takes sums with their scale and exponent, in the order of rows, of each row the queries, and keeps words of L.

    Sums of queries step · K + k come together, at converter k of K. `ends_word` with a sum: the results of its row
    complete the words. `reserve` before the first sum of a word of every query, where `room` is 1. `word`: the oldest,
    where `some` is 1, until `pop`; with `last_query` it is that of the last query. `overflow` (pulse): C6.
    """
    values = {"group": p.group, "converters": converters_of(p), "vector_lanes": p.vector_lanes, "bits": sum_bits(p)}
    m = Module("score_words", score_words.__doc__, values)
    clear, at_once, steps, bits = m.input("clear"), converters_of(p), steps_of(p), sum_bits(p)
    valid, sums = m.input("valid", at_once), m.input("sum", bits * at_once)
    row_scale, exponent = m.input("row_scale", SCALE_BITS), m.input("exponent", 16)
    converted = [
        m.instance(
            f"converter_{k}",
            integer_converter("score_converter", bits),
            clear=clear,
            valid=valid[k],
            sum=sums[bits * k : bits * (k + 1)],
            row_scale=row_scale,
            exponent=exponent,
        )
        for k in range(at_once)
    ]
    m.output("overflow", concat(*(each["overflow"] for each in converted)).any())
    for each in converted[1:]:
        m.unused(each["result_valid"])
    ends_word = delay_stages(m, "ends_word", m.input("ends_word"), LATENCY)[LATENCY]

    # Words at `base` + step, of all converters, have lane row mod L of the results.
    comes, lanes, room = converted[0]["result_valid"], p.vector_lanes, word_room(p)
    place_bits = index_bits(room)
    base, place_in, last_step = m.state("base", place_bits), None, m.constant(1, 1)
    if steps > 1:
        step = m.state("step_in", index_bits(steps))
        last_step = m.named("last_step_in", step == steps - 1)
        step.next(mux(clear | last_step, 0, step + 1), enable=clear | comes)
        place_in = m.named("place_in", base + step.zext(place_bits))
    row_ends = m.named("row_ends", comes & last_step)
    completes = m.named("completes", row_ends & ends_word)
    base.next(mux(clear, 0, base + steps), enable=clear | completes)
    lane: Signal = m.constant(0, 1)
    if lanes > 1:
        counter = m.state("lane_in", index_bits(lanes))
        counter.next(mux(clear | ends_word, 0, counter + 1), enable=clear | row_ends)
        lane = counter
    memories = list[list[Memory]]()
    for k in range(at_once):
        memories.append([Memory(m, f"lane_{index}_of_{k}", room, 32, latency=0) for index in range(lanes)])
        for index, memory in enumerate(memories[-1]):
            memory.write(base if place_in is None else place_in, converted[k]["result"], comes & (lane == index))

    # Words that are complete go out in the order of their places, of each place the converters' in turn.
    pop, last_query = m.input("pop"), m.input("last_query")
    rows = room // steps
    row_bits = rows.bit_length() + 1
    filled = m.state("filled", row_bits, reset=0)
    gone = m.named("row_gone", pop & last_query)
    filled.next(mux(clear, 0, filled + completes.zext(row_bits) - gone.zext(row_bits)))
    # Places beyond those of one more row: its sign alone says that there are none, so that nothing is compared.
    spare, reserve = m.state("spare", row_bits, reset=rows - 1), m.input("reserve")
    spare.next(mux(clear, rows - 1, spare + gone.zext(row_bits) - reserve.zext(row_bits)))
    m.output("room", ~spare[-1])
    m.output("some", filled.any())
    bank, last_bank = None, m.constant(1, 1)
    if at_once > 1:
        bank = m.state("bank_out", index_bits(at_once))
        last_bank = m.named("last_bank", last_query | (bank == at_once - 1))
        bank.next(mux(clear | last_bank, 0, bank + 1), enable=clear | pop)
    place = m.state("read_at", place_bits)
    place.next(mux(clear, 0, place + 1), enable=clear | (pop & last_bank))
    data = [concat(*reversed([memory.read(place) for memory in each])) for each in memories]
    m.output("word", data[0] if bank is None else select(bank, data))
    return m
