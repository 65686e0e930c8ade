"""Building a step program: buffers by name, values of the model and where they are held, instructions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from elastix.compiler.arena import aligned
from elastix.compiler.ir import OpView, Value, build_at
from elastix.compiler.ir.core import InsertionPoint
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.memory import StepMemory
from elastix.dialects.epu import BufferOp, Buffers, Fields, InstructionOp

FRAME_ALIGNMENT: Final = 32
"""Elements: a tile of columns, and whole row blocks at any beat."""

At = tuple[str, int]
"""A buffer and elements from its beginning on."""


@dataclass(frozen=True)
class Held:
    """A value in vector memory: lane m's `count` elements begin at `m · frame`.

    maximum: scalar registers with each lane's largest magnitude; empty where none are kept.
    """

    buffer: str
    count: int
    frame: int
    maximum: str = ""

    def at(self, lane: int, offset: int = 0) -> At:
        """Element `offset` of a lane."""
        return (self.buffer, lane * self.frame + offset)


@dataclass
class Emitter:
    """Writes `epu.buffer` and `epu.instruction` ops at `body`, with the location of `source`.

    held: where values of the model are. constants: buffers of what was loaded, by name.
    """

    parameters: StepParameters
    memory: StepMemory
    body: InsertionPoint
    source: OpView
    held: dict[Value, Held] = field(default_factory=dict[Value, Held])
    constants: dict[str, str] = field(default_factory=dict[str, str])
    _buffers: int = 0

    @property
    def lanes(self) -> range:
        return range(self.parameters.lanes)

    def buffer(self, name: str, elements: int, place: str = "vector") -> str:
        """A new buffer; its name is made unique."""
        symbol = f"{name}.{self._buffers}"
        self._buffers += 1
        with build_at(self.body, self.source.location):
            BufferOp(sym_name=symbol, place=place, elements=elements, address=-1)
        return symbol

    def registers(self, name: str, count: int = 1) -> str:
        """New scalar registers, one after the other."""
        return self.buffer(name, count, "scalar")

    def hold(self, name: str, count: int, *, maximum: bool = False) -> Held:
        """Room for a value of every lane."""
        frame = aligned(count, FRAME_ALIGNMENT)
        registers = self.registers(f"max.{name}", self.parameters.lanes) if maximum else ""
        return Held(self.buffer(name, frame * self.parameters.lanes), count, frame, registers)

    def emit(self, opcode: Opcode, values: Mapping[str, int], buffers: Mapping[str, At]) -> None:
        """An instruction; fields that are 0 are left out."""
        with build_at(self.body, self.source.location):
            InstructionOp(
                opcode=opcode.name.lower(),
                values=Fields({name: int(value) for name, value in values.items() if value}),
                buffers=Buffers(buffers),
            )

    def vector(
        self,
        operation: Operation,
        lane: int,
        count: int,
        *,
        target: Target = Target.VECTOR,
        maximum: Maximum = Maximum.NONE,
        values: Mapping[str, int] | None = None,
        others: Mapping[str, At] | None = None,
        **buffers: At,
    ) -> None:
        """One pass. values, buffers: by field name; others: more buffers."""
        fields = {"operation": operation, "lane": lane, "count": count, "target": target, "maximum": maximum}
        self.emit(Opcode.VECTOR, {**fields, **(values or {})}, {**buffers, **(others or {})})

    def track(self, lane: int, count: int, a: At, maximum: At) -> None:
        """The largest magnitude of what is there already, to a register."""
        self.vector(
            Operation.COPY, lane, count, target=Target.NONE, maximum=Maximum.MAGNITUDE, a=a, max_register=maximum
        )

    def load(self, to: At, target: Target, address: int, count: int, *, stride: int = 0, lane: int = 0) -> None:
        """fp32 values from memory. stride: bytes from position to position; 0: the same for all."""
        fields = {"lane": lane, "target": target, "count": count, "address": address, "stride": stride}
        self.emit(Opcode.LOAD, fields, {"to": to})

    def parameter(self, name: str) -> str:
        """The buffer of a stored vector: loaded where it is first used."""
        if name not in self.constants:
            place = self.memory.parameter(name)
            count = place.bytes // 4
            self.constants[name] = self.buffer(name, aligned(count, FRAME_ALIGNMENT), "constant")
            self.load((self.constants[name], 0), Target.CONSTANT, place.address, count)
        return self.constants[name]

    def table_row(self, name: str, lane: int) -> str:
        """The buffer of a table's row for the lane's position: loaded where it is first used."""
        key = f"{name}.{lane}"
        if key not in self.constants:
            place = self.memory.parameter(name)
            count = place.shape[1]
            self.constants[key] = self.buffer(key, aligned(count, FRAME_ALIGNMENT), "constant")
            self.load((self.constants[key], 0), Target.CONSTANT, place.address, count, stride=4 * count, lane=lane)
        return self.constants[key]
