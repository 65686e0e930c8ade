"""Hands instructions to the queues of the units, and asks the streams for their data."""

from dataclasses import asdict, dataclass
from enum import IntEnum

from elastix.compiler.circuit import Module, Register, Signal, concat, mux, select
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.burst_reader import BLOCK_BEATS_BITS
from elastix.compiler.processor.divider import divider
from elastix.compiler.processor.parameters import COLUMNS, index_bits
from elastix.compiler.processor.step.cached_rows import CachedRows
from elastix.compiler.processor.step.completion_counters import FINISHED_BITS
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instruction_check import bad_instruction
from elastix.compiler.processor.step.instruction_fetch import OPCODE_BITS, opcodes
from elastix.compiler.processor.step.instructions import UNIT_OF, Opcode, Unit
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.stream_control import CONSUMER_BITS, COUNT_BITS, Consumer

SETTLE_CYCLES = 4
"""From an instruction's arrival until all that is looked up about it is there."""
QUIET_CYCLES = 8
"""END: for so long nothing may be under way, so that errors of the last transactions have been seen."""


class State(IntEnum):
    """WAIT: for an instruction. LOOK: is it one, for whom. SET, MULTIPLY: an address. REQUEST: stream data.
    PUSH: to its unit. END: until nothing is under way. HALT: after END or a bad instruction, until `clear`."""

    WAIT = 0
    LOOK = 1
    SET = 2
    MULTIPLY = 3
    REQUEST = 4
    PUSH = 5
    END = 6
    HALT = 7


class Phase(IntEnum):
    """What is multiplied. BEATS: of a block, to be compared. ROW: to a row's place. CHANNEL: to a channel's."""

    BEATS = 0
    ROW = 1
    CHANNEL = 2


def dispatcher(p: StepParameters) -> Module:
    """Hands instructions to the queues of the units, and asks the streams for their data.

    valid, ready, instruction, reserved: from instruction_fetch. tokens, position, token_<m>: of the run. push_<unit>,
    room_<unit>: to the queues, with skip, position_of_lane, blocks, more (row blocks div and mod channels), channel,
    slice (of EMBED's row). request_valid, request_ready (a bit a channel), request_*: to the streams, as stream_control
    has them. finished_<unit>, units_idle, quiet (nothing is under way in streams and writer): what END waits for.
    `bad` (pulse): the instruction cannot be carried out. `ended` (pulse): END has. clear (pulse): forget everything.
    """
    m = Module("dispatcher", dispatcher.__doc__, asdict(p))
    d = _Dispatcher(m, p)
    d.steps()
    return m


@dataclass(frozen=True)
class _Operands:
    """What SET loads: acc + a·b."""

    acc: Signal
    a: Signal
    b: Signal


class _Dispatcher:
    def __init__(self, m: Module, p: StepParameters) -> None:
        self.m, self.p = m, p
        self.offset = offset_bits(p.beat)
        self.beat_bits = ADDRESS_BITS - self.offset
        self.clear, self.valid = m.input("clear"), m.input("valid")
        self.instruction = m.input("instruction", INSTRUCTION_BITS)
        m.unused(self.instruction)
        self.reserved = m.input("reserved")
        self.tokens, self.position = m.input("tokens", 4), m.input("position", ELEMENT_BITS)
        self.state = m.state("state", 3, reset=State.WAIT)
        # As registers, since so much hangs on them.
        looked_at = [which for which in State if which is not State.HALT]
        self.at = {which: m.state(f"in_{which.name.lower()}", 1, reset=int(which is State.WAIT)) for which in looked_at}
        self.age = m.state("age", 2, reset=0)
        self.settled = m.named("settled", self.age == SETTLE_CYCLES - 1)
        self.age.next(mux(self.at[State.LOOK], mux(self.settled, self.age, self.age + 1), 0))
        self.op = {
            opcode: m.register(f"is_{opcode.name.lower()}", self.instruction[0:OPCODE_BITS] == opcode)
            for opcode in opcodes(p)
        }
        lane = field(self.instruction, Opcode.END, "lane")
        self.lane_position = m.register("lane_position", self.position + lane.zext(ELEMENT_BITS))
        beyond = m.register("lane_beyond", lane >= self.tokens)
        self.skip = m.register("skip_q", beyond & ~self.op[Opcode.LINEAR] & ~self.op[Opcode.END])
        self.quotient, self.remainder, self.divided, self.no_token = self._deal(lane)
        several = p.attention_channels > 1 and Opcode.SCORES in self.op
        self.cached = self._cached() if several else None

    def _cached(self) -> CachedRows:
        asked, stride = self.has(Opcode.SCORES, Opcode.VALUES), self.of(Opcode.SCORES, "channel_stride")
        return CachedRows(self.m, self.p, asked, self.position, stride.zext(self.beat_bits) << (6 - self.offset))

    def has(self, *some: Opcode) -> Signal:
        """One bit: the instruction is one of these."""
        return concat(*(self.op.get(each, self.m.constant(0, 1)) for each in some)).any()

    def of(self, opcode: Opcode, name: str) -> Signal:
        return field(self.instruction, opcode, name)

    def beats(self, opcode: Opcode, name: str) -> Signal:
        """An address or stride in beats."""
        value = self.of(opcode, name)
        return value[self.offset : value.width].zext(self.beat_bits)

    def _deal(self, lane: Signal) -> tuple[Signal, Signal, Signal, Signal]:
        """Row blocks (LINEAR) or the row's block (EMBED) div and mod channels; are they there; no such row."""
        m, p = self.m, self.p
        row_blocks = self.of(Opcode.LINEAR, "row_blocks")
        dividend, no_token = row_blocks, m.constant(0, 1)
        if "embed" in p.features:
            ids = [m.input(f"token_{i}", 32) for i in range(p.lanes)]
            token = m.register("token", select(lane[0 : p.lane_bits], ids))
            row_bits = p.rows.bit_length() - 1
            block = token[row_bits:32].zext(32)
            dividend = mux(self.op[Opcode.EMBED], block, row_blocks)
            no_token = m.register("no_token", self.op[Opcode.EMBED] & (block >= row_blocks))
            m.output("slice", token[0:row_bits].zext(4))
        dividend = m.register("dividend", dividend)
        bits = p.channels.bit_length() - 1
        if p.channels == 1 << bits:
            remainder = dividend[0:bits].zext(6) if bits else m.constant(0, 6)
            return dividend >> bits, remainder, m.constant(1, 1), no_token
        begin = m.named("begin_division", self.at[State.LOOK] & (self.age == 1))
        divided = m.instance("deal", divider(p.channels), start=begin, dividend=dividend)
        done = divided["done"] | ~self.has(Opcode.LINEAR, Opcode.EMBED)
        return divided["quotient"], divided["remainder"].zext(6), done, no_token

    def steps(self) -> None:
        m, at = self.m, self.at
        # Of attention a request is one to each channel with caches.
        phase, index = m.state("phase", 2), m.state("request", 6)
        b = m.state("multiplier", BLOCK_BEATS_BITS)
        a, acc = m.state("multiplicand", self.beat_bits), m.state("address", self.beat_bits)
        operands = self._operands(phase, index, acc)
        setting, multiplying = at[State.SET], at[State.MULTIPLY]
        granted, last_request = self._request(index, acc)
        a.next(mux(setting, operands.a, a << 1))
        b.next(mux(setting, operands.b, b >> 1))
        product_there = m.named("product_there", ~b.any())
        linear_begins = m.named("linear_begins", multiplying & product_there & self.op[Opcode.LINEAR])
        stride, last_channel = self.beats(Opcode.LINEAR, "channel_stride"), m.constant(1, 1)
        if self.cached is not None:
            stride = mux(self.op[Opcode.LINEAR], stride, self.cached.stride)
            last_channel = self.cached.last
            self.cached.move(at[State.LOOK], granted)
        step = m.named("step", mux(granted, stride, mux(multiplying & b[0], a, 0)))
        acc.next(
            mux(linear_begins, self.beats(Opcode.LINEAR, "weights"), mux(setting, operands.acc, acc + step)),
            enable=setting | multiplying | granted,
        )
        index.next(mux(at[State.LOOK], 0, index + 1), enable=at[State.LOOK] | (granted & last_channel))

        embed = self.op.get(Opcode.EMBED, m.constant(0, 1))
        phase_end = m.named("phase_end", multiplying & product_there)
        in_beats = phase == Phase.BEATS
        wrong_beats = m.named("wrong_beats", phase_end & in_beats & (acc != self._block_beats().zext(self.beat_bits)))
        more = m.named("more_phases", embed & (in_beats | ((phase == Phase.ROW) & int(self.p.channels > 1))))
        weighted = self.has(Opcode.LINEAR, Opcode.EMBED)
        first = mux(weighted, m.constant(Phase.BEATS, 2), Phase.ROW)
        phase.next(mux(at[State.LOOK], first, phase + 1), enable=at[State.LOOK] | (phase_end & more))

        known = m.register("bad_known", bad_instruction(m, self.p, self.instruction, self.op) | self.reserved)
        looked = m.named("looked", at[State.LOOK] & self.settled & self.divided)
        bad_now = m.named("bad_now", (looked & (known | (self.no_token & ~self.skip))) | wrong_beats)
        pushed = self._push()
        # The whole instruction moves on with this, so it is a register.
        leaves = m.register("leaves", pushed & ~self.clear, reset=0)
        quiet, unreachable = self._end()

        no_data = self.op[Opcode.VECTOR] | (self.has(Opcode.SCORES, Opcode.VALUES) & ~self.position.any())
        following: Signal = self.state
        for condition, target in (  # later ones win
            (at[State.WAIT] & self.valid & ~leaves, State.LOOK),
            (looked, State.SET),
            (looked & (self.skip | no_data), State.PUSH),
            (looked & self.op[Opcode.END], State.END),
            (setting, State.MULTIPLY),
            (phase_end, State.REQUEST),
            (phase_end & more, State.SET),
            (granted & ~self.op[Opcode.LINEAR] & last_channel, State.SET),
            (granted & last_request & last_channel, State.PUSH),
            (pushed, State.WAIT),
            (quiet | bad_now, State.HALT),
            (self.clear, State.WAIT),
        ):
            following = mux(condition, int(target), following)
        self.state.next(following)
        for which, here in at.items():
            here.next(following == which)
        m.output("ready", leaves)
        m.output("bad", m.register("bad_q", (bad_now | (quiet & unreachable)) & ~self.clear, reset=0))
        m.output("ended", m.register("ended_q", quiet & ~unreachable & ~self.clear, reset=0))

    def _block_beats(self) -> Signal:
        return self.of(Opcode.LINEAR, "block_beats")

    def _operands(self, phase: Register, index: Register, acc: Register) -> _Operands:
        """Of the multiplication that begins: in BEATS and CHANNEL by the phase, in ROW by the opcode."""
        m, wide = self.m, self.beat_bits

        def narrow(value: Signal) -> Signal:
            return value.zext(BLOCK_BEATS_BITS)

        weights = self.beats(Opcode.EMBED, "weights")
        linear = Opcode.LINEAR
        row = _Operands(weights, self.quotient.zext(wide), self._block_beats())
        load = _Operands(self.beats(Opcode.LOAD, "address"), self.beats(Opcode.LOAD, "stride"), self.lane_position)
        chosen = _choose(self.op[Opcode.LOAD], load, row)
        if Opcode.SCORES in self.op:
            keys, values = self.beats(Opcode.SCORES, "keys"), self.beats(Opcode.SCORES, "values")
            of_values = m.named("of_values", (index == 1) | self.op[Opcode.VALUES])
            scales = m.named("of_scales", self.op[Opcode.SCORES] & (index != 2))
            scale_offset = mux(
                index == 0, self.beats(Opcode.SCORES, "key_scales"), self.beats(Opcode.SCORES, "value_scales")
            )
            attention = _Operands(mux(of_values, values, keys), scale_offset, narrow(scales))
            chosen = _choose(self.has(Opcode.SCORES, Opcode.VALUES), attention, chosen)
        bits = narrow(self.of(linear, "bits"))
        beats = _Operands(self.of(linear, "header_words").zext(wide), self.of(linear, "tiles").zext(wide), bits)
        channel = _Operands(acc, self.beats(linear, "channel_stride"), narrow(self.remainder))
        chosen = _choose(phase == Phase.BEATS, beats, chosen)
        return _choose(phase == Phase.CHANNEL, channel, chosen) if self.p.channels > 1 else chosen

    def _request(self, index: Register, address: Signal) -> tuple[Signal, Signal]:
        """The request bus. Returns: it is granted; it was the instruction's last."""
        m, p = self.m, self.p
        linear, scores = self.op[Opcode.LINEAR], self.has(Opcode.SCORES)
        ready = m.input("request_ready", p.channels)
        blocks = self.quotient + (index < self.remainder).zext(COUNT_BITS)
        per_beat = p.beat // COLUMNS
        count = self.of(Opcode.LOAD, "count").zext(COUNT_BITS)
        loaded = _divided(m, "loaded", count + (per_beat - 1), per_beat)
        counts = mux(linear, blocks, mux(self.op[Opcode.LOAD], loaded, self._block_beats().zext(COUNT_BITS)))
        consumer: Signal = mux(linear, m.constant(Consumer.MATRIX, CONSUMER_BITS), int(Consumer.EMBED))
        consumer = mux(self.op[Opcode.LOAD], int(Consumer.LOAD), consumer)
        if Opcode.SCORES in self.op:
            rows, in_beat = self.position.zext(COUNT_BITS), p.beat // 16
            if self.cached is not None:
                rows = self.cached.rows.zext(COUNT_BITS)
            scales = _divided(m, "scales", rows + (in_beat - 1), in_beat)
            cached = mux(scores & (index != 2), scales, rows << (p.row_beats.bit_length() - 1))
            attention = m.named("for_attention", self.has(Opcode.SCORES, Opcode.VALUES))
            counts, consumer = mux(attention, cached, counts), mux(attention, int(Consumer.ATTENTION), consumer)
        # The count is there in the second cycle of a request.
        asking = m.state("asking", 1, reset=0)
        asks = m.named("asks", self.at[State.REQUEST] & asking)
        embed = self.op.get(Opcode.EMBED, m.constant(0, 1))
        count, nothing = m.register("count", counts), m.constant(0, 1)
        other = mux(embed, self.remainder, 0)
        if self.cached is not None:
            # A channel may have no rows yet.
            nothing = m.named("nothing_asked", asks & self.cached.asked & ~count.any())
            other = mux(self.cached.asked, self.cached.channel.zext(6), other)
        channel = m.named("channel_asked", mux(linear, index, other))
        asks_some = m.named("asks_some", asks & ~nothing)
        valid = m.named("asked", concat(*(asks_some & (channel == c) for c in reversed(range(p.channels)))))
        granted = m.named("granted", (valid & ready).any() | nothing)
        asking.next(self.at[State.REQUEST] & ~granted)
        m.output("request_valid", valid)
        m.output("request_address", address)
        m.output("request_count", count)
        m.output("request_block_beats", self._block_beats())
        m.output("request_consumer", consumer)
        more = (linear & (index != p.channels - 1)) | (scores & (index != 2))
        return granted, m.named("last_request", ~more)

    def _push(self) -> Signal:
        """To the queue of its unit; whether it goes now."""
        m = self.m
        pushes = list[Signal]()
        for unit in units(self.p):
            mine = self.has(*(opcode for opcode in self.op if UNIT_OF.get(opcode) is unit))
            push = m.named(
                f"push_to_{unit.name.lower()}", self.at[State.PUSH] & mine & m.input(f"room_{unit.name.lower()}")
            )
            m.output(f"push_{unit.name.lower()}", push)
            pushes.append(push)
        m.output("skip", self.skip)
        m.output("position_of_lane", self.lane_position)
        m.output("blocks", self.quotient)
        m.output("more", self.remainder)
        if Opcode.EMBED in self.op:
            m.output("channel", self.remainder)
        return concat(*pushes).any()

    def _end(self) -> tuple[Signal, Signal]:
        """END: nothing has been under way for long enough; and its counts are not reached, so never will be."""
        m = self.m
        nothing = m.named("nothing_under_way", m.input("units_idle") & m.input("quiet") & self.at[State.END])
        cycles = m.state("quiet_cycles", index_bits(QUIET_CYCLES), reset=0)
        cycles.next(mux(nothing, cycles + 1, 0))
        reached = list[Signal]()
        for unit in units(self.p):
            finished = m.input(f"finished_{unit.name.lower()}", FINISHED_BITS)
            reached.append(finished >= self.of(Opcode.END, f"wait_{unit.name.lower()}"))
        unreachable = m.register("unreachable", ~concat(*reached).all())
        return m.named("quiet_now", nothing & (cycles == QUIET_CYCLES - 1)), unreachable


def units(p: StepParameters) -> tuple[Unit, ...]:
    """The units that the processor has."""
    return tuple(unit for unit in Unit if unit in {UNIT_OF.get(opcode) for opcode in opcodes(p)})


def _choose(condition: Signal, first: _Operands, second: _Operands) -> _Operands:
    return _Operands(
        mux(condition, first.acc, second.acc), mux(condition, first.a, second.a), mux(condition, first.b, second.b)
    )


def _divided(m: Module, name: str, value: Signal, by: int) -> Signal:
    """Rounded down; `by` is a power of two."""
    sum_ = m.named(f"{name}_rounding", value)
    m.unused(sum_)
    return sum_ >> (by.bit_length() - 1)
