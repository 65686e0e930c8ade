"""SCORES and VALUES: cached rows times queries or probabilities, exactly, and what is kept of a run's own rows."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.step import attention_operands
from elastix.compiler.processor.step.attention_lanes import attention_lanes, score_latency
from elastix.compiler.processor.step.attention_ports import (
    QUANTIZED_BITS,
    VISIT,
    chunks_of,
    converters_of,
    count_bits,
    input_group,
    lanes_of,
    quantized_ports,
    row_bits,
    scale_word_bits,
    steps_of,
    sum_bits,
)
from elastix.compiler.processor.step.attention_scales import attention_scales
from elastix.compiler.processor.step.attention_sequencer import attention_sequencer
from elastix.compiler.processor.step.current_rows import slot_bits, slot_of
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.row_append import row_append
from elastix.compiler.processor.step.score_output import score_output

ONE = 0x3F80
"""1 as bf16: results of VALUES have no scale of their own."""
ROW_PORTS = ("row_valid", "row_beat", "row_data", "row_strobe")


def attention_engine(p: StepParameters) -> Module:
    """Carries out SCORES and VALUES (C7 to C9, C13, C21); README.md has the ports.

    An instruction is taken when the one before has read its last row; results and `done_attention` come in order.

    attention_*: the stream. attention_wanted (level): a beat would be looked at if it were there. visit_*: visiting
    words; `visitor_written` (pulse) says that one with `last` is where it belongs. `scale_data`: the L value scales of
    word `scale_word` of bank `scale_bank`, two cycles later. quantized_*: words for the banks and the current rows.
    row_*: beats of rows and of their scales for the row writer. rows_pending (level, from the cycle after the first
    quantized word of a row on): the row writer has not taken all of them; then no instruction begins, so a current row
    is sent before it can be written over. overflow (pulse): C6 has happened.
    """
    m = Module("attention_engine", attention_engine.__doc__, asdict(p))
    clear, begin, data = m.input("clear"), m.input("begin"), m.input("attention_data", p.beat)
    instruction, bits = m.input("instruction", INSTRUCTION_BITS), row_bits(p)
    m.unused(instruction)
    given_position = m.input("position", ELEMENT_BITS)
    m.unused(given_position)
    position = given_position[0:bits]
    is_values = m.named("is_values", field(instruction, Opcode.VALUES, "opcode") == Opcode.VALUES)
    rows_pending, room, accepts = m.wire("rows_wait", 1), m.wire("room", 1), m.wire("accepts", 1)
    now = m.instance(
        "sequencer",
        attention_sequencer(p),
        clear=clear,
        begin=begin,
        may_begin=~rows_pending & accepts,
        is_values=is_values,
        position=position,
        lane=field(instruction, Opcode.SCORES, "lane"),
        valid=m.input("attention_valid"),
        room=room,
    )
    begun = m.named("begun", begin & now["taken"] & ~clear)
    bank = m.register("bank", field(instruction, Opcode.SCORES, "bank"), enable=begun)
    head = m.constant(0, 1)
    if p.kv_heads > 1:
        head = m.register("head", field(instruction, Opcode.SCORES, "head")[0 : index_bits(p.kv_heads)], enable=begun)
    quantized = input_group(m, "quantized", quantized_ports(p))
    if p.lanes == 1:
        m.unused(now["own_lane"])
    m.unused(quantized["mask"])  # whatever is written beyond the last row is never read

    own_scale, exponent_of = m.wire("own_scale", 16), m.wire("exponent_of", 2)
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
        scale_word=m.input("scale_word", scale_word_bits(p)),
        scale_bank=m.input("scale_bank"),
    )

    # The current rows answer the sequencer while an instruction has rows to come, else what sends them.
    sender_slot = m.wire("sender_slot", slot_bits(p))
    sender_chunk = m.wire("sender_chunk", index_bits(chunks_of(p)))
    own_is_value = mux(now["own"], now["scale_is_value"], now["values"])
    operands = m.instance(
        "operands",
        attention_operands.attention_operands(p),
        quantized_valid=quantized["valid"],
        **{f"quantized_{name}": quantized[name] for name in attention_operands.WORD_FIELDS},
        values=now["values"],
        bank=bank,
        row=now["row"],
        chunk=now["chunk"],
        data=data,
        part=now["byte_part"],
        from_memory=now["from_memory"],
        own_slot=mux(now["idle"], sender_slot, slot_of(p, now["own_lane"], head, own_is_value)),
        own_chunk=mux(now["idle"], sender_chunk, now["chunk"]),
        exponent_of=exponent_of,
    )
    own_scale.assign(operands["own_scale"])
    sender = _sender(m, p, clear, now["idle"], quantized, operands)
    sender_slot.assign(sender["read_slot"])
    sender_chunk.assign(sender["read_chunk"])
    rows_pending.assign(sender["pending"])

    sums, exponent_now = _sums(m, p, clear, now, bank, operands, scales["key_scale"])
    exponent_of.assign(exponent_now)
    last = mux(is_values, p.head_dim - 1, position.zext(count_bits(p)))
    stride = mux(is_values, p.head_dim, field(instruction, Opcode.SCORES, "stride"))
    output = m.instance(
        "output",
        score_output(p),
        clear=clear,
        start=begun,
        tracks=~is_values,
        last=last,
        to=field(instruction, Opcode.SCORES, "to"),
        stride=stride,
        max_register=field(instruction, Opcode.SCORES, "max_register"),
        **sums,
        exponent=operands["exponent"],
        reserve=now["reserve"],
        visit_ready=m.input("visit_ready"),
        visitor_written=m.input("visitor_written"),
    )
    room.assign(output["room"])
    accepts.assign(output["accepts"])

    m.output("taken", now["taken"])
    m.output("done_attention", output["done"])
    m.output("overflow", output["overflow"])
    m.output("attention_ready", now["ready"])
    m.output("attention_wanted", now["wanted"])
    m.output("scale_data", scales["scale_data"])
    for name in ("valid", "data", "mask", "tracked", *VISIT):
        m.output(f"visit_{name}", output[f"visit_{name}"])
    for name in ROW_PORTS:
        m.output(name, sender[name])
    m.output("rows_pending", sender["pending"])
    return m


def _sender(
    m: Module,
    p: StepParameters,
    clear: Signal,
    idle: Signal,
    quantized: Mapping[str, Signal],
    operands: Mapping[str, Signal],
) -> Mapping[str, Signal]:
    """What sends rows of keys and values to memory; `pending`: not all of them are sent."""
    target = quantized["target"]
    comes = m.named("row_comes", quantized["valid"] & ((target == Target.KEY) | (target == Target.VALUE)))
    push = m.register("row_complete", comes & quantized["last"] & ~clear, reset=0)
    sender = m.instance(
        "sender",
        row_append(p),
        clear=clear,
        push=push,
        slot=operands["row_slot"],
        **{name: m.register(f"pushed_{name}", quantized[name]) for name in ("row", "rows", "scales")},
        may_read=idle,
        codes=operands["codes"],
        scale=operands["own_scale"],
        row_ready=m.input("row_ready"),
    )
    open_row = m.state("open_row", 1, reset=0)
    open_row.next(~clear & (comes | (open_row & ~push)))
    # A register, which falls a cycle late: whether an instruction may begin hangs on it.
    pending = m.register("pending_q", (comes | open_row | sender["waiting"]) & ~clear, reset=0)
    return {**sender, "pending": pending}


def _sums(
    m: Module,
    p: StepParameters,
    clear: Signal,
    now: Mapping[str, Signal],
    bank: Signal,
    operands: Mapping[str, Signal],
    key_scale: Signal,
) -> tuple[dict[str, Signal], Signal]:
    """The engine's sums as score_output takes them: scores of a row, or an element of all queries from the
    accumulators; and whose exponent is wanted a cycle later."""
    met, ahead = attention_operands.LATENCY, score_latency(p)
    lanes, values = lanes_of(p), now["values"]
    lane_bits, row_of_dim = lanes.bit_length() - 1, p.head_dim.bit_length() - 1
    element = now["element"]
    which = element[0:lane_bits] if lane_bits else m.constant(0, 1)
    chunk_now = element[lane_bits:row_of_dim] if lane_bits < row_of_dim else m.constant(0, 1)
    chunk = delay_stages(m, "chunk", now["chunk"], met)[met]
    issue = delay_event(m, "issue", now["issue"], met, clear)[met]
    first_row = delay_stages(m, "first_row", now["first_row"], met)[met]
    last_chunk = delay_stages(m, "last_chunk", now["last_chunk"], met)[met]
    place = m.named("chunk_of_sums", mux(now["draining"], chunk_now, chunk))
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

    # The scores of a row, or an element of all queries, are there together, and stay for `steps` cycles.
    steps, at_once = steps_of(p), converters_of(p)
    ends = delay_event(
        m, "row_ends", issue & last_chunk & ~delay_stages(m, "values", values, met)[met], ahead - 1, clear
    )
    result = now["result"]
    begins = m.named("sums_begin", ends[-1] | result)
    serving, step, last_step = m.state("serving", 1, reset=0), None, m.constant(1, 1)
    if steps > 1:
        step = m.state("serving_step", index_bits(steps))
        step.next(mux(begins, 0, step + 1))
        last_step = m.named("last_step", step == steps - 1)
    serving.next(~clear & (begins | (serving & ~last_step)))
    totals_now = m.register("totals_now", result, enable=begins)
    scale = delay_stages(m, "key_scale", key_scale, ahead)[ahead]
    scale = m.register("scale_held", mux(result, ONE, scale), enable=begins)
    last_of_word = element[0 : p.vector_lanes.bit_length() - 1].all() if p.vector_lanes > 1 else m.constant(1, 1)
    ends_word = delay_stages(m, "last_in_word", now["last_in_word"], met + ahead - 1)[-1]
    ends_word = m.register("ends_word_held", mux(result, last_of_word, ends_word), enable=begins)
    # The bank of VALUES whose elements go out is that of the rows before them.
    bank_of_totals = m.register("bank_of_totals", bank, enable=now["issue"] & values)
    bank_of_scores = delay_stages(m, "bank", bank, met + ahead - 1)[-1]
    bank_now = m.register("bank_now", mux(result, bank_of_totals, bank_of_scores), enable=begins)

    either = [
        m.named(f"sum_of_{j}", mux(totals_now, total, score.sext(sum_bits(p))))
        for j, (total, score) in enumerate(zip(totals, scores, strict=True))
    ]
    sums, valid = list[Signal](), list[Signal]()
    for k in range(at_once):
        own = either[k::at_once]
        here = serving if step is None or len(own) == steps else serving & ~last_step
        valid.append(m.register(f"sum_comes_{k}", here & ~clear, reset=0))
        sums.append(m.register(f"sum_{k}", own[0] if step is None else select(step, own)))
    return {
        "valid": concat(*reversed(valid)),
        "sum": concat(*reversed(sums)),
        "row_scale": m.register("row_scale", scale),
        "ends_word": m.register("ends_word", ends_word),
    }, concat(totals_now, bank_now)
