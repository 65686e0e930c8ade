"""The results of VALUES, one element of all queries after the other."""

from functools import cache

from elastix.compiler.circuit import Module, mux
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_event
from elastix.compiler.processor.step.attention_ports import channel_bits, lane_place, lanes_of, steps_of
from elastix.compiler.processor.step.parameters import StepParameters


def flush_cycles(p: StepParameters) -> int:
    """From the last chunk of VALUES: until its products are in the accumulators, and until the scores that came before
    are on their way, which go through the same converters."""
    return max(5, lanes_of(p).bit_length() - 1)


@cache
def attention_drain(p: StepParameters) -> Module:
    """After the rows of VALUES its results go out, element after element, of each the queries.

    begins (pulse): every channel has issued its last chunk. `busy`: from the next cycle on, until rows may come again.
    `result`: element `element` of every query's accumulators goes out; only while `draining`; the element stays for as
    many cycles as converters need for the queries. `reserve`: the words that begin, one a query, need places; `room`
    says that there are. `ends_word`, with `result`: the element is a word's last.
    """
    m = Module("attention_drain", attention_drain.__doc__, {"head_dim": p.head_dim, "steps": steps_of(p)})
    clear, begins, room = m.input("clear"), m.input("begins"), m.input("room")
    flushing, draining, busy = (m.state(name, 1, reset=0) for name in ("flushing", "draining_q", "busy_q"))
    flush, cycles = m.state("flush_count", 3), flush_cycles(p)
    flush.next(mux(flushing, flush + 1, 0))
    flushed = m.named("flushed", flushing & (flush == cycles))
    steps, word = steps_of(p), lane_place(p)
    step, first_step, last_step = None, m.constant(1, 1), m.constant(1, 1)
    element = m.state("element_q", index_bits(p.head_dim))
    word_begins = m.named("word_begins", ~element[0:word].any() if word else m.constant(1, 1))
    if steps > 1:
        step = m.state("drain_step", index_bits(steps), reset=0)
        first_step, last_step = m.named("drain_first", ~step.any()), m.named("drain_last", step == steps - 1)
    result = m.named("result_now", draining & first_step & (~word_begins | room))
    moves = result
    if step is not None:
        moves = m.named("drain_moves", result | ~first_step)
        step.next(mux(last_step | clear, 0, step + 1), enable=moves | clear)
    element_end = m.named("element_end", moves & last_step)
    end = m.named("drain_end", element_end & (element == p.head_dim - 1))
    element.next(mux(draining, element + 1, 0), enable=element_end | ~draining)
    draining.next(~clear & (flushed | (draining & ~end)))
    flushing.next(~clear & (begins | (flushing & ~flushed)))
    # What comes late of several channels' sums, comes before any score of what follows.
    gone = delay_event(m, "drain_end", end, channel_bits(p), clear)[-1]
    busy.next(~clear & (begins | (busy & ~gone)))
    m.output("busy", busy)
    m.output("draining", draining)
    m.output("result", result)
    m.output("element", element)
    m.output("reserve", result & word_begins)
    m.output("ends_word", element[0:word].all() if word else m.constant(1, 1))
    return m
