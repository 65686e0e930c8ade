"""The instruction set of the step processor: fields and binary form. assembly.py has its text, and its reference.

An instruction has 64 bytes: sixteen little-endian 32-bit words. A field lies inside one word, but for addresses in
memory, whose upper 8 bits are the low bits of the next word. Bits that belong to no field are zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from elastix.compiler.errors import ElastixError

INSTRUCTION_BYTES: Final = 64
WORDS: Final = 16


class Opcode(IntEnum):
    """END: all is over. LINEAR: matrix engine. VECTOR: vector engine. SCORES, VALUES: attention engine.
    LOAD, EMBED: loader."""

    END = 0
    LINEAR = 1
    VECTOR = 2
    SCORES = 3
    VALUES = 4
    LOAD = 5
    EMBED = 6


class Unit(IntEnum):
    """What carries out instructions, each in order; `wait_<unit>` counts the instructions that a unit has finished."""

    MATRIX = 0
    VECTOR = 1
    ATTENTION = 2
    LOAD = 3


UNIT_OF: Final = {
    Opcode.LINEAR: Unit.MATRIX,
    Opcode.VECTOR: Unit.VECTOR,
    Opcode.SCORES: Unit.ATTENTION,
    Opcode.VALUES: Unit.ATTENTION,
    Opcode.LOAD: Unit.LOAD,
    Opcode.EMBED: Unit.LOAD,
}


class Operation(IntEnum):
    """What a pass of the vector engine computes of each element; rules C15 to C21.

    a, b: vector memory; c, d: constant memory; s: a scalar register; k: the immediate.
    """

    COPY = 0  # a
    ADD = 1  # a + b
    ADD_CONSTANT = 2  # a + c
    MULTIPLY = 3  # a · b
    SCALE = 4  # a · k
    SCALE_BY = 5  # a · s
    SUBTRACT = 6  # a − s
    NORMALIZE = 7  # (a · s) · c
    NORMALIZE_SHIFT = 8  # (a · s) · c + d
    ROTATE = 9  # a · c + a' · d, a' half a period away
    ACTIVATE = 10  # a · T(a)
    EXPONENTIAL = 11  # 2^(a − s) · the value scale of the element
    SQUARES = 12  # reciprocal root of the mean square, to a scalar register
    MEAN = 13  # mean, to a scalar register
    QUANTIZE = 14  # integers (C3, C12)


DRAIN_OPERATIONS: Final = (
    Operation.COPY,
    Operation.ADD,
    Operation.ADD_CONSTANT,
    Operation.MULTIPLY,
    Operation.ACTIVATE,
)
"""What may be done to the results of a LINEAR as they leave the matrix engine, which are then `a`."""


class Target(IntEnum):
    """Where results go. MEMORY: of LINEAR only. ACTIVATIONS … VALUE: of QUANTIZE only."""

    NONE = 0
    VECTOR = 1
    CONSTANT = 2
    MEMORY = 3
    ACTIVATIONS = 4
    QUERY = 5
    PROBABILITY = 6
    KEY = 7
    VALUE = 8


class Maximum(IntEnum):
    """What a pass tracks of its results in a scalar register. KEEP goes on from what the register holds."""

    NONE = 0
    MAGNITUDE = 1
    MAGNITUDE_KEEP = 2
    SIGNED = 3


@dataclass(frozen=True)
class Field:
    """`bits` bits from bit `low` of word `word` on. wide: an address of 40 bits, the rest in the next word."""

    name: str
    word: int
    low: int
    bits: int
    says: str
    enumeration: type[IntEnum] | None = None

    @property
    def limit(self) -> int:
        """The least value that does not fit."""
        return 1 << self.bits


def _address(name: str, word: int, says: str) -> Field:
    return Field(name, word, 0, 40, says)


COMMON: Final = (
    Field("opcode", 0, 0, 8, "what it is", Opcode),
    Field("lane", 0, 8, 4, "the token it is for, of those of this run; left out if there are not so many"),
    Field("wait_matrix", 0, 16, 16, "begins when the matrix engine has finished so many instructions of this run"),
    Field("wait_vector", 1, 0, 16, "… the vector engine"),
    Field("wait_attention", 1, 16, 16, "… the attention engine"),
    Field("wait_load", 2, 0, 16, "… the loader"),
)

_WEIGHTS: Final = (
    Field("bits", 3, 0, 8, "of a weight, 1 … 8"),
    Field("scale_format", 3, 8, 8, "0 `s8`, 1 `s6`, 2 `s8c8`"),
    Field("c9", 3, 16, 9, "the common zero point of `s8` and `s6` (C1)"),
    Field("row_blocks", 4, 0, 32, "of all channels together"),
    Field("tiles", 5, 0, 16, "of 32 columns in a row"),
    Field("group_tiles", 5, 16, 16, "of 32 columns in a group"),
    Field("header_words", 6, 0, 16, "beats of a block's header"),
    _address("weights", 7, "bytes: channel 0's segment"),
    Field("block_beats", 8, 8, 20, "beats of a row block"),
    Field("channel_stride", 9, 0, 32, "bytes from a channel's segment to the next"),
)

_CHANNEL_STRIDE: Final = Field("channel_stride", 12, 0, 24, "64 bytes each, from a channel's rows to the next's")

FIELDS: Final[Mapping[Opcode, Sequence[Field]]] = {
    Opcode.END: COMMON,
    Opcode.LINEAR: (
        *COMMON,
        *_WEIGHTS,
        Field(
            "operation", 10, 0, 4, "what is done to each result: COPY, ADD, ADD_CONSTANT, MULTIPLY, ACTIVATE", Operation
        ),
        Field("target", 10, 4, 4, "VECTOR or MEMORY", Target),
        Field("maximum", 10, 8, 2, "what is tracked; token m in register max_register + m", Maximum),
        Field("arg_max", 10, 10, 1, "keep the index of the largest result of each token (lowest if equal)"),
        Field("max_register", 10, 16, 6, "scalar register of token 0"),
        Field("rows", 11, 0, 32, "results that count; those of padding are written but not tracked"),
        _address("to", 12, "VECTOR: element of result 0 of token 0; MEMORY: its byte address"),
        Field("from", 14, 0, 20, "element of the second operand of result 0: b of token 0, or c"),
        Field("lane_stride", 15, 0, 32, "from token to token of `to` and b, in elements; MEMORY: bytes"),
    ),
    Opcode.VECTOR: (
        *COMMON,
        Field("operation", 3, 0, 4, "of each element", Operation),
        Field("target", 3, 4, 4, "where results go", Target),
        Field("maximum", 3, 8, 2, "what is tracked", Maximum),
        Field("bank", 3, 10, 1, "QUERY, PROBABILITY: which half is written; EXPONENTIAL: whose value scales"),
        Field("scalar_register", 3, 16, 6, "s; of QUANTIZE, SQUARES and MEAN: the largest magnitude of a"),
        Field("max_register", 3, 22, 6, "what `maximum` tracks"),
        Field("result_register", 4, 24, 6, "of SQUARES, MEAN, EXPONENTIAL"),
        Field("count", 4, 0, 20, "elements"),
        Field("to_position", 4, 20, 1, "elements: count + position + lane instead"),
        Field("a", 5, 0, 20, "first element"),
        Field("b", 6, 0, 20, "first element"),
        Field("c", 7, 0, 20, "first element"),
        Field("d", 8, 0, 20, "first element"),
        Field("to", 9, 0, 20, "first element; ACTIVATIONS: its column; QUERY: 0; PROBABILITY, KEY, VALUE: 0"),
        Field("period", 10, 0, 16, "elements after which c and d begin again; 0: never. ROTATE: of a head"),
        Field("bits", 10, 16, 8, "QUANTIZE to ACTIVATIONS: 8 … A; else 16, of KEY and VALUE 8"),
        Field("head", 10, 24, 8, "PROBABILITY: query of the group; KEY, VALUE: head of keys and values"),
        Field("k", 11, 0, 32, "immediate, fp32; SQUARES and MEAN: 1 / count"),
        Field("epsilon", 12, 0, 32, "SQUARES: fp32, added to the mean"),
        _address("rows", 13, "KEY, VALUE: bytes, where row 0 of the cache lies"),
        Field("channel_stride", 14, 8, 24, "KEY, VALUE: 64 bytes each, from a channel's rows to the next's"),
        Field("scales", 15, 0, 32, "KEY, VALUE: bytes from `rows` to the scale of row 0"),
    ),
    Opcode.SCORES: (
        *COMMON,
        Field("bank", 3, 0, 1, "of the query, and where the value scales go"),
        Field("head", 3, 8, 8, "of keys and values"),
        Field("max_register", 3, 16, 6, "of query 0; the largest score of each, signed"),
        _address("keys", 4, "bytes: row 0 of the head's keys"),
        Field("key_scales", 6, 0, 32, "bytes from `keys` to the scale of row 0"),
        _address("values", 7, "bytes: row 0 of the head's values"),
        Field("value_scales", 9, 0, 32, "bytes from `values` to the scale of row 0"),
        Field("to", 10, 0, 20, "element of query 0's first score"),
        Field("stride", 11, 0, 20, "elements from query to query"),
        _CHANNEL_STRIDE,
    ),
    Opcode.VALUES: (
        *COMMON,
        Field("bank", 3, 0, 1, "of the probabilities"),
        Field("head", 3, 8, 8, "of keys and values"),
        _address("values", 7, "bytes: row 0 of the head's values"),
        Field("to", 10, 0, 20, "element of query 0's first result; the next query's follow at once"),
        _CHANNEL_STRIDE,
    ),
    Opcode.LOAD: (
        *COMMON,
        Field("target", 3, 0, 4, "VECTOR or CONSTANT", Target),
        Field("count", 4, 0, 20, "fp32 values"),
        _address("address", 5, "bytes, of position 0"),
        Field("stride", 7, 0, 32, "bytes from position to position; 0: the same for all"),
        Field("to", 9, 0, 20, "first element"),
    ),
    Opcode.EMBED: (
        *COMMON,
        *_WEIGHTS,
        Field("to", 10, 0, 20, "first element in vector memory"),
    ),
}
"""Every field of every instruction. Elements are fp32 values, counted from the beginning of a memory."""
_BY_NAME: Final = {opcode: {field.name: field for field in fields} for opcode, fields in FIELDS.items()}


@dataclass(frozen=True)
class Instruction:
    """One instruction. values: fields other than the opcode; those left out are 0.

    Raises ElastixError for a field that the opcode has not, or a value that does not fit.
    """

    opcode: Opcode
    values: Mapping[str, int]

    def __post_init__(self) -> None:
        known = _BY_NAME[self.opcode]
        for name, value in self.values.items():
            if name not in known or name == "opcode":
                raise ElastixError(f"{self.opcode.name.lower()} has no field {name}", wanted=", ".join(known))
            if not 0 <= value < known[name].limit:
                raise ElastixError(
                    f"{self.opcode.name.lower()}: {name} = {value}", wanted=f"0 to {known[name].limit - 1}"
                )

    def __getitem__(self, name: str) -> int:
        """A field's value. Raises KeyError for a field that the opcode has not."""
        if name not in _BY_NAME[self.opcode]:
            raise KeyError(name)
        return int(self.opcode) if name == "opcode" else self.values.get(name, 0)

    @property
    def unit(self) -> Unit | None:
        """What carries it out; None for END."""
        return UNIT_OF.get(self.opcode)

    def encode(self) -> bytes:
        """Its 64 bytes."""
        number = 0
        for field in FIELDS[self.opcode]:
            number |= self[field.name] << (32 * field.word + field.low)
        return number.to_bytes(INSTRUCTION_BYTES, "little")


def decode(data: bytes) -> Instruction:
    """The inverse of `encode`. Raises ElastixError for an unknown opcode or value, and bits that mean nothing."""
    if len(data) != INSTRUCTION_BYTES:
        raise ElastixError(f"an instruction of {len(data)} bytes", wanted=f"{INSTRUCTION_BYTES}")
    number = int.from_bytes(data, "little")
    if number & 0xFF not in set(Opcode):
        raise ElastixError(f"opcode {number & 0xFF}", wanted=", ".join(f"{each} {each.name}" for each in Opcode))
    opcode = Opcode(number & 0xFF)
    values: dict[str, int] = {}
    for field in FIELDS[opcode]:
        at = 32 * field.word + field.low
        value = (number >> at) & (field.limit - 1)
        number &= ~((field.limit - 1) << at)
        if field.enumeration is not None and value not in set(field.enumeration):
            raise ElastixError(f"{opcode.name.lower()}: {field.name} = {value}", wanted=choices(field.enumeration))
        if field.name != "opcode" and value:
            values[field.name] = value
    if number:
        bit = (number & -number).bit_length() - 1
        raise ElastixError(f"{opcode.name.lower()}: bit {bit % 32} of word {bit // 32} is set", wanted="0 there")
    return Instruction(opcode, values)


def decode_program(data: bytes) -> list[Instruction]:
    """All instructions up to END, which must be the last. Raises ElastixError naming the first that is none."""
    if not data or len(data) % INSTRUCTION_BYTES:
        raise ElastixError(f"a program of {len(data)} bytes", wanted=f"a multiple of {INSTRUCTION_BYTES}, more than 0")
    program: list[Instruction] = []
    for at in range(0, len(data), INSTRUCTION_BYTES):
        try:
            program.append(decode(data[at : at + INSTRUCTION_BYTES]))
        except ElastixError as error:
            raise ElastixError(
                f"instruction {at // INSTRUCTION_BYTES}: {error.found}",
                wanted=error.wanted,
                do="compile the model again",
            ) from error
    ends = [index for index, each in enumerate(program) if each.opcode is Opcode.END]
    if ends != [len(program) - 1]:
        raise ElastixError(f"a program with END at {ends}", wanted="one END, as its last instruction")
    return program


def choices(enumeration: type[IntEnum]) -> str:
    """Its numbers and names, for people."""
    return ", ".join(f"{int(each)} {each.name}" for each in enumeration)
