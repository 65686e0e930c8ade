"""Random programs for random step processors: every instruction and operation, values from anywhere in fp32."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from launches import formats, random_rows
from numpy.typing import NDArray

from elastix.compiler.arena import aligned
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.pack import pack_layer, place_segments
from elastix.compiler.processor.step.instructions import (
    DRAIN_OPERATIONS,
    INSTRUCTION_BYTES,
    Instruction,
    Maximum,
    Opcode,
    Operation,
    Target,
)
from elastix.compiler.processor.step.parameters import ACTIVATIONS, VECTOR_LANES, StepParameters

PROGRAM = 1 << 14
SLOT = 256
"""Elements of a part of vector or constant memory; operands and results lie in parts of their own or in the same."""
SLOTS = 8
MAGNITUDES, SIGNED, RESULTS = 0, 24, 48
"""Scalar registers for maxima of magnitudes, for signed maxima and for results."""
KINDS = ("load", "each", "each", "each", "reduce", "quantize", "linear", "embed", "attention")
SPECIAL = np.array([0, -0.0, 1.1754944e-38, -1.1754944e-38, 1e-45, 3.4028235e38, -3.4028235e38, 1, -1, 0.5], np.float32)


@dataclass(frozen=True)
class RandomStep:
    """A program in a memory with everything that it reads, and the run to make of it."""

    parameters: StepParameters
    memory: NDArray[np.uint8]
    program: tuple[Instruction, ...]
    tokens: tuple[int, ...]
    position: int


@dataclass
class Builder:
    """Instructions and memory under construction; `rng` says what hypothesis has no need to shrink."""

    parameters: StepParameters
    rng: np.random.Generator
    extreme: bool
    program: list[Instruction] = field(default_factory=list[Instruction])
    contents: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    free: int = PROGRAM + (1 << 15)

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def add(self, opcode: Opcode, **fields: int) -> None:
        self.program.append(Instruction(opcode, fields))

    def reserve(self, size: int, alignment: int = 64) -> int:
        at = -(-self.free // alignment) * alignment
        self.free = at + size
        return at

    def place(self, content: NDArray[Any]) -> int:
        at = self.reserve(content.nbytes)
        self.contents.append((at, content.tobytes()))
        return at

    def values(self, count: int) -> NDArray[np.float32]:
        """Numbers of one size; from anywhere if `extreme`; zeros and the ends of fp32 among them."""
        sizes = self.rng.integers(-140, 120, count) if self.extreme else self.rng.integers(-8, 4)
        found = np.ldexp(self.rng.standard_normal(count), sizes).astype(np.float32)
        special = self.rng.random(count) < (0.1 if self.extreme else 0.01)
        return np.where(special, self.rng.choice(SPECIAL if self.extreme else SPECIAL[:2], count), found)

    def pattern(self, *, positive: bool = False) -> int:
        value = self.values(1)[0]
        return int((abs(value) if positive else value).view(np.uint32))

    def lane(self) -> int:
        return self.number(0, self.parameters.lanes - 1)

    # --- instructions ---

    def load(self, target: Target | None = None, to: int | None = None) -> None:
        chosen = self.pick(Target.VECTOR, Target.CONSTANT) if target is None else target
        count, lane = self.number(1, SLOT), self.lane() if to is None else 0
        if to is not None:
            count = SLOT
        rows = self.parameters.max_context if self.pick(True, False) and to is None else 1
        stride = -(-4 * count // 64) * 64
        table = np.zeros((rows, stride // 4), "<f4")
        table[:, :count] = self.values(rows * count).reshape(rows, count)
        fields = {"address": self.place(table), "stride": stride if rows > 1 else 0, "count": count, "lane": lane}
        self.add(Opcode.LOAD, target=chosen, to=self.slot() if to is None else to, **fields)

    def slot(self) -> int:
        unit = self.parameters.alignment
        return SLOT * self.number(0, SLOTS - 1) + unit * self.number(0, 16 // unit)

    def tracked(self) -> dict[str, int]:
        kind = self.pick(*Maximum)
        first = SIGNED if kind is Maximum.SIGNED else MAGNITUDES
        return {"maximum": kind, "max_register": first + self.number(0, 15)}

    def magnitude(self, a: int, count: int, lane: int, to_position: int = 0) -> int:
        """The register that holds max|a| now."""
        register = MAGNITUDES + self.number(0, 15)
        fields = {"a": a, "count": count, "lane": lane, "to_position": to_position, "max_register": register}
        self.add(Opcode.VECTOR, operation=Operation.COPY, maximum=Maximum.MAGNITUDE, **fields)
        return register

    def each(self, operation: Operation | None = None) -> None:
        """An operation element for element."""
        chosen = operation or self.pick(*[each for each in Operation if each < Operation.EXPONENTIAL])
        unit = self.parameters.alignment
        count, period = self.number(1, 200), self.pick(0, unit * self.number(1, 64 // unit))
        if chosen is Operation.ROTATE:
            period = self.parameters.head_dim
            count = period * self.number(1, 192 // period)
        slots = self.rng.permutation(SLOTS)[:4] * SLOT
        a, b, c, d = (int(each) for each in slots)
        target = self.pick(Target.NONE, Target.VECTOR, Target.CONSTANT)
        others = [int(each) * SLOT for each in range(SLOTS) if int(each) * SLOT not in (a, b, c, d)]
        to = others[0] + unit * self.number(0, 40 // unit)
        if target is Target.VECTOR and chosen is not Operation.ROTATE:
            to = self.pick(to, a, b)
        if target is Target.CONSTANT and period == 0:
            to = self.pick(to, c, d)
        if target is Target.CONSTANT and chosen is Operation.NORMALIZE_SHIFT and to in (c, d):
            to = others[0]  # c is read by all of the pass before d
        scalar = self.number(0, 63)
        self.add(
            Opcode.VECTOR,
            operation=chosen,
            target=target,
            count=count,
            period=period,
            a=a,
            b=b,
            c=c,
            d=d,
            to=to if target else 0,
            scalar_register=scalar,
            k=self.pattern(),
            lane=self.lane(),
            **self.tracked(),
        )

    def reduce(self) -> None:
        """SQUARES or MEAN."""
        a, count, lane = self.slot(), self.number(1, 200), self.lane()
        fields = {"a": a, "count": count, "lane": lane, "scalar_register": self.magnitude(a, count, lane)}
        k = self.pick(int(np.float32(1 / count).view(np.uint32)), self.pattern(positive=True))
        fields |= {"k": k, "epsilon": self.pattern(positive=True), "result_register": RESULTS + self.number(0, 15)}
        self.add(Opcode.VECTOR, operation=self.pick(Operation.SQUARES, Operation.MEAN), **fields)

    def quantize(self) -> None:
        """Activations of some columns of some token."""
        p, lane, a = self.parameters, self.lane(), self.slot()
        to = 32 * self.number(0, p.max_tiles - 1)
        count = self.number(1, min(200, 32 * p.max_tiles - to))
        fields = {"scalar_register": self.magnitude(a, count, lane), "bits": self.number(8, p.activation_bits)}
        fields |= {"a": a, "count": count, "lane": lane, "to": to, "target": Target.ACTIVATIONS}
        self.add(Opcode.VECTOR, operation=Operation.QUANTIZE, **fields)

    def layer(self, form: Format, rows: int, columns: int) -> dict[str, int]:
        """A random layer in memory; the fields that say where it is."""
        p = self.parameters
        geometry = Geometry(form, rows, columns, p.beat, p.channels)
        at = self.reserve(geometry.total_bytes, 4096)
        segments = pack_layer(random_rows(form, rows, columns, self.rng, self.extreme), geometry)
        self.contents += [(at + offset, segment) for offset, segment in place_segments(segments, geometry)]
        return {
            "bits": form.bits,
            "scale_format": form.scale_code,
            "c9": form.c9,
            "row_blocks": geometry.row_blocks,
            "tiles": geometry.tiles,
            "group_tiles": form.group_tiles,
            "header_words": geometry.header_words,
            "weights": at,
            "block_beats": geometry.block_beats,
            "channel_stride": geometry.channel_stride,
        }

    def linear(self, form: Format) -> None:
        p, rows = self.parameters, self.number(1, 40)
        fields = self.layer(form, rows, self.number(1, 32 * p.max_tiles))
        padded = fields["row_blocks"] * p.rows
        if self.pick(True, False, False):
            stride = -(-4 * padded // 64) * 64
            fields |= {"target": Target.MEMORY, "to": self.reserve(stride * p.lanes), "lane_stride": stride}
        else:
            stride = aligned(padded, p.alignment)
            ours, theirs = (int(each) * 2 * SLOT for each in self.rng.permutation(SLOTS // 2)[:2])
            operation = self.pick(*DRAIN_OPERATIONS)
            second = self.pick(ours, theirs) if operation is not Operation.ADD_CONSTANT else self.slot()
            fields |= {"target": Target.VECTOR, "operation": operation, "to": ours, "from": second}
            fields["lane_stride"] = stride
        fields["arg_max"] = 0 if fields.get("operation", Operation.COPY) else self.number(0, 1)
        tracked = {} if fields["target"] == Target.MEMORY else self.tracked()
        self.add(Opcode.LINEAR, rows=self.number(1, rows), **fields, **tracked)

    def embed(self, form: Format, rows: int) -> None:
        fields = self.layer(form, rows, self.number(1, 32 * self.parameters.max_tiles))
        self.add(Opcode.EMBED, lane=self.lane(), to=SLOT * self.number(0, SLOTS - 2), **fields)

    def cache(self) -> tuple[int, int]:
        """Rows of any codes and of scales of one size; where, and bytes to the scales."""
        p = self.parameters
        rows, part = p.channel_rows, 64 * self.channel_stride()
        at, scales_at = self.reserve(part * p.attention_channels), -(-rows * p.row_bytes // 64) * 64
        for here in range(at, at + part * p.attention_channels, part):
            codes = self.rng.integers(0, 256, (rows, p.row_bytes)).astype(np.uint8)
            exponents = self.rng.integers(1, 255, rows) if self.extreme else self.rng.integers(110, 120, 1)
            scales = exponents << 7 | self.rng.integers(0, 128, rows)
            self.contents += [(here, codes.tobytes()), (here + scales_at, scales.astype("<u2").tobytes())]
        return at, scales_at

    def channel_stride(self) -> int:
        """Units of 64 bytes from a channel's part of a cache to the next's, a beat behind the scales included."""
        rows = self.parameters.channel_rows
        return -(-rows * self.parameters.row_bytes // 64) + -(-2 * rows // 64) + 1

    def attention(self, tokens: int) -> None:
        """A head of keys and values of one token, from queries to results."""
        p, bank, head = self.parameters, self.number(0, 1), self.number(0, p_heads(self.parameters))
        lane = self.number(0, tokens - 1)
        keys, key_scales = self.cache()
        values, value_scales = self.cache()
        for token in range(lane + 1):
            for target, at, scales in ((Target.KEY, keys, key_scales), (Target.VALUE, values, value_scales)):
                a = self.slot()
                fields = {"scalar_register": self.magnitude(a, p.head_dim, token), "bits": 8, "head": head}
                fields |= {"a": a, "count": p.head_dim, "lane": token, "rows": at, "scales": scales}
                fields["channel_stride"] = self.channel_stride()
                self.add(Opcode.VECTOR, operation=Operation.QUANTIZE, target=target, **fields)
        a, count = SLOT * self.number(0, 3), p.group * p.head_dim
        fields = {"scalar_register": self.magnitude(a, count, lane), "bits": 16, "bank": bank}
        quantize = {"operation": Operation.QUANTIZE, "lane": lane}
        self.add(Opcode.VECTOR, target=Target.QUERY, a=a, count=count, **fields, **quantize)
        to, stride = SLOT * self.number(0, 3), aligned(p.max_context, p.alignment)
        register = SIGNED + self.number(0, 15)
        where = {"keys": keys, "key_scales": key_scales, "values": values, "value_scales": value_scales}
        where |= {"bank": bank, "head": head, "lane": lane, "channel_stride": self.channel_stride()}
        self.add(Opcode.SCORES, to=to, stride=stride, max_register=register, **where)
        largest = MAGNITUDES + self.number(0, 15)
        one = {"count": 1, "to_position": 1, "lane": lane, "bank": bank}
        for j in range(p.group):
            fields = {"a": to + j * stride, "to": to + j * stride, "scalar_register": register + j}
            keep = Maximum.MAGNITUDE_KEEP if j else Maximum.MAGNITUDE
            fields |= {"maximum": keep, "max_register": largest, "result_register": RESULTS + j % 16}
            self.add(Opcode.VECTOR, operation=Operation.EXPONENTIAL, target=Target.VECTOR, **fields, **one)
        for j in range(p.group):
            fields = {"a": to + j * stride, "scalar_register": largest, "bits": 16, "head": j}
            self.add(Opcode.VECTOR, operation=Operation.QUANTIZE, target=Target.PROBABILITY, **fields, **one)
        where = {name: where[name] for name in ("values", "bank", "head", "lane", "channel_stride")}
        self.add(Opcode.VALUES, to=SLOT * self.number(0, 3), **where)

    def finish(self, tokens: tuple[int, ...], position: int) -> RandomStep:
        self.add(Opcode.END)
        memory = np.full(-(-self.free // 4096) * 4096, 0xA5, np.uint8)
        code = b"".join(each.encode() for each in self.program)
        assert len(code) <= 1 << 15 and code[-INSTRUCTION_BYTES:] == Instruction(Opcode.END, {}).encode()
        for at, content in [(PROGRAM, code), *self.contents]:
            memory[at : at + len(content)] = np.frombuffer(content, np.uint8)
        return RandomStep(self.parameters, memory, tuple(self.program), tokens=tokens, position=position)


def p_heads(p: StepParameters) -> int:
    """The last head of keys and values."""
    return p.kv_heads - 1


@st.composite
def processors(draw: st.DrawFn, attention_channels: int = 1) -> StepParameters:
    """Small ones of every kind, with caches on so many channels at most."""
    channels = draw(st.integers(1, max(3, attention_channels)))
    counts = [1 << n for n in range(min(channels, attention_channels).bit_length())]
    head_dim = draw(st.sampled_from([8, 16, 32, 64]))
    return StepParameters(
        beat=draw(st.sampled_from([64, 128, 256, 512])),
        activation_bits=draw(st.integers(8, 12)),
        lanes=draw(st.integers(1, 3)),
        channels=channels,
        attention_channels=draw(st.sampled_from(counts)),
        max_tiles=draw(st.integers(1, 5)),
        vector_lanes=draw(st.sampled_from([each for each in VECTOR_LANES if each <= head_dim])),
        vector_elements=SLOT * (SLOTS + 1),
        constant_elements=SLOT * (SLOTS + 1),
        max_context=draw(st.integers(4, 40)),
        head_dim=head_dim,
        kv_heads=draw(st.integers(1, 3)),
        group=draw(st.integers(1, 4)),
        activations=(draw(st.sampled_from(ACTIVATIONS)),),
    )


@st.composite
def random_steps(
    draw: st.DrawFn, chosen: st.SearchStrategy[StepParameters] | None = None, kinds: tuple[str, ...] = KINDS
) -> RandomStep:
    """Memories full of numbers, then a dozen of instructions of these kinds over them, for any of `processors`."""
    p = draw(processors() if chosen is None else chosen)
    builder = Builder(p, np.random.default_rng(draw(st.integers(0, 2**32))), draw(st.booleans()))
    count = draw(st.integers(1, p.lanes))
    position = draw(st.integers(0, p.max_context - count))
    rows = draw(st.integers(1, 40))
    tokens = tuple(draw(st.integers(0, rows - 1)) for _ in range(count))
    for slot in range(SLOTS + 1):
        builder.load(Target.VECTOR, SLOT * slot)
        builder.load(Target.CONSTANT, SLOT * slot)
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=12)):
        match kind:
            case "linear":
                builder.linear(draw(formats))
            case "embed":
                builder.embed(draw(formats), rows)
            case "attention":
                builder.attention(count)
            case _:
                getattr(builder, kind)()
    return builder.finish(tokens, position)
