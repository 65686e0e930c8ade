"""Which instructions a step processor of given parameters carries out; all others are refused before they begin."""

from collections.abc import Iterator

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.oracle import ENTRIES
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import (
    DRAIN_OPERATIONS,
    INSTRUCTION_BYTES,
    Instruction,
    Maximum,
    Opcode,
    Operation,
    Target,
)
from elastix.compiler.processor.step.parameters import SCALAR_REGISTERS, StepParameters

_ELEMENTS = {
    Opcode.LINEAR: ("from",),
    Opcode.VECTOR: ("a", "b", "c", "d", "to"),
    Opcode.SCORES: ("to", "stride"),
    Opcode.VALUES: ("to",),
    Opcode.LOAD: ("to",),
    Opcode.EMBED: ("to",),
}
"""Fields that count elements of vector or constant memory, whether or not the operation looks at them."""
_ATTENTION_TARGETS = (Target.QUERY, Target.PROBABILITY, Target.KEY, Target.VALUE)
_INTEGER_TARGETS = (Target.ACTIVATIONS, *_ATTENTION_TARGETS)
_FEATURE_OF = {
    Operation.ROTATE: "rotate",
    Operation.NORMALIZE_SHIFT: "normalize_shift",
    Operation.MEAN: "mean",
    Operation.EXPONENTIAL: "attention",
}


def check_instruction(instruction: Instruction, parameters: StepParameters) -> None:
    """Raises ElastixError that says the first thing wrong with an instruction for these parameters."""
    for found, wanted in _faults(instruction, parameters):
        raise ElastixError(f"{to_text(instruction)}: {found}", wanted=wanted)


def _faults(instruction: Instruction, p: StepParameters) -> Iterator[tuple[str, str]]:
    opcode = instruction.opcode
    for feature in _features(instruction):
        if feature not in p.features:
            yield f"no feature {feature}", f"one of {', '.join(p.features)}"
    for name in _ELEMENTS.get(opcode, ()):
        if instruction[name] % p.alignment:
            yield f"{name} {instruction[name]}", f"a multiple of {p.alignment}"
    yield from _address_faults(instruction, p.beat // 8)
    if opcode in (Opcode.LINEAR, Opcode.EMBED):
        yield from _weight_faults(instruction, p)
    if opcode is Opcode.LINEAR:
        yield from _linear_faults(instruction, p)
    elif opcode is Opcode.VECTOR:
        yield from _vector_faults(instruction, p)
    elif opcode in (Opcode.SCORES, Opcode.VALUES) and instruction["head"] >= p.kv_heads:
        yield f"head {instruction['head']}", f"below {p.kv_heads}"
    if opcode is Opcode.SCORES and instruction["max_register"] + p.group > SCALAR_REGISTERS:
        yield f"max_register {instruction['max_register']}", f"at most {SCALAR_REGISTERS - p.group}"
    if opcode is Opcode.LOAD and instruction["target"] not in (Target.VECTOR, Target.CONSTANT):
        yield f"target {Target(instruction['target']).name}", "VECTOR or CONSTANT"
    if opcode in (Opcode.VECTOR, Opcode.LOAD) and not instruction["count"]:
        yield "0 elements", "at least 1"


def _features(instruction: Instruction) -> Iterator[str]:
    opcode = instruction.opcode
    if opcode in (Opcode.SCORES, Opcode.VALUES):
        yield "attention"
    elif opcode is Opcode.EMBED:
        yield "embed"
    elif opcode is Opcode.LINEAR and instruction["arg_max"]:
        yield "arg_max"
    elif opcode is Opcode.VECTOR:
        if instruction["operation"] in _FEATURE_OF:
            yield _FEATURE_OF[Operation(instruction["operation"])]
        if instruction["target"] in _ATTENTION_TARGETS:
            yield "attention"


def _address_faults(instruction: Instruction, beat_bytes: int) -> Iterator[tuple[str, str]]:
    """Addresses in memory: rows of codes and weights at whole beats, scales and constants at 64 bytes."""
    match instruction.opcode:
        case Opcode.LINEAR | Opcode.EMBED:
            aligned = {name: (instruction[name], beat_bytes) for name in ("weights", "channel_stride")}
        case Opcode.LOAD:
            aligned = {name: (instruction[name], INSTRUCTION_BYTES) for name in ("address", "stride")}
        case Opcode.SCORES:
            aligned = {name: (instruction[name], beat_bytes) for name in ("keys", "values")}
            aligned["key_scales"] = (instruction["keys"] + instruction["key_scales"], 64)
            aligned["value_scales"] = (instruction["values"] + instruction["value_scales"], 64)
        case Opcode.VALUES:
            aligned = {"values": (instruction["values"], beat_bytes)}
        case Opcode.VECTOR if instruction["target"] in (Target.KEY, Target.VALUE):
            aligned = {"rows": (instruction["rows"], beat_bytes)}
            aligned["scales"] = (instruction["rows"] + instruction["scales"], 64)
        case _:
            return
    for name, (address, unit) in aligned.items():
        if address % unit:
            yield f"{name} at {address:#x}", f"a multiple of {unit} bytes"


def _weight_faults(instruction: Instruction, p: StepParameters) -> Iterator[tuple[str, str]]:
    bits, form = instruction["bits"], instruction["scale_format"]
    tiles, group_tiles = instruction["tiles"], instruction["group_tiles"]
    if not 1 <= bits <= 8:
        yield f"{bits} bits", "1 to 8"
    if form >= len(ENTRIES):
        yield f"scale format {form}", f"0 to {len(ENTRIES) - 1}"
    if not instruction["row_blocks"] or not 1 <= group_tiles <= 8:
        yield f"{instruction['row_blocks']} row blocks, groups of {group_tiles} tiles", "at least one, groups of 1 to 8"
    if not 1 <= tiles <= p.max_tiles:
        yield f"{tiles} tiles", f"1 to {p.max_tiles}"
    entry = sum(ENTRIES[form])
    header = 1 + -(-max(-(-tiles // group_tiles) - 16 // entry, 0) // (32 // entry))
    if (instruction["header_words"], instruction["block_beats"]) != (header, header + bits * tiles):
        found = f"{instruction['header_words']} header words, {instruction['block_beats']} beats a block"
        yield found, f"{header} and {header + bits * tiles}"


def _linear_faults(instruction: Instruction, p: StepParameters) -> Iterator[tuple[str, str]]:
    operation, target = Operation(instruction["operation"]), Target(instruction["target"])
    if operation not in DRAIN_OPERATIONS:
        yield f"operation {operation.name}", ", ".join(each.name for each in DRAIN_OPERATIONS)
    if operation is Operation.ACTIVATE and not p.activations:
        yield "operation ACTIVATE", "an activation among the parameters"
    if target not in (Target.VECTOR, Target.MEMORY):
        yield f"target {target.name}", "VECTOR or MEMORY"
    if instruction["arg_max"] and operation is not Operation.COPY:
        yield f"arg max of {operation.name}", "COPY"
    if target is Target.MEMORY and operation is not Operation.COPY:
        yield f"operation {operation.name} on the way to MEMORY", "COPY"
    if target is Target.MEMORY and instruction["maximum"] != Maximum.NONE:
        yield f"maximum {Maximum(instruction['maximum']).name} of results to MEMORY", "NONE"
    unit = p.beat // 8 if target is Target.MEMORY else p.alignment
    if instruction["to"] % unit or instruction["lane_stride"] % unit:
        yield f"to {instruction['to']:#x}, lane_stride {instruction['lane_stride']:#x}", f"multiples of {unit}"
    if instruction["rows"] > instruction["row_blocks"] * p.rows:
        yield f"{instruction['rows']} rows", f"at most {instruction['row_blocks'] * p.rows}"
    if instruction["maximum"] and instruction["max_register"] + p.lanes > SCALAR_REGISTERS:
        yield f"max_register {instruction['max_register']}", f"at most {SCALAR_REGISTERS - p.lanes}"


def _vector_faults(instruction: Instruction, p: StepParameters) -> Iterator[tuple[str, str]]:
    operation, target = Operation(instruction["operation"]), Target(instruction["target"])
    count, period = instruction["count"], instruction["period"]
    if period % p.alignment:
        yield f"period {period}", f"a multiple of {p.alignment}"
    if operation is Operation.QUANTIZE:
        yield from _quantize_faults(instruction, target, p)
    elif target not in (Target.NONE, Target.VECTOR, Target.CONSTANT):
        yield f"{operation.name} to {target.name}", "NONE, VECTOR or CONSTANT"
    if operation in (Operation.QUANTIZE, Operation.SQUARES, Operation.MEAN) and instruction["maximum"]:
        yield f"{operation.name} with maximum {Maximum(instruction['maximum']).name}", "NONE"
    if operation in (Operation.SQUARES, Operation.MEAN) and target is not Target.NONE:
        yield f"{operation.name} to {target.name}", "NONE"
    if operation is Operation.ACTIVATE and not p.activations:
        yield "operation ACTIVATE", "an activation among the parameters"
    if operation is Operation.ROTATE and (instruction["to_position"] or period != p.head_dim or count % period):
        yield f"ROTATE of {count} elements by {period}", f"whole heads of {p.head_dim} elements"


def _quantize_faults(instruction: Instruction, target: Target, p: StepParameters) -> Iterator[tuple[str, str]]:
    if target not in _INTEGER_TARGETS:
        yield f"QUANTIZE to {target.name}", ", ".join(each.name for each in _INTEGER_TARGETS)
    bits = range(8, p.activation_bits + 1) if target is Target.ACTIVATIONS else (16,)
    bits = (8,) if target in (Target.KEY, Target.VALUE) else bits
    if instruction["bits"] not in bits:
        yield f"QUANTIZE to {instruction['bits']} bits", " or ".join(map(str, bits))
    heads = {Target.PROBABILITY: p.group, Target.KEY: p.kv_heads, Target.VALUE: p.kv_heads}.get(target, 256)
    if instruction["head"] >= heads:
        yield f"head {instruction['head']}", f"below {heads}"
    if instruction["to"] % 32 if target is Target.ACTIVATIONS else instruction["to"]:
        yield f"to {instruction['to']}", "a multiple of 32" if target is Target.ACTIVATIONS else "0"
    count = {Target.QUERY: p.group * p.head_dim, Target.KEY: p.head_dim, Target.VALUE: p.head_dim}.get(target)
    if count is not None and (instruction["count"] != count or instruction["to_position"]):
        yield f"{instruction['count']} elements", f"{count}"
