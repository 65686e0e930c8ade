"""One channel of the attention engine: its rows of a head, and their exact sums."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.step import attention_operands
from elastix.compiler.processor.step.attention_deal import OUTPUTS as DEALT
from elastix.compiler.processor.step.attention_lanes import attention_lanes, score_latency
from elastix.compiler.processor.step.attention_ports import (
    HEAD_BITS,
    LANE_BITS,
    QUANTIZED_BITS,
    channel_bits,
    chunks_of,
    converters_of,
    lane_place,
    lanes_of,
    quantized_ports,
    row_bits,
    steps_of,
    sum_bits,
)
from elastix.compiler.processor.step.attention_scales import attention_scales
from elastix.compiler.processor.step.attention_sequencer import attention_sequencer
from elastix.compiler.processor.step.current_rows import slot_bits, slot_of
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.score_words import score_words

ONE = 0x3F80
"""1 as bf16: results of VALUES have no scale of their own."""


@cache
def attention_channel(p: StepParameters) -> Module:
    """One channel of the attention engine: its rows of a head, and their exact sums.

    begun (pulse), is_values, bank, head, attention_deal's outputs: an instruction begins, while `idle`; bank and head
    stay from the next cycle on. data, valid, ready, wanted: its stream. quantized_*: as the engine's, but `index` of
    weights counts the channel's rows alone. scale_data, two cycles after scale_word (of the channel's) and scale_bank.
    `total_<j>`: query j's sum over the channel's rows of element `element`, the cycle after `draining`; `sum_<j>`: that
    of all channels, which leaves here after `result`. values_end (pulse): the rows of VALUES are issued.
    some, word, pop, last_query, room: as score_words. sender_*: which of the run's own rows is read while all are idle.
    """
    m = Module("attention_channel", attention_channel.__doc__, asdict(p))
    clear, data, bank = m.input("clear"), m.input("data", p.beat), m.input("bank")
    head = m.input("head", index_bits(p.kv_heads))
    result, draining = m.input("result"), m.input("draining")
    element = m.input("element", index_bits(p.head_dim))
    where = {"channel": channel_bits(p), "first_position": LANE_BITS} if p.attention_channels > 1 else {}
    widths = {"begun": 1, "is_values": 1, "valid": 1, "busy": 1, **where}
    words = m.wire("room_for_words", 1)
    now = m.instance(
        "sequencer",
        attention_sequencer(p),
        clear=clear,
        room=words,
        **{name: m.input(name, width) for name, width in widths.items()},
        **{name: m.input(name, row_bits(p) if name in ("last_row", "memory_rows") else 1) for name in DEALT},
    )
    for absent, value in ((p.lanes == 1, now["own_lane"]), (p.kv_heads == 1, head)):
        if absent:
            m.unused(value)

    own_scale, exponent_of = m.wire("own_scale_now", 16), m.wire("exponent_of", 2)
    scales = m.instance(
        "scales",
        attention_scales(p),
        data=data,
        part=now["scale_part"],
        own=now["own"],
        own_scale=own_scale,
        row=now["row"],
        write=now["scale_write"],
        is_value=now["scale_is_value"],
        bank=bank,
        key_row=now["row"],
        scale_word=m.input("scale_word", row_bits(p) - lane_place(p)),
        scale_bank=m.input("scale_bank"),
    )

    # The current rows answer the sequencer while an instruction has rows to come, else what sends them.
    sender_slot, sender_chunk = m.input("sender_slot", slot_bits(p)), m.input("sender_chunk", index_bits(chunks_of(p)))
    own_is_value = mux(now["own"], now["scale_is_value"], now["values"])
    own_lane = now["own_lane"].zext(LANE_BITS)
    operands = m.instance(
        "operands",
        attention_operands.attention_operands(p),
        quantized_valid=m.input("quantized_valid"),
        **{
            f"quantized_{name}": m.input(f"quantized_{name}", quantized_ports(p)[name])
            for name in attention_operands.WORD_FIELDS
        },
        values=now["values"],
        bank=bank,
        row=now["row"],
        chunk=now["chunk"],
        data=data,
        part=now["byte_part"],
        from_memory=now["from_memory"],
        own_slot=mux(now["idle"], sender_slot, slot_of(p, own_lane, head.zext(HEAD_BITS), own_is_value)),
        own_chunk=mux(now["idle"], sender_chunk, now["chunk"]),
        exponent_of=exponent_of,
    )
    own_scale.assign(operands["own_scale"])

    totals, scores, ends = _sums(m, p, clear, now, operands, element, draining)
    for j, total in enumerate(totals):
        m.output(f"total_{j}", mux(now["none"], 0, total) if p.attention_channels > 1 else total)
    if p.attention_channels == 1:
        m.unused(now["none"])
    sums, exponent_now = _handed_on(m, p, clear, now, bank, scales["key_scale"], scores, ends, result)
    exponent_of.assign(exponent_now)
    output = m.instance(
        "words",
        score_words(p),
        clear=clear,
        **sums,
        exponent=operands["exponent"],
        reserve=now["reserve"] | m.input("reserve"),
        pop=m.input("pop"),
        last_query=m.input("last_query"),
    )
    words.assign(output["room"])

    for name in ("idle", "ready", "wanted", "values_end"):
        m.output(name, now[name])
    for name in ("some", "word", "room", "overflow"):
        m.output(name, output[name])
    for name in ("codes", "own_scale", "row_slot"):
        m.output(name, operands[name])
    m.output("scale_data", scales["scale_data"])
    return m


def _sums(
    m: Module,
    p: StepParameters,
    clear: Signal,
    now: Mapping[str, Signal],
    operands: Mapping[str, Signal],
    element: Signal,
    draining: Signal,
) -> tuple[list[Signal], list[Signal], Signal]:
    """Totals of each query, scores of each query, and when those of a row begin."""
    met, values, lanes = attention_operands.LATENCY, now["values"], lanes_of(p)
    lane_bits, row_of_dim = lanes.bit_length() - 1, p.head_dim.bit_length() - 1
    which = element[0:lane_bits] if lane_bits else m.constant(0, 1)
    chunk_now = element[lane_bits:row_of_dim] if lane_bits < row_of_dim else m.constant(0, 1)
    chunk = delay_stages(m, "chunk", now["chunk"], met)[met]
    issue = delay_event(m, "issue", now["issue"], met, clear)[met]
    first_row = delay_stages(m, "first_row", now["first_row"], met)[met]
    last_chunk = delay_stages(m, "last_chunk", now["last_chunk"], met)[met]
    place = m.named("chunk_of_sums", mux(draining, chunk_now, chunk))
    x_bits, totals, scores = QUANTIZED_BITS * lanes, list[Signal](), list[Signal]()
    for j in range(p.group):
        lane = m.instance(
            f"lanes_{j}",
            attention_lanes(p),
            x=operands["x"][x_bits * j : x_bits * (j + 1)],
            z=operands["z"],
            valid=issue,
            first_row=first_row,
            chunk=place,
            last_chunk=last_chunk,
            which=which,
        )
        scores.append(lane["score"])
        totals.append(lane["total"])
    of_scores = issue & last_chunk & ~delay_stages(m, "values", values, met)[met]
    return totals, scores, delay_event(m, "row_ends", of_scores, score_latency(p) - 1, clear)[-1]


def _handed_on(
    m: Module,
    p: StepParameters,
    clear: Signal,
    now: Mapping[str, Signal],
    bank: Signal,
    key_scale: Signal,
    scores: list[Signal],
    ends: Signal,
    result: Signal,
) -> tuple[dict[str, Signal], Signal]:
    """Scores of a row, or an element of all queries, as score_words takes them; and whose exponent is wanted a cycle
    later. They are there together, and stay for steps_of cycles."""
    met, ahead = attention_operands.LATENCY, score_latency(p)
    steps, at_once = steps_of(p), converters_of(p)
    begins = m.named("sums_begin", ends | result)
    serving, step, last_step = m.state("serving", 1, reset=0), None, m.constant(1, 1)
    if steps > 1:
        step = m.state("serving_step", index_bits(steps))
        step.next(mux(begins, 0, step + 1))
        last_step = m.named("last_step", step == steps - 1)
    serving.next(~clear & (begins | (serving & ~last_step)))
    totals_now = m.register("totals_now", result, enable=begins)
    scale = delay_stages(m, "key_scale", key_scale, ahead)[ahead]
    scale = m.register("scale_held", mux(result, ONE, scale), enable=begins)
    ends_word = delay_stages(m, "last_in_word", now["last_in_word"], met + ahead - 1)[-1]
    ends_word = m.register("ends_word_held", mux(result, m.input("result_ends_word"), ends_word), enable=begins)
    # The bank of VALUES whose elements go out is that of the rows before them.
    bank_of_totals = m.register("bank_of_totals", bank, enable=now["issue"] & now["values"])
    bank_of_scores = delay_stages(m, "bank", bank, met + ahead - 1)[-1]
    bank_now = m.register("bank_now", mux(result, bank_of_totals, bank_of_scores), enable=begins)

    either = [
        m.named(f"sum_of_{j}", mux(totals_now, m.input(f"sum_{j}", sum_bits(p)), score.sext(sum_bits(p))))
        for j, score in enumerate(scores)
    ]
    sums, valid = list[Signal](), list[Signal]()
    for k in range(at_once):
        own = either[k::at_once]
        here = serving if step is None or len(own) == steps else serving & ~last_step
        valid.append(m.register(f"converter_{k}_takes", here & ~clear, reset=0))
        sums.append(m.register(f"converter_{k}_sum", own[0] if step is None else select(step, own)))
    return {
        "valid": concat(*reversed(valid)),
        "sum": concat(*reversed(sums)),
        "row_scale": m.register("row_scale", scale),
        "ends_word": m.register("ends_word", ends_word),
    }, concat(totals_now, bank_now)
