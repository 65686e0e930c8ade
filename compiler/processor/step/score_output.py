"""Exact sums to fp32 (C7 to C9), gathered into visiting words of L results of one query."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.result_converter import LATENCY, integer_converter
from elastix.compiler.processor.step.attention_memory import power_of_two
from elastix.compiler.processor.step.attention_ports import (
    SCALE_BITS,
    VISIT,
    converters_of,
    count_bits,
    steps_of,
    sum_bits,
)
from elastix.compiler.processor.step.instructions import Maximum, Operation
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters

ROUND_TRIP = 28
"""Cycles from a place being kept for a word to its leaving it, or so: as many results of a query are on their way."""


def word_room(p: StepParameters) -> int:
    """Words of each converter that find a place, a power of two."""
    return power_of_two(max(16, -(-ROUND_TRIP // p.vector_lanes) + steps_of(p)))


def score_output(p: StepParameters) -> Module:
    """Takes sums with their scale and exponent, in the order of rows, of each row the queries, and gives out words.

    Sums of queries step · K + k come together, at converter k of K. `start` (pulse) takes an instruction, while
    `accepts`: `last` + 1 results of every query, words of query j from element `to` + j · `stride` on; with `tracks`
    the largest to register `max_register` + j. Sums come in the order of instructions. `ends_word` with a sum: the
    results of its row complete the words. `reserve` before the first sum of a word of every query, where `room` is 1.
    visit_*: README.md. `done` (pulse): as many `visitor_written` have come as there are queries: an instruction is
    finished. `overflow` (pulse): C6.
    """
    m = Module("score_output", score_output.__doc__, asdict(p))
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
    words = _Words(m, p, clear)
    visit_valid, pop = m.state("visit_valid_q", 1, reset=0), m.wire("pop", 1)
    rows = room // steps
    row_bits = rows.bit_length() + 1
    filled = m.state("filled", row_bits, reset=0)
    gone = m.named("row_gone", pop & words.last_query)
    filled.next(mux(clear, 0, filled + completes.zext(row_bits) - gone.zext(row_bits)))
    # Places beyond those of one more row: its sign alone says that there are none, so that nothing is compared.
    spare, reserve = m.state("spare", row_bits, reset=rows - 1), m.input("reserve")
    spare.next(mux(clear, rows - 1, spare + gone.zext(row_bits) - reserve.zext(row_bits)))
    m.output("room", ~spare[-1])
    free = m.named("free", ~visit_valid | m.input("visit_ready"))
    pop.assign(words.known & filled.any() & free & ~clear)
    visit_valid.next(~clear & (pop | (visit_valid & ~free)))

    bank, last_bank = None, m.constant(1, 1)
    if at_once > 1:
        bank = m.state("bank_out", index_bits(at_once))
        last_bank = m.named("last_bank", words.last_query | (bank == at_once - 1))
        bank.next(mux(clear | last_bank, 0, bank + 1), enable=clear | pop)
    place = m.state("read_at", place_bits)
    place.next(mux(clear, 0, place + 1), enable=clear | (pop & last_bank))
    data = [concat(*reversed([memory.read(place) for memory in each])) for each in memories]
    m.output("visit_valid", visit_valid)
    chosen = data[0] if bank is None else select(bank, data)
    m.output("visit_data", m.register("visit_data_q", chosen, enable=pop))
    words.describe(pop)
    _count(m, p, clear)
    return m


def _count(m: Module, p: StepParameters, clear: Signal) -> None:
    """A word with `last` of every query, and the instruction is finished."""
    written, last = m.input("visitor_written"), m.constant(1, 1)
    if p.group > 1:
        there = m.state("queries_written", index_bits(p.group))
        last = m.named("last_written", there == p.group - 1)
        there.next(mux(clear | last, 0, there + 1), enable=clear | written)
    m.output("done", m.register("done_q", written & last & ~clear, reset=0))


class _Words:
    """What goes with the words' data: of the instruction whose words go out, while another one waits.

    known: there is such an instruction. last_query: the next word is the last one of its place.
    """

    def __init__(self, m: Module, p: StepParameters, clear: Signal) -> None:
        self.m, self.p, self.clear = m, p, clear
        start = m.input("start")
        widths = {
            "tracks": 1,
            "last": count_bits(p),
            "to": ELEMENT_BITS,
            "stride": ELEMENT_BITS,
            "max_register": VISIT["max_register"],
        }
        self.following = {
            name: m.register(f"next_{name}", m.input(name, bits), enable=start) for name, bits in widths.items()
        }
        self.known = m.state("known", 1, reset=0)
        waits = m.state("waits", 1, reset=0)
        self.load = m.named("load", waits & ~self.known)
        waits.next(~clear & (start | (waits & ~self.load)))
        m.output("accepts", ~waits)
        self.query = m.state("query_out", index_bits(p.group))
        self.last_query: Signal = m.named("last_query", self.query == p.group - 1)

    def describe(self, pop: Signal) -> None:
        """`pop`: a word goes."""
        m, p, load, query, last_query = self.m, self.p, self.load, self.query, self.last_query
        now = {
            name: m.register(f"{name}_q", value, enable=load) for name, value in self.following.items() if name != "to"
        }
        lanes, last = p.vector_lanes, now["last"]
        place = lanes.bit_length() - 1
        word = m.state("word_out", last.width - place)
        last_word = m.named("last_word", word == last[place : last.width])
        ends = m.named("instruction_ends", pop & last_word & last_query)
        self.known.next(~self.clear & (load | (self.known & ~ends)))
        moves, row_moves = m.named("moves", load | pop), m.named("row_moves", load | (pop & last_query))
        query.next(mux(load | last_query, 0, query + 1), enable=moves)
        word.next(mux(load, 0, word + 1), enable=row_moves)
        first_to, here = m.state("first_to", ELEMENT_BITS), m.state("word_to", ELEMENT_BITS)
        to, next_to = self.following["to"], m.named("word_after", first_to + lanes)
        first_to.next(mux(load, to, next_to), enable=row_moves)
        here.next(mux(load, to, mux(last_query, next_to, here + now["stride"])), enable=moves)

        mask = m.constant(1, 1)
        if lanes > 1:
            mask = concat(*(~last_word | (last[0:place] >= lane) for lane in reversed(range(lanes))))
        mask = m.register("visit_mask_q", mask, enable=pop)
        maximum = mux(now["tracks"], m.constant(Maximum.SIGNED, VISIT["maximum"]), int(Maximum.NONE))
        register = now["max_register"] + query.zext(VISIT["max_register"])
        fields: Mapping[str, Signal] = {
            "operation": m.constant(Operation.COPY, VISIT["operation"]),
            "to": m.register("visit_to_q", here, enable=pop),
            "from": m.constant(0, VISIT["from"]),
            "maximum": m.register("visit_maximum_q", maximum, enable=pop),
            "max_register": m.register("visit_register_q", register, enable=pop),
            "first": m.register("visit_first_q", ~word.any(), enable=pop),
            "last": m.register("visit_last_q", last_word, enable=pop),
        }
        m.output("visit_mask", mask)
        m.output("visit_tracked", mask)
        for name in VISIT:
            m.output(f"visit_{name}", fields[name])
