"""Building a step program: buffers by name, values of the model and where they are held, instructions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from elastix.compiler.arena import aligned
from elastix.compiler.ir import OpView, Value, build_at
from elastix.compiler.ir.core import InsertionPoint, Location
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.memory import StepMemory
from elastix.dialects.epu import BufferOp, Buffers, Fields, InstructionOp

FRAME_ALIGNMENT = 32
"""Elements: a tile of columns, and whole row blocks at any beat."""

At = tuple[str, int]
"""A buffer and elements from its beginning on."""


@dataclass(frozen=True)
class Held:
    """A value in vector memory: lane m's `count` elements begin at `m · frame`; `maximum`: its magnitude's registers."""

    buffer: str
    count: int
    frame: int
    maximum: str = ""

    def at(self, lane: int, offset: int = 0) -> At:
        return (self.buffer, lane * self.frame + offset)


@dataclass
class Emitter:
    """Writes `epu.buffer` and `epu.instruction` ops; `held` says where values of the model are."""

    parameters: StepParameters
    memory: StepMemory
    body: InsertionPoint
    held: dict[Value, Held] = field(default_factory=dict[Value, Held])
    constants: dict[str, str] = field(default_factory=dict[str, str])
    source: OpView | None = None
    _count: int = 0

    @property
    def lanes(self) -> range:
        return range(self.parameters.lanes)

    def buffer(self, name: str, elements: int, place: str = "vector") -> str:
        """A new buffer; its name is made unique."""
        symbol = f"{name}.{self._count}"
        self._count += 1
        with build_at(self.body, self._location()):
            BufferOp(sym_name=symbol, place=place, elements=elements, address=-1)
        return symbol

    def registers(self, name: str, count: int = 1) -> str:
        return self.buffer(name, count, "scalar")

    def hold(self, name: str, count: int, *, maximum: bool = False) -> Held:
        """Room for a value of every lane."""
        frame = aligned(count, FRAME_ALIGNMENT)
        registers = self.registers(f"max.{name}", self.parameters.lanes) if maximum else ""
        return Held(self.buffer(name, frame * self.parameters.lanes), count, frame, registers)

    def emit(self, opcode: Opcode, values: Mapping[str, int], buffers: Mapping[str, At]) -> None:
        with build_at(self.body, self._location()):
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
        **buffers: At,
    ) -> None:
        """One pass; `buffers` by field name."""
        fields = {"operation": operation, "lane": lane, "count": count, "target": target, "maximum": maximum}
        self.emit(Opcode.VECTOR, {**fields, **(values or {})}, buffers)

    def load(self, name: str, address: int, count: int, *, stride: int = 0, lane: int = 0) -> str:
        """Constants from memory into a new buffer of constant memory."""
        symbol = self.buffer(name, aligned(count, FRAME_ALIGNMENT), "constant")
        fields = {"lane": lane, "target": Target.CONSTANT, "count": count, "address": address, "stride": stride}
        self.emit(Opcode.LOAD, fields, {"to": (symbol, 0)})
        return symbol

    def parameter(self, name: str) -> str:
        """The buffer of a stored vector: loaded where it is first used."""
        if name not in self.constants:
            place = self.memory.parameter(name)
            self.constants[name] = self.load(name, place.address, place.bytes // 4)
        return self.constants[name]

    def _location(self) -> Location:
        assert self.source is not None
        return self.source.location
