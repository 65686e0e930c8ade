"""Instructions of the step processor as text, and their reference, both from the table of fields."""

from collections.abc import Iterator, Sequence

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step import instructions
from elastix.compiler.processor.step.instructions import (
    COMMON,
    FIELDS,
    UNIT_OF,
    Field,
    Instruction,
    Maximum,
    Opcode,
    Operation,
    Target,
    choices,
)


def to_text(instruction: Instruction) -> str:
    """`vector operation=ADD target=VECTOR a=0x40 …`: the fields that are not 0, in the order of the table."""
    return " ".join([instruction.opcode.name.lower(), *_spelled(instruction)])


def _spelled(instruction: Instruction) -> Iterator[str]:
    for field in FIELDS[instruction.opcode][1:]:
        value = instruction[field.name]
        if field.enumeration is not None and (value or field.name == "operation"):
            yield f"{field.name}={field.enumeration(value).name}"
        elif value:
            yield f"{field.name}={value:#x}" if field.bits >= 20 else f"{field.name}={value}"


def from_text(line: str) -> Instruction:
    """The inverse of `to_text`. Raises ElastixError for a name or number that it does not know."""
    mnemonic, *words = line.split()
    names = {each.name.lower(): each for each in Opcode}
    if mnemonic not in names:
        raise ElastixError(f"instruction {mnemonic}", wanted=", ".join(names))
    opcode = names[mnemonic]
    fields = {field.name: field for field in FIELDS[opcode]}
    values: dict[str, int] = {}
    for word in words:
        name, _, value = word.partition("=")
        enumeration = fields[name].enumeration if name in fields else None
        try:
            values[name] = int(enumeration[value]) if enumeration else int(value, 0)
        except (KeyError, ValueError) as error:
            wanted = choices(enumeration) if enumeration else "a number"
            raise ElastixError(f"{mnemonic}: {word}", wanted=wanted) from error
    return Instruction(opcode, values)


def reference() -> str:
    """The instruction set as a page of Markdown."""
    lines = ["# Instructions", "", (instructions.__doc__ or "").strip().split("\n", 2)[2].strip(), ""]
    lines += ["## Fields of every instruction", "", *_table(COMMON)]
    for opcode in Opcode:
        own = [field for field in FIELDS[opcode] if field not in COMMON]
        unit = UNIT_OF.get(opcode)
        where = f", on the {unit.name.lower()} unit" if unit is not None else ""
        lines += ["", f"## {int(opcode)} {opcode.name}{where}", "", *(_table(own) if own else ["No further fields."])]
    for enumeration in (Operation, Target, Maximum):
        lines += ["", f"## {enumeration.__name__}", "", choices(enumeration)]
    return "\n".join(lines) + "\n"


def _table(fields: Sequence[Field]) -> Iterator[str]:
    yield "| field | word | bits | says |"
    yield "|---|---|---|---|"
    for field in fields:
        word = f"{field.word}, {field.word + 1}" if field.low + field.bits > 32 else f"{field.word}"
        bits = "39…0" if field.bits == 40 else f"{field.low + field.bits - 1}…{field.low}"
        yield f"| {field.name} | {word} | {bits} | {field.says} |"
