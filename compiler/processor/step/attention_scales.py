"""Scales of the head's keys and values, from the stream and the run's own rows."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.step.attention_ports import (
    SCALE_BITS,
    row_bits,
    scales_at_once,
)
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.scale_memory import scale_memory


def attention_scales(p: StepParameters) -> Module:
    """Keeps the scales that the sequencer has written; two cycles after they are asked for it gives them out.

    `scale_data`: the L value scales of word `scale_word` of bank `scale_bank`. `key_scale`: that of row `key_row`.
    `write` takes part `part` of the beat for the rows from `row` on, or with `own` `own_scale` for `row` alone;
    `is_value` of values, into `bank`, which stays for a cycle longer.
    """
    m = Module("attention_scales", attention_scales.__doc__, asdict(p))
    bits, at_once = row_bits(p), scales_at_once(p)
    data, part = m.input("data", p.beat), m.input("part", max(1, (p.beat // SCALE_BITS // at_once - 1).bit_length()))
    own, own_scale = m.input("own"), m.input("own_scale", SCALE_BITS)
    width = SCALE_BITS * at_once
    parts = [data[at : at + width] for at in range(0, p.beat, width)]
    scales = m.register("scales_1", mux(own, own_scale.replicate(at_once), select(part, parts)))
    if len(parts) == 1:
        m.unused(part)
    single, row = m.register("own_1", own), m.register("row_1", m.input("row", bits))
    write, is_value = m.input("write"), m.input("is_value")

    place = p.vector_lanes.bit_length() - 1
    key_row = m.input("key_row", bits)
    keys = m.instance(
        "keys",
        scale_memory(p, 1),
        write=m.register("write_keys", write & ~is_value, reset=0),
        single=single,
        write_row=row,
        write_data=scales,
        read_word=key_row[place:bits],
    )["read_data"]
    found = [keys[SCALE_BITS * lane : SCALE_BITS * (lane + 1)] for lane in range(p.vector_lanes)]
    which: Signal = m.register("key_lane", key_row[0:place]) if place else m.constant(0, 1)
    m.output("key_scale", m.register("key_scale_q", select(which, found)))

    word = m.input("scale_word", bits - place)
    values = m.instance(
        "values",
        scale_memory(p, 2),
        write=m.register("write_values", write & is_value, reset=0),
        write_bank=m.input("bank"),
        single=single,
        write_row=row,
        write_data=scales,
        read_word=concat(m.input("scale_bank"), word),
    )
    m.output("scale_data", m.register("scale_data_q", values["read_data"]))
    return m
