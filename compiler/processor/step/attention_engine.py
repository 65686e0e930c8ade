"""SCORES and VALUES: cached rows times queries or probabilities, exactly, and what is kept of a run's own rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, Wire, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.step.attention_channel import attention_channel
from elastix.compiler.processor.step.attention_deal import OUTPUTS as DEALT
from elastix.compiler.processor.step.attention_deal import attention_deal
from elastix.compiler.processor.step.attention_drain import attention_drain
from elastix.compiler.processor.step.attention_operands import WORD_FIELDS
from elastix.compiler.processor.step.attention_ports import (
    ELEMENT_WIDTHS,
    LANE_BITS,
    VISIT,
    all_row_bits,
    channel_bits,
    chunks_of,
    count_bits,
    input_group,
    lane_place,
    quantized_ports,
    row_bits,
    scale_word_bits,
)
from elastix.compiler.processor.step.current_rows import slot_bits
from elastix.compiler.processor.step.dealt_rows import DealtRow
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.row_append import row_append
from elastix.compiler.processor.step.score_visits import score_visits

ROW_PORTS = ("row_valid", "row_beat", "row_data", "row_strobe")

Ports = Mapping[str, Signal]


def attention_engine(p: StepParameters) -> Module:
    """Carries out SCORES and VALUES (C7 to C9, C13, C21); README.md has the ports.

    An instruction is taken when the one before has read its last row on every channel; results and `done_attention`
    come in order.

    valid_<e>, data_<e>, ready_<e>: channel e's stream; wanted_<e> (level): a beat would be looked at if it were there.
    visit_*: visiting words; `visitor_written` (pulse) says that one with `last` is where it belongs. `scale_data`: L
    value scales, of word `scale_word` of bank `scale_bank`, two cycles later. quantized_*: words for the banks and the
    current rows. row_*: beats of rows and of their scales for the row writer. rows_pending (level, from the cycle after
    the first quantized word of a row on): the row writer has not taken all of them; then no instruction begins, so a
    current row is sent before it can be written over. overflow (pulse): C6 has happened.
    """
    m = Module("attention_engine", attention_engine.__doc__, asdict(p))
    channels = range(p.attention_channels)
    clear, begin = m.input("clear"), m.input("begin")
    instruction, position = m.input("instruction", INSTRUCTION_BITS), m.input("position", ELEMENT_BITS)
    m.unused(instruction)
    m.unused(position)
    is_values = m.named("is_values", field(instruction, Opcode.VALUES, "opcode") == Opcode.VALUES)
    idle, rows_pending, accepts = (m.wire(name, 1) for name in ("all_idle", "rows_wait", "accepts"))
    taken = m.named("taken_now", idle & ~rows_pending & accepts)
    begun = m.named("begun", taken & begin & ~clear)
    lane = field(instruction, Opcode.SCORES, "lane")
    dealt = m.instance("deal", attention_deal(p), position=position, lane=lane)
    bank = m.register("bank", field(instruction, Opcode.SCORES, "bank"), enable=begun)
    head = m.constant(0, 1)
    if p.kv_heads > 1:
        head = m.register("head", field(instruction, Opcode.SCORES, "head")[0 : index_bits(p.kv_heads)], enable=begun)
    quantized = input_group(m, "quantized", quantized_ports(p))
    m.unused(quantized["mask"])  # whatever is written beyond the last row is never read
    if p.attention_channels == 1:
        m.unused(quantized["channel_stride"])

    drain_begins, room = m.wire("drain_begins", 1), m.wire("room", 1)
    drain = m.instance("drain", attention_drain(p), clear=clear, begins=drain_begins, room=room)
    adds = channel_bits(p)
    results = {
        "result": delay_event(m, "result", drain["result"], adds, clear)[-1],
        "result_ends_word": delay_stages(m, "result_ends_word", drain["ends_word"], adds)[-1],
        "reserve": drain["reserve"],
    }
    several: dict[str, Signal] = {}
    if adds:
        several["first_position"] = m.register("first_position", position[0:LANE_BITS] - lane, enable=begun)
    sums = [m.wire(f"sum_of_{j}", count) for j, count in enumerate(_sum_widths(p))]
    pops, last_query = m.wire("pops", p.attention_channels), m.wire("last_query", 1)
    sender_slot = m.wire("sender_slot", slot_bits(p))
    sender_chunk = m.wire("sender_chunk", index_bits(chunks_of(p)))
    scale_word, scale_bank = m.input("scale_word", scale_word_bits(p)), m.input("scale_bank")
    of_channel = row_bits(p) - lane_place(p)
    local_word = scale_word[adds : scale_word.width]
    local_word = local_word[0:of_channel] if of_channel < local_word.width else local_word.zext(of_channel)
    parts = list[Ports]()
    for e in channels:
        # Results, and what is read to be sent, are channel 0's alone.
        none = {name: m.constant(0, value.width) for name, value in results.items()}
        parts.append(
            m.instance(
                f"channel_{e}",
                attention_channel(p),
                clear=clear,
                begun=begun,
                is_values=is_values,
                bank=bank,
                head=head,
                data=m.input(f"data_{e}", p.beat),
                valid=m.input(f"valid_{e}"),
                busy=drain["busy"],
                draining=drain["draining"],
                element=drain["element"],
                scale_word=local_word,
                scale_bank=scale_bank,
                sender_slot=sender_slot,
                sender_chunk=sender_chunk,
                pop=pops[e],
                last_query=last_query,
                **{name: dealt[f"{name}_{e}"] for name in DEALT},
                **(none if e else results),
                **{f"sum_{j}": m.constant(0, each.width) if e else each for j, each in enumerate(sums)},
                **(several | {"channel": m.constant(e, adds)} if adds else {}),
                **_quantized_for(m, p, e, quantized),
            )
        )
    _add_up(m, p, parts, sums)
    drain_begins.assign(_all_end(m, begun & is_values, clear, [part["values_end"] for part in parts]))
    room.assign(parts[0]["room"])
    idle.assign(concat(*(part["idle"] for part in parts)).all())
    for part in parts[1:]:
        for name in ("room", "codes", "own_scale", "row_slot"):
            m.unused(part[name])

    sender = _sender(m, p, clear, idle, quantized, parts[0])
    sender_slot.assign(sender["read_slot"])
    sender_chunk.assign(sender["read_chunk"])
    rows_pending.assign(sender["pending"])
    output = m.instance(
        "output",
        score_visits(p),
        clear=clear,
        start=begun,
        tracks=~is_values,
        last=mux(is_values, p.head_dim - 1, _resized(position, all_row_bits(p)).zext(count_bits(p))),
        to=field(instruction, Opcode.SCORES, "to"),
        stride=mux(is_values, p.head_dim, field(instruction, Opcode.SCORES, "stride")),
        max_register=field(instruction, Opcode.SCORES, "max_register"),
        visit_ready=m.input("visit_ready"),
        visitor_written=m.input("visitor_written"),
        **{f"{name}_{e}": part[name] for e, part in enumerate(parts) for name in ("some", "word")},
    )
    pops.assign(output["pop"])
    last_query.assign(output["last_query"])
    accepts.assign(output["accepts"])

    m.output("taken", taken)
    m.output("done_attention", output["done"])
    m.output("overflow", concat(*(part["overflow"] for part in parts)).any())
    for e, part in enumerate(parts):
        m.output(f"ready_{e}", part["ready"])
        m.output(f"wanted_{e}", part["wanted"])
    m.output("scale_data", _scales(m, p, scale_word, parts))
    for name in ("valid", *ELEMENT_WIDTHS, *VISIT):
        m.output(f"visit_{name}", output[f"visit_{name}"])
    for name in ROW_PORTS:
        m.output(name, sender[name])
    m.output("rows_pending", sender["pending"])
    return m


def _resized(value: Signal, bits: int) -> Signal:
    return value[0:bits] if bits < value.width else value.zext(bits)


def _sum_widths(p: StepParameters) -> list[int]:
    module = attention_channel(p)
    return [module.outputs[f"total_{j}"] for j in range(p.group)]


def _quantized_for(m: Module, p: StepParameters, channel: int, quantized: Ports) -> dict[str, Signal]:
    """Words for the banks of a channel: of weights those of its rows, by their places among these."""
    valid, index = quantized["valid"], quantized["index"]
    if p.attention_channels > 1:
        dealt = DealtRow.of(p, index)
        weights = m.named(f"weights_for_{channel}", quantized["target"] == Target.PROBABILITY)
        valid = valid & (~weights | (dealt.channel == channel))
        index = mux(weights, dealt.on_channel.zext(ELEMENT_BITS), index)
    others = {f"quantized_{name}": quantized[name] for name in WORD_FIELDS if name != "index"}
    return {"quantized_valid": valid, "quantized_index": index, **others}


def _add_up(m: Module, p: StepParameters, parts: Sequence[Ports], sums: Sequence[Wire]) -> None:
    """The totals of all channels, exactly: a tree of adders with a register behind each level."""
    for j, wire in enumerate(sums):
        level, terms = 0, [part[f"total_{j}"] for part in parts]
        while len(terms) > 1:
            level += 1
            terms = [
                m.register(f"total_{j}_{level}_{i}", left + right)
                for i, (left, right) in enumerate(zip(terms[0::2], terms[1::2], strict=True))
            ]
        wire.assign(terms[0])


def _all_end(m: Module, begins: Signal, clear: Signal, ends: Sequence[Signal]) -> Signal:
    """The pulse with which the last of the channels ends its rows."""
    if len(ends) == 1:
        return ends[0]
    rest = list[Signal]()
    for e, end in enumerate(ends):
        has_rows = m.state(f"has_rows_{e}", 1, reset=0)
        rest.append(m.named(f"goes_on_{e}", has_rows & ~end))
        has_rows.next(~clear & (begins | rest[-1]))
    return m.named("all_end", concat(*ends).any() & ~concat(*rest).any())


def _scales(m: Module, p: StepParameters, word: Signal, parts: Sequence[Ports]) -> Signal:
    if channel_bits(p) == 0:
        return parts[0]["scale_data"]
    channel = delay_stages(m, "scale_channel", word[0 : channel_bits(p)], 2)[2]
    return select(channel, [part["scale_data"] for part in parts])


def _sender(
    m: Module, p: StepParameters, clear: Signal, idle: Signal, quantized: Mapping[str, Signal], rows: Ports
) -> Mapping[str, Signal]:
    """What sends rows of keys and values to memory; `pending`: not all of them are sent."""
    target = quantized["target"]
    comes = m.named("row_comes", quantized["valid"] & ((target == Target.KEY) | (target == Target.VALUE)))
    push = m.register("row_complete", comes & quantized["last"] & ~clear, reset=0)
    given = ("row", "rows", "scales", *(["channel_stride"] if p.attention_channels > 1 else []))
    sender = m.instance(
        "sender",
        row_append(p),
        clear=clear,
        push=push,
        slot=rows["row_slot"],
        **{name: m.register(f"pushed_{name}", quantized[name]) for name in given},
        may_read=idle,
        codes=rows["codes"],
        scale=rows["own_scale"],
        row_ready=m.input("row_ready"),
    )
    open_row = m.state("open_row", 1, reset=0)
    open_row.next(~clear & (comes | (open_row & ~push)))
    # A register, which falls a cycle late: whether an instruction may begin hangs on it.
    pending = m.register("pending_q", (comes | open_row | sender["waiting"]) & ~clear, reset=0)
    return {**sender, "pending": pending}
