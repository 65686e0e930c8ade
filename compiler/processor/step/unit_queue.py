"""The instructions of a unit, in order, each until the units have finished what it waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache

from elastix.compiler.circuit import Module, Register, Signal, concat, mux
from elastix.compiler.processor.step.completion_counters import FINISHED_BITS
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instruction_fetch import opcodes
from elastix.compiler.processor.step.instructions import FIELDS, UNIT_OF, Opcode, Unit
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.queue import block_queue

_DISPATCH_ONLY: Mapping[Opcode, tuple[str, ...]] = {
    Opcode.LINEAR: ("weights", "block_beats", "channel_stride"),
    Opcode.SCORES: ("keys", "key_scales", "values", "value_scales"),
    Opcode.VALUES: ("values",),
    Opcode.LOAD: ("address", "stride"),
    Opcode.EMBED: ("weights", "block_beats", "channel_stride"),
}
_OF_ATTENTION = ("head", "bank", "rows", "scales")
"""Fields of VECTOR."""


def side_bits(p: StepParameters, unit: Unit) -> dict[str, int]:
    """What a unit gets beside its instruction: names and bits."""
    match unit:
        case Unit.MATRIX:
            return {"blocks": 32, "more": 6}
        case Unit.LOAD:
            return {"channel": 6, "slice": 4} if "embed" in p.features else {}
        case _:
            return {"position": ELEMENT_BITS}


def _opcodes(p: StepParameters, unit: Unit) -> list[Opcode]:
    return [opcode for opcode in opcodes(p) if UNIT_OF.get(opcode) is unit]


def kept_bits(p: StepParameters, unit: Unit) -> list[int]:
    """The bits of an instruction that its unit looks at, in rising order; of opcodes, what tells the unit's apart."""
    own = _opcodes(p, unit)
    kept = {bit for bit in range(3) if len({opcode >> bit & 1 for opcode in own}) > 1}
    for opcode in own:
        left_out = {"opcode", *_DISPATCH_ONLY.get(opcode, ())}
        if opcode is Opcode.VECTOR and "attention" not in p.features:
            left_out |= {*_OF_ATTENTION}
        for each in FIELDS[opcode]:
            if not each.name.startswith("wait_") and each.name not in left_out:
                kept |= set(range(32 * each.word + each.low, 32 * each.word + each.low + each.bits))
    return sorted(kept)


def _runs(bits: Sequence[int]) -> list[tuple[int, int]]:
    """Neighbouring bits together: (first, one past the last)."""
    runs = list[tuple[int, int]]()
    for bit in bits:
        if runs and runs[-1][1] == bit:
            runs[-1] = (runs[-1][0], bit + 1)
        else:
            runs.append((bit, bit + 1))
    return runs


@cache
def unit_queue(p: StepParameters, unit: Unit) -> Module:
    """The instructions of a unit, in order, each until the units have finished what it waits for.

    push, while `room`: in_instruction, skip, in_… as side_bits names. begin, taken, instruction, …: out; fields
    that only dispatch looks at hold anything. finished_<unit>: instructions finished in this run. `skipped` (pulse):
    an instruction with `skip` came to its place: its counts reached, all earlier ones finished. `idle`: all that was
    pushed is finished. clear (pulse): empty, nothing begun.
    """
    m = Module(f"{unit.name.lower()}_queue", unit_queue.__doc__, asdict(p))
    clear, push, skip, taken = m.input("clear"), m.input("push"), m.input("skip"), m.input("taken")
    instruction = m.input("in_instruction", INSTRUCTION_BITS)
    m.unused(instruction)
    sides = {name: m.input(f"in_{name}", width) for name, width in side_bits(p, unit).items()}
    finished = [m.input(f"finished_{other.name.lower()}", FINISHED_BITS) for other in Unit]
    # The waits are common fields, whatever the opcode.
    waits = [field(instruction, Opcode.END, f"wait_{other.name.lower()}") for other in Unit]
    runs = _runs(kept_bits(p, unit))
    parts = [skip, *waits, *sides.values(), *(instruction[low:high] for low, high in runs)]

    load = m.wire("load", 1)
    words = m.instance(
        "words",
        block_queue(sum(part.width for part in parts)),
        clear=clear,
        push=push,
        push_data=concat(*reversed(parts)),
        take=load,
    )
    m.output("room", words["room"])
    head = list[Signal]()
    for part in parts:
        low = sum(each.width for each in head)
        head.append(words["data"][low : low + part.width])

    # The head waits in registers, so that counts are compared and the unit looks at it without the memory's delay.
    present = m.state("present", 1, reset=0)
    names = ["skip", *(f"wait_{other.name.lower()}" for other in Unit), *sides, *(f"bits_{low}" for low, _ in runs)]
    held = [m.register(f"head_{name}", value, enable=load) for name, value in zip(names, head, strict=True)]
    skip_head, wait_head = held[0], held[1 : 1 + len(waits)]
    leaving = m.wire("leaving", 1)
    load.assign(words["valid"] & (~present | leaving) & ~clear)
    present.next(~clear & (load | (present & ~leaving)))
    counts_reached = concat(*(done >= wait for done, wait in zip(finished, wait_head, strict=True))).all()
    # Two registers, since the units are far: `begin` goes to them without a gate.
    reaches = m.named("reaches", present & ~leaving & ~clear & counts_reached)
    begin = m.register("begin_now", reaches & ~skip_head, reset=0)
    skipping = m.register("skipping", reaches & skip_head, reset=0)
    given: Register = m.state("given", FINISHED_BITS, reset=0)
    none_under_way = m.named("none_under_way", finished[unit] == given)
    # A cycle late does no harm: a head is never reached in its first cycle.
    earlier_finished = m.register("earlier_finished", none_under_way)
    skipped = m.named("skipped_now", skipping & earlier_finished)
    leaving.assign((begin & taken) | skipped)
    given.next(mux(clear, 0, given + 1), enable=clear | leaving)

    m.output("begin", begin)
    m.output("skipped", skipped)
    m.output("idle", words["empty"] & ~present & none_under_way)
    for name, value in zip(sides, held[1 + len(waits) :], strict=False):
        m.output(name, value)
    m.output("instruction", _instruction(m, _opcodes(p, unit), runs, held[1 + len(waits) + len(sides) :]))
    return m


def _instruction(m: Module, own: Sequence[Opcode], runs: Sequence[tuple[int, int]], values: Sequence[Signal]) -> Signal:
    """The 512 bits, with zeros where none were kept; of the opcode, what all of the unit's have in common."""
    common = int(own[0])
    for opcode in own:
        common &= opcode
    parts, at = list[Signal](), 0

    def constant(low: int, high: int) -> None:
        if high > low:
            parts.append(m.constant(common >> low & ((1 << (high - low)) - 1), high - low))

    for (low, high), value in zip(runs, values, strict=True):
        constant(at, low)
        parts.append(value)
        at = high
    constant(at, INSTRUCTION_BITS)
    return concat(*reversed(parts))
