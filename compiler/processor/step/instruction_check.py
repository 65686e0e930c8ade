"""Which instructions the processor refuses."""

from collections.abc import Mapping, Sequence

from elastix.compiler.circuit import Module, Signal, concat
from elastix.compiler.numbers.formats import SCALE_FORMATS
from elastix.compiler.processor.axi import offset_bits
from elastix.compiler.processor.parameters import COLUMNS, MAX_BITS, MAX_GROUP_TILES
from elastix.compiler.processor.step.fields import field
from elastix.compiler.processor.step.instruction_fetch import opcodes
from elastix.compiler.processor.step.instructions import DRAIN_OPERATIONS, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters

_OPERATION_FEATURES = {
    Operation.ROTATE: "rotate",
    Operation.NORMALIZE_SHIFT: "normalize_shift",
    Operation.MEAN: "mean",
    Operation.EXPONENTIAL: "attention",
}


def bad_instruction(m: Module, p: StepParameters, instruction: Signal, at: Mapping[Opcode, Signal]) -> Signal:
    """A register, right two cycles after `instruction` and one after `at` (which opcode it is): the processor has not
    this instruction, or not with these parameters. What it takes a multiplication to see is not looked at here."""
    check = _Check(m, p, instruction)
    refusals = {
        Opcode.LINEAR: check.linear,
        Opcode.VECTOR: check.vector,
        Opcode.SCORES: check.scores,
        Opcode.VALUES: check.values,
        Opcode.LOAD: check.load,
        Opcode.EMBED: check.embed,
    }
    unknown = ~concat(*at.values()).any() | instruction[3:8].any()
    bad = [m.named("unknown_opcode", unknown)]
    for opcode in opcodes(p):
        if opcode in refusals:
            wrong = m.register(f"wrong_{opcode.name.lower()}", concat(*refusals[opcode]()).any())
            bad.append(wrong & at[opcode])
    return m.register("bad_fields", concat(*bad).any())


class _Check:
    """What is wrong with an instruction, one list of bits an opcode, if it is of that opcode."""

    def __init__(self, m: Module, p: StepParameters, instruction: Signal) -> None:
        self.m, self.p, self.instruction = m, p, instruction
        self.offset, self.aligned_bits = offset_bits(p.beat), p.alignment.bit_length() - 1

    def of(self, opcode: Opcode, name: str) -> Signal:
        return field(self.instruction, opcode, name)

    def unaligned(self, opcode: Opcode, *names: str) -> list[Signal]:
        """Addresses or strides in memory, in bytes."""
        return [self.of(opcode, name)[0 : self.offset].any() for name in names]

    def odd(self, opcode: Opcode, *names: str) -> list[Signal]:
        """Addresses or strides of elements."""
        return [self.of(opcode, name)[0 : self.aligned_bits].any() for name in names]

    def none_of(self, value: Signal, allowed: Sequence[int]) -> Signal:
        return ~concat(*(value == each for each in allowed)).any()

    def weights(self, opcode: Opcode) -> list[Signal]:
        bits, tiles, group = self.of(opcode, "bits"), self.of(opcode, "tiles"), self.of(opcode, "group_tiles")
        return [
            (bits == 0) | (bits > MAX_BITS),
            self.of(opcode, "scale_format") >= len(SCALE_FORMATS),
            self.of(opcode, "row_blocks") == 0,
            (tiles == 0) | (tiles > self.p.max_tiles),
            (group == 0) | (group > MAX_GROUP_TILES),
            self.of(opcode, "header_words") == 0,
            *self.unaligned(opcode, "weights", "channel_stride"),
        ]

    def linear(self) -> list[Signal]:
        one = Opcode.LINEAR
        operation, target, to = self.of(one, "operation"), self.of(one, "target"), self.of(one, "to")
        memory = target == Target.MEMORY
        allowed = [each for each in DRAIN_OPERATIONS if each is not Operation.ACTIVATE or self.p.activations]
        tracks = self.of(one, "maximum") != Maximum.NONE
        in_memory = [*self.unaligned(one, "to", "lane_stride"), operation != Operation.COPY, tracks]
        bad = [
            *self.weights(one),
            self.none_of(operation, allowed),
            self.none_of(target, (Target.VECTOR, Target.MEMORY)),
            *self.odd(one, "to", "from", "lane_stride"),
            memory & concat(*in_memory).any(),
            ~memory & to[ELEMENT_BITS : to.width].any(),
        ]
        kept = self.of(one, "arg_max")
        return [*bad, kept & (operation != Operation.COPY) if "arg_max" in self.p.features else kept]

    def vector(self) -> list[Signal]:
        one, p = Opcode.VECTOR, self.p
        operation, target, bits = self.of(one, "operation"), self.of(one, "target"), self.of(one, "bits")
        head = self.of(one, "head")
        missing = {each for each, feature in _OPERATION_FEATURES.items() if feature not in p.features}
        if not p.activations:
            missing.add(Operation.ACTIVATE)
        allowed = [each for each in Operation if each not in missing]
        quantized = [Target.ACTIVATIONS]
        wide = (target == Target.QUERY) | (target == Target.PROBABILITY)
        kept = (target == Target.KEY) | (target == Target.VALUE)
        heads = [self.of(one, "period") != p.head_dim, self.of(one, "count")[0 : p.head_dim.bit_length() - 1].any()]
        bad = [
            self.none_of(operation, allowed),
            self.of(one, "count") == 0,
            (operation == Operation.ROTATE) & concat(*heads, self.of(one, "to_position")).any(),
            *self.odd(one, "a", "b", "c", "d", "to", "period"),
            (target == Target.ACTIVATIONS)
            & ((bits < 8) | (bits > p.activation_bits) | self.of(one, "to")[0 : COLUMNS.bit_length() - 1].any()),
        ]
        if "attention" in p.features:
            quantized += [Target.QUERY, Target.PROBABILITY, Target.KEY, Target.VALUE]
            bad += [
                wide & (bits != 16),
                kept & ((bits != 8) | (head >= p.kv_heads) | concat(*self.unaligned(one, "rows", "scales")).any()),
                (target == Target.PROBABILITY) & (head >= p.group),
            ]
        quantizes = operation == Operation.QUANTIZE
        bad.append(quantizes & self.none_of(target, quantized))
        bad.append(~quantizes & self.none_of(target, (Target.NONE, Target.VECTOR, Target.CONSTANT)))
        return bad

    def scores(self) -> list[Signal]:
        one = Opcode.SCORES
        return [
            self.of(one, "head") >= self.p.kv_heads,
            *self.unaligned(one, "keys", "key_scales", "values", "value_scales"),
            *self.odd(one, "to", "stride"),
        ]

    def values(self) -> list[Signal]:
        one = Opcode.VALUES
        return [self.of(one, "head") >= self.p.kv_heads, *self.unaligned(one, "values"), *self.odd(one, "to")]

    def load(self) -> list[Signal]:
        one = Opcode.LOAD
        return [
            self.none_of(self.of(one, "target"), (Target.VECTOR, Target.CONSTANT)),
            self.of(one, "count") == 0,
            *self.unaligned(one, "address", "stride"),
            *self.odd(one, "to"),
        ]

    def embed(self) -> list[Signal]:
        return [*self.weights(Opcode.EMBED), *self.odd(Opcode.EMBED, "to")]
