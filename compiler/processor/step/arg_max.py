"""The index of the largest result of each token (C22), an element a cycle."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, mux, select
from elastix.compiler.processor.arithmetic.float_order import order_key
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.parameters import StepParameters

INDEX_BITS = 32


def arg_max(p: StepParameters) -> Module:
    """Looks at beats of R results, given with `push` while `idle`.

    clear (pulse): nothing seen yet. lane, index, left: the beat's token, its first result's index, and how many of the
    results count from that one on, at least 1. arg_max_<m>: index of token m's largest so far, the lowest among equals.
    """
    m = Module("arg_max", arg_max.__doc__, asdict(p))
    clear, push = m.input("clear"), m.input("push")
    data, lane = m.input("data", p.beat), m.input("lane", p.lane_bits)
    index, left = m.input("index", INDEX_BITS), m.input("left", INDEX_BITS)

    busy, place = m.state("busy", 1, reset=0), m.state("place", index_bits(p.rows))
    remaining, beat = m.state("remaining", INDEX_BITS), m.state("beat", p.beat)
    here = m.state("index_q", INDEX_BITS)
    end = m.named("end", (remaining == 1) | (place == p.rows - 1))
    busy.next(~clear & (push | (busy & ~end)))
    place.next(mux(push, 0, place + 1))
    remaining.next(mux(push, left, remaining - 1))
    beat.next(mux(push, data, beat >> 32))
    here.next(mux(push, index, here + 1))
    of = m.register("lane_q", lane, enable=push)

    compare = m.register("compare", busy & ~clear, reset=0)
    key, at = m.register("key", order_key(beat[0:32])), m.register("at", here)
    compared_lane = m.register("compared_lane", of)
    best: list[Signal] = []
    larger = m.wire("larger", 1)
    for each in range(p.lanes):
        take = m.named(f"take_{each}", compare & larger & (compared_lane == each))
        seen, largest, found = (
            m.state(f"seen_{each}", 1, reset=0),
            m.state(f"largest_{each}", 32),
            m.state(f"found_{each}", INDEX_BITS),
        )
        seen.next(~clear & (seen | take))
        largest.next(key, enable=take)
        found.next(at, enable=take)
        best.append(mux(seen, largest, 0))
        m.output(f"arg_max_{each}", mux(seen, found, 0))
    # No key of a number is 0, so that the first one is larger than none.
    larger.assign(select(compared_lane, best) < key if p.lanes > 1 else best[0] < key)
    m.output("idle", ~busy & ~compare)
    return m
