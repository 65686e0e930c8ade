"""The ops of `epu` for whole decode steps: the step processor, buffers of its on-chip memories, and instructions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import (
    ArrayAttr,
    Attribute,
    Codec,
    DictAttr,
    FlatSymbolRefAttr,
    IntegerAttr,
    IsolatedTrait,
    NoTerminatorTrait,
    Op,
    Region,
    StringAttr,
    Symbol,
    add_codec,
    inferred,
    integer,
)
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import FIELDS, Instruction, Opcode
from elastix.compiler.processor.step.parameters import ALIGNMENT, SCALAR_REGISTERS, StepParameters
from elastix.dialects import rules
from elastix.dialects.epu.ops import Epu, parameters_of

PLACES: Final = ("vector", "constant", "scalar")
"""On-chip memories that buffers lie in."""
ADDRESSES: Final = frozenset(("a", "b", "c", "d", "from", "to", "scalar_register", "max_register", "result_register"))
"""Fields that may be places in buffers."""
_ENUMERATIONS: Final = {
    field.name: field.enumeration
    for fields in FIELDS.values()
    for field in fields
    if field.enumeration is not None and field.name != "opcode"
}


class Fields(dict[str, int]):
    """Values of an instruction's fields by name; enumerated ones are spelled out in the IR. Not to be changed: several
    readers get the same."""


class Buffers(dict[str, tuple[str, int]]):
    """Fields that are addresses in buffers: the buffer's symbol, and elements from its beginning on. As Fields."""


class Names(tuple[str, ...]):
    """A few words."""


T = TypeVar("T")


class _Remembered(Generic[T]):
    """A function of attributes that keeps its results, of the context that was used last: a program is verified and
    read after each pass, and most of its attributes are those of before."""

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._context: object = None
        self._known: dict[tuple[Attribute, ...], T] = {}

    def __call__(self, *attributes: Attribute) -> T:
        if attributes[0].context is not self._context:
            self._context, self._known = attributes[0].context, {}
        found = self._known.get(attributes)
        if found is None:
            found = self._known[attributes] = self._function(*attributes)
        return found


def _fields_to_mlir(fields: Mapping[str, int]) -> DictAttr:
    return DictAttr.get({name: _value_to_mlir(name, value) for name, value in fields.items()})


def _value_to_mlir(name: str, value: int) -> IntegerAttr | StringAttr:
    enumeration = _ENUMERATIONS.get(name)
    return IntegerAttr.get(integer(64), value) if enumeration is None else StringAttr.get(enumeration(value).name)


def _fields_from_mlir(attribute: Any) -> Fields:
    return Fields({each.name: _value_from_mlir(each.name, each.attr) for each in DictAttr(attribute)})


def _value_from_mlir(name: str, attribute: Attribute) -> int:
    return (
        int(_ENUMERATIONS[name][attribute.value]) if isinstance(attribute, StringAttr) else IntegerAttr(attribute).value
    )


def _buffers_to_mlir(buffers: Mapping[str, tuple[str, int]]) -> DictAttr:
    return DictAttr.get(
        {
            name: ArrayAttr.get([FlatSymbolRefAttr.get(symbol), IntegerAttr.get(integer(64), offset)])
            for name, (symbol, offset) in buffers.items()
        }
    )


def _buffers_from_mlir(attribute: Any) -> Buffers:
    found = Buffers()
    for each in DictAttr(attribute):
        symbol, offset = ArrayAttr(each.attr)
        found[each.name] = (FlatSymbolRefAttr(symbol).value, IntegerAttr(offset).value)
    return found


def _is_fields(attribute: Any) -> bool:
    return isinstance(attribute, DictAttr) and all(_is_value(each.name, each.attr) for each in attribute)


def _is_value(name: str, attribute: Attribute) -> bool:
    if isinstance(attribute, StringAttr):
        enumeration = _ENUMERATIONS.get(name)
        return enumeration is not None and attribute.value in enumeration.__members__
    return isinstance(attribute, IntegerAttr) and attribute.type == integer(64)


def _is_buffers(attribute: Any) -> bool:
    return isinstance(attribute, DictAttr) and all(
        isinstance(each.attr, ArrayAttr) and [type(part) for part in each.attr] == [FlatSymbolRefAttr, IntegerAttr]
        for each in attribute
    )


def _is_names(attribute: Any) -> bool:
    return isinstance(attribute, ArrayAttr) and all(isinstance(each, StringAttr) for each in attribute)


add_codec(
    Fields,
    Codec(
        "{name = a number or a name, …}",
        _Remembered(_is_fields),
        _fields_to_mlir,
        _Remembered(_fields_from_mlir),
    ),
)
add_codec(
    Buffers,
    Codec(
        "{name = [@buffer, elements], …}",
        _Remembered(_is_buffers),
        _buffers_to_mlir,
        _Remembered(_buffers_from_mlir),
    ),
)
add_codec(
    Names,
    Codec(
        '["…", …]',
        _is_names,
        lambda names: ArrayAttr.get([StringAttr.get(name) for name in names]),
        lambda attribute: Names(StringAttr(each).value for each in attribute),
    ),
)


class StepProcessorOp(Op, dialect=Epu, name="step_processor", pure=False):
    """The parameters of a processor for whole decode steps (compiler/processor/step/parameters.py)."""

    sym_name: str
    beat: int
    activation_bits: int
    lanes: int
    channels: int
    max_tiles: int
    max_burst: int
    fifo_beats: int
    crc: bool
    vector_lanes: int
    vector_elements: int
    constant_elements: int
    max_context: int
    head_dim: int
    kv_heads: int
    group: int
    attention_lanes: int
    attention_channels: int
    activations: Names
    features: Names

    def parameters(self) -> StepParameters:
        """The same as a value. Raises ElastixError for a processor that cannot be."""
        return parameters_of(self, StepParameters)

    @classmethod
    def of(cls, sym_name: str, parameters: StepParameters) -> "StepProcessorOp":
        """Build the op of these parameters."""
        names = {"activations": Names(parameters.activations), "features": Names(parameters.features)}
        values: dict[str, Any] = {**vars(parameters), **names}
        return cls(sym_name=sym_name, **values)

    def resize(self, vector_elements: int, constant_elements: int) -> None:
        """Give the on-chip memories their sizes."""
        self.attributes["vector_elements"] = IntegerAttr.get(integer(64), vector_elements)
        self.attributes["constant_elements"] = IntegerAttr.get(integer(64), constant_elements)

    def wrong(self) -> Iterator[str]:
        try:
            self.parameters()
        except ElastixError as error:
            yield f"has {error.found}, wanted {error.wanted}"


class StepProgramOp(Op, dialect=Epu, name="step_program", traits=(NoTerminatorTrait, IsolatedTrait), pure=False):
    """Buffers and instructions of one run, in program order, on one step processor; `epu.instruction` END is last."""

    sym_name: str
    processor: Symbol
    body: Region = inferred()


class BufferOp(Op, dialect=Epu, name="buffer", pure=False):
    """Elements of an on-chip memory: `vector`, `constant`, or registers of `scalar`.

    address: of its first element, once it is allocated; −1 before.
    """

    sym_name: str
    place: str
    elements: int
    address: int

    def put(self, address: int) -> None:
        """Give it its address."""
        self.attributes["address"] = IntegerAttr.get(integer(64), address)

    def wrong(self) -> Iterator[str]:
        yield from rules.among("place", self.place, PLACES)
        yield from rules.at_least("elements", self.elements, 1)
        if self.place == "scalar":
            if self.address + self.elements > SCALAR_REGISTERS:
                yield f"ends with register {self.address + self.elements - 1}, wanted {SCALAR_REGISTERS - 1} at most"
        elif self.address >= 0 and self.address % ALIGNMENT:
            yield f"address is {self.address}, wanted a multiple of {ALIGNMENT}"
        yield from rules.at_least("address", self.address, -1)


class InstructionOp(Op, dialect=Epu, name="instruction", pure=False):
    """One instruction: its opcode, fields, and those fields that are addresses in buffers.

    Names and meanings: compiler/processor/step/instructions.py. A field stands in one of the two.
    """

    opcode: str
    values: Fields
    buffers: Buffers

    def text(self) -> str:
        """`vector operation=ADD target=VECTOR count=0x40 a=@x to=@y+32 …`: as it is disassembled, but for buffers."""
        opcode = Opcode[self.opcode.upper()]
        _, *plain = to_text(Instruction(opcode, self.values)).split()
        words = {word.partition("=")[0]: word for word in plain}
        for name, (symbol, offset) in self.buffers.items():
            words[name] = f"{name}=@{symbol}" + (f"+{offset}" if offset else "")
        return " ".join([self.opcode, *(words[field.name] for field in FIELDS[opcode] if field.name in words)])

    def set_waits(self, waits: Mapping[str, int]) -> None:
        """Replace its wait fields."""
        kept = {name: value for name, value in self.values.items() if not name.startswith("wait_")}
        self.attributes["values"] = _fields_to_mlir({**kept, **waits})

    def wrong(self) -> Iterator[str]:
        return iter(_broken_rules(*(self.attributes[name] for name in ("opcode", "values", "buffers"))))


def _wrong_instruction(opcode_attribute: Attribute, values: Attribute, buffers: Attribute) -> tuple[str, ...]:
    """What is wrong with an instruction of these attributes."""
    name = StringAttr(opcode_attribute).value
    if broken := tuple(rules.among("opcode", name, tuple(each.name.lower() for each in Opcode))):
        return broken
    opcode, fields = Opcode[name.upper()], _fields_from_mlir(values)
    known = {field.name for field in FIELDS[opcode]}
    messages: list[str] = []
    for address in _buffers_from_mlir(buffers):
        if address not in known or address not in ADDRESSES:
            wanted = ", ".join(sorted(known & ADDRESSES)) or "none"
            messages.append(f"has no address {address}, wanted one of {wanted}")
        elif address in fields:
            messages.append(f"{address} is given twice, wanted a value or a buffer")
    try:
        Instruction(opcode, fields)
    except ElastixError as error:
        messages.append(f"{error.found}, wanted {error.wanted}")
    return tuple(messages)


_broken_rules: Final = _Remembered(_wrong_instruction)
