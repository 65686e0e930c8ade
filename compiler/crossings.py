"""What each crossing between host and processor costs, where host code computes what the processor does not."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Final

from elastix.compiler.ir.core import ModuleOp, OpView
from elastix.compiler.numbers.formats import Geometry
from elastix.compiler.processor.parameters import COLUMNS
from elastix.compiler.program import DESCRIPTOR_BYTES, geometry, instructions, memory_map
from elastix.compiler.signature import host_function
from elastix.compiler.step_function import processor_of
from elastix.dialects import host

LAUNCH_CYCLES: Final = 120
"""Of a launch beside its beats, behind a memory that answers after 16 cycles: 116 to 127 were seen on the RTL."""
SLOT_BYTES: Final = 64
"""Of a tile of activations in their image."""


@dataclass(frozen=True)
class Crossing:
    """From the activations that the host writes to the results that it reads, once in a step.

    layers: what is launched between, by name; launches: of batches of at most M tokens, 0 where the host looks up rows
    in a packed table. bytes_in: activation images; bytes_out: results, or the row blocks looked up. weight_cycles:
    beats of a channel's weights; other_cycles: descriptors, activations, LAUNCH_CYCLES.
    """

    layers: tuple[str, ...]
    launches: int
    bytes_in: int
    bytes_out: int
    weight_cycles: int
    other_cycles: int


def crossings(module: ModuleOp) -> tuple[Crossing, ...]:
    """Those of a module past `elx-to-host` and before `host-to-llvm`, in the order of the step."""
    with module.context:
        processor = processor_of(module).parameters()
        first = memory_map(module).program_address
        there = {
            first + index * DESCRIPTOR_BYTES: (each.sym_name, geometry(each, processor))
            for index, each in enumerate(instructions(module))
        }
        return tuple(_crossings(host_function(module).regions[0].blocks[0].operations, there, processor.lanes))


def _crossings(ops: Iterable[OpView], there: Mapping[int, tuple[str, Geometry]], lanes: int) -> list[Crossing]:
    """there: name and shape by the address of a descriptor."""
    found: list[Crossing] = []
    running: list[tuple[str, Geometry, int]] = []
    bytes_in = 0
    for op in ops:
        match op:
            case host.UploadOp():
                bytes_in += op.tokens * SLOT_BYTES * (-(-op.columns // COLUMNS) + 1)
            case host.LaunchOp():
                running.append((*there[op.descriptor], op.tokens))
            case host.WaitOp():
                found.append(_launched(running, lanes, bytes_in))
                running, bytes_in = [], 0
            case host.ReadBackOp():
                found[-1] = replace(found[-1], bytes_out=found[-1].bytes_out + 4 * op.tokens * op.rows)
            case host.CallOp() if op.callee == "elastix_embedding":
                descriptor, _, _, rows, _ = op.arguments()
                assert isinstance(descriptor, int) and isinstance(rows, int)
                name, table = there[descriptor]
                found.append(Crossing((name,), 0, 0, rows * table.block_beats * table.beat_bytes, 0, 0))
            case _:
                pass
    return found


def _launched(layers: Sequence[tuple[str, Geometry, int]], lanes: int, bytes_in: int) -> Crossing:
    launches = weights = others = 0
    for _, each, tokens in layers:
        batches = -(-tokens // lanes)
        launches += batches
        weights += batches * each.segment_beats()
        read = batches * DESCRIPTOR_BYTES + tokens * each.activation_bytes
        others += -(-read // each.beat_bytes) + batches * LAUNCH_CYCLES
    return Crossing(tuple(name for name, _, _ in layers), launches, bytes_in, 0, weights, others)


def crossing_figures(found: Sequence[Crossing]) -> dict[str, int]:
    """All of a step together; rows that the host looks up count as a crossing without a launch."""
    return {
        "crossings": len(found),
        "launches": sum(each.launches for each in found),
        "crossing_bytes_in": sum(each.bytes_in for each in found),
        "crossing_bytes_out": sum(each.bytes_out for each in found),
        "weight_cycles": sum(each.weight_cycles for each in found),
        "other_cycles": sum(each.other_cycles for each in found),
    }


def crossing_table(found: Sequence[Crossing]) -> list[str]:
    """Its lines; crossings alike but for the number of their block stand in one."""
    alike = Counter((_alike(each.layers), *astuple(each)[1:]) for each in found)
    columns = (
        "crossings a step",
        "of",
        "launches each",
        "bytes to the processor",
        "bytes back",
        "cycles of weights",
        "other cycles",
    )
    rows = [
        f"| {count} | {name} | {launches or 'the host looks up rows'} | "
        + " | ".join(f"{each:,}" for each in figures)
        + " |"
        for (name, launches, *figures), count in alike.items()
    ]
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]


def _alike(layers: Sequence[str]) -> str:
    return ", ".join(re.sub(r"\.\d+\.", ".*.", name) for name in layers)
