"""Exact sums to fp32 (C7 to C9), gathered into visiting words of L results of one query."""

from dataclasses import asdict

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.result_converter import LATENCY, integer_converter
from elastix.compiler.processor.step.attention_memory import power_of_two
from elastix.compiler.processor.step.attention_ports import SCALE_BITS, VISIT, count_bits, sum_bits
from elastix.compiler.processor.step.instructions import Maximum, Operation
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters

ROUND_TRIP = 28
"""Cycles from a place being kept for a word to its leaving it, or so: as many results are on their way."""


def word_room(p: StepParameters) -> int:
    """Words that find a place, a power of two."""
    return power_of_two(max(16, -(-ROUND_TRIP // p.vector_lanes) + p.group))


def score_output(p: StepParameters) -> Module:
    """Takes sums with their scale and exponent, in the order of rows, of each row the queries, and gives out words.

    `start` (pulse) takes the instruction: `each_query`, 1: `last` + 1 results of every query, words of query j from
    element `to` + j·`stride` on, largest to register `max_register` + j; 0: `last` + 1 results in all, words from `to`
    on. `ends_word` with a sum: the results of its row complete the words. `reserve` before the first sum of a word (of
    every query), where `room` is 1. visit_*: README.md. `written` (level): as many `visitor_written` have come as
    words with `last` were to go. `overflow` (pulse): C6.
    """
    m = Module("score_output", score_output.__doc__, asdict(p))
    clear, start = m.input("clear"), m.input("start")
    given_each = m.input("each_query")
    each_query = m.register("each_query_q", given_each, enable=start)
    last = m.register("last_q", m.input("last", count_bits(p)), enable=start)
    converted = m.instance(
        "converter",
        integer_converter("score_converter", sum_bits(p)),
        clear=clear,
        valid=m.input("valid"),
        sum=m.input("sum", sum_bits(p)),
        row_scale=m.input("row_scale", SCALE_BITS),
        exponent=m.input("exponent", 16),
    )
    m.output("overflow", converted["overflow"])
    ends_word = delay_stages(m, "ends_word", m.input("ends_word"), LATENCY)[LATENCY]

    # Word `base` + query has lane row mod L of the results; words of all queries are completed one after the other.
    valid, lanes, room = converted["result_valid"], p.vector_lanes, word_room(p)
    bits = index_bits(room)
    query, base = m.state("query_in", index_bits(p.group)), m.state("base", bits)
    last_query = m.named("last_query_in", ~each_query | (query == p.group - 1))
    query.next(mux(start | last_query, 0, query + 1), enable=start | valid)
    completes = m.named("completes", valid & ends_word)
    words = m.named("words_of_row", mux(each_query, m.constant(p.group, bits + 1), 1))
    base.next(mux(start, 0, base + words[0:bits]), enable=start | (completes & last_query))
    lane: Signal = m.constant(0, 1)
    if lanes > 1:
        counter = m.state("lane_in", index_bits(lanes))
        counter.next(mux(start | ends_word, 0, counter + 1), enable=start | (valid & last_query))
        lane = counter
    place_in = m.named("place_in", base + query.zext(bits))
    memories = list[Memory]()
    for index in range(lanes):
        memory = Memory(m, f"lane_{index}", room, 32, latency=0)
        memory.write(place_in, converted["result"], valid & (lane == index))
        memories.append(memory)

    # Words that are complete go out in the order of their places.
    visit_valid, pop = m.state("visit_valid_q", 1, reset=0), m.wire("pop", 1)
    filled = m.state("filled", bits + 1, reset=0)
    restart = m.named("restart", clear | start)
    gone = m.named("gone", pop.zext(bits + 1))
    filled.next(mux(restart, 0, filled + completes.zext(bits + 1) - gone))
    # Places beyond those of one more row: its sign alone says that there are none, so that nothing is compared.
    spare = m.state("spare", bits + 1, reset=0)
    at_first = mux(given_each, m.constant(room - p.group, bits + 1), room - 1)
    more = mux(m.input("reserve"), words, 0)
    spare.next(mux(restart, at_first, spare + gone - more))
    m.output("room", ~spare[-1])
    free = m.named("free", ~visit_valid | m.input("visit_ready"))
    pop.assign(filled.any() & free & ~restart)
    visit_valid.next(~restart & (pop | (visit_valid & ~free)))
    place = m.state("read_at", bits, reset=0)
    place.next(mux(restart, 0, place + 1), enable=pop | restart)
    data = concat(*reversed([memory.read(place) for memory in memories]))
    m.output("visit_valid", visit_valid)
    m.output("visit_data", m.register("visit_data_q", data, enable=pop))
    _describe(m, p, start, pop, each_query, last)
    return m


def _describe(m: Module, p: StepParameters, start: Signal, pop: Signal, each_query: Signal, last: Signal) -> None:
    """What goes with a word's data, and whether the last one is where it belongs."""
    lanes, count = p.vector_lanes, index_bits(p.group)
    place = lanes.bit_length() - 1
    query, word = m.state("query_out", count), m.state("word_out", last.width - place)
    last_query = m.named("last_query_out", ~each_query | (query == p.group - 1))
    last_word = m.named("last_word", word == last[place : last.width])
    moves, row_moves = m.named("moves", start | pop), m.named("row_moves", start | (pop & last_query))
    query.next(mux(start | last_query, 0, query + 1), enable=moves)
    word.next(mux(start, 0, word + 1), enable=row_moves)
    to, stride = m.input("to", ELEMENT_BITS), m.register("stride_q", m.input("stride", ELEMENT_BITS), enable=start)
    first_to, here = m.state("first_to", ELEMENT_BITS), m.state("word_to", ELEMENT_BITS)
    next_to = m.named("next_to", first_to + lanes)
    first_to.next(mux(start, to, next_to), enable=row_moves)
    here.next(mux(start, to, mux(last_query, next_to, here + stride)), enable=moves)
    register = m.register("max_register_q", m.input("max_register", VISIT["max_register"]), enable=start)

    mask = m.constant(1, 1)
    if lanes > 1:
        mask = concat(*(~last_word | (last[0:place] >= lane) for lane in reversed(range(lanes))))
    mask = m.register("visit_mask_q", mask, enable=pop)
    fields = {
        "operation": m.constant(Operation.COPY, VISIT["operation"]),
        "to": m.register("visit_to_q", here, enable=pop),
        "from": m.constant(0, VISIT["from"]),
        "maximum": mux(each_query, m.constant(Maximum.SIGNED, VISIT["maximum"]), int(Maximum.NONE)),
        "max_register": m.register("visit_register_q", register + query.zext(register.width), enable=pop),
        "first": m.register("visit_first_q", ~word.any(), enable=pop),
        "last": m.register("visit_last_q", last_word, enable=pop),
    }
    m.output("visit_mask", mask)
    m.output("visit_tracked", mask)
    for name in VISIT:
        m.output(f"visit_{name}", fields[name])

    there = m.state("written_words", p.group.bit_length())
    there.next(mux(start, 0, there + 1), enable=start | m.input("visitor_written"))
    m.output("written", there == mux(each_query, m.constant(p.group, there.width), 1))
