"""Visiting words of the attention engine: what goes with the words of its channels, and when an instruction ends."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.attention_ports import VISIT, channel_bits, count_bits
from elastix.compiler.processor.step.instructions import Maximum, Operation
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters


def score_visits(p: StepParameters) -> Module:
    """Gives out the words of results of the channels, in the order of rows, of each word of rows the queries.

    `start` (pulse) takes an instruction, while `accepts`: `last` + 1 results of every query, words of query j from
    element `to` + j · `stride` on; with `tracks` they are scores, dealt to the channels in turn, the largest to
    register `max_register` + j; else all are channel 0's. some_<e>, word_<e>: channel e's next word; `pop` (a bit a
    channel) takes it, `last_query`: it is that of the last query. visit_*: README.md. `done` (pulse): as many
    `visitor_written` have come as there are queries: an instruction is finished.
    """
    m = Module("score_visits", score_visits.__doc__, asdict(p))
    clear = m.input("clear")
    words = _Words(m, p, clear)
    channels = range(p.attention_channels)
    some = [m.input(f"some_{e}") for e in channels]
    data = [m.input(f"word_{e}", 32 * p.vector_lanes) for e in channels]
    visit_valid, pop = m.state("visit_valid_q", 1, reset=0), m.wire("pop_now", 1)
    free = m.named("free", ~visit_valid | m.input("visit_ready"))
    turn = words.channel
    pop.assign(words.known & (some[0] if turn is None else select(turn, some)) & free & ~clear)
    visit_valid.next(~clear & (pop | (visit_valid & ~free)))
    m.output("visit_valid", visit_valid)
    m.output("visit_data", m.register("visit_data_q", data[0] if turn is None else select(turn, data), enable=pop))
    m.output("pop", pop if turn is None else concat(*(pop & (turn == e) for e in reversed(channels))))
    m.output("last_query", words.last_query)
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

    known: there is such an instruction. last_query: the next word is the last one of its place. channel: whose it is.
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
        self.last_query: Signal = m.named("last_query_now", self.query == p.group - 1)
        bits = channel_bits(p)
        self.channel = m.state("channel_out", bits) if bits else None

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
        if self.channel is not None:
            self.channel.next(mux(load | ~now["tracks"], 0, self.channel + 1), enable=row_moves)
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
