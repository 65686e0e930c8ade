"""The manifest of a lowered module."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.manifest import Layer, Manifest
from elastix.compiler.program import DESCRIPTOR_BYTES, geometry, host_parameters, instructions, memory_map
from elastix.compiler.signature import arena_bytes, arguments_of, host_function, results_of
from elastix.compiler.step_function import processor_of
from elastix.dialects import host


def describe(
    module: ModuleOp,
    *,
    errors: Mapping[str, float] | None = None,
    model: Mapping[str, Any] | None = None,
    hashes: Mapping[str, str] | None = None,
) -> Manifest:
    """What the output folder of a module must say; the module being past `elx-to-host` and before `host-to-llvm`.

    errors: relative squared error of each quantized weight, by name; model: free facts; hashes: SHA-256 by file name.
    """
    with module.context:
        processor = processor_of(module).parameters()
        memory = memory_map(module)
        launched, looked_up = _readers(module)
        descriptors = [memory.program_address + index * DESCRIPTOR_BYTES for index in range(len(instructions(module)))]
        layers = [
            Layer(
                name=each.sym_name,
                weight=each.weight,
                rows=each.rows,
                columns=each.columns,
                format=str(each.format),
                address=each.weights,
                bytes=geometry(each, processor).total_bytes,
                descriptor=descriptor,
                tokens=launched[descriptor],
                error=(errors or {}).get(each.weight),
                look_ups=looked_up[descriptor],
            )
            for descriptor, each in zip(descriptors, instructions(module), strict=True)
        ]
        return Manifest(
            processor=processor,
            memory=memory,
            layers=tuple(layers),
            parameters=host_parameters(module),
            arguments=arguments_of(module),
            results=results_of(module),
            arena_bytes=arena_bytes(module),
            model=dict(model or {}),
            hashes=dict(hashes or {}),
        )


def _readers(module: ModuleOp) -> tuple[Counter[int], Counter[int]]:
    """By descriptor: tokens that a step launches it over, and rows that it looks up."""
    launched, looked_up = Counter[int](), Counter[int]()
    for op in host_function(module).regions[0].blocks[0].operations:
        match op:
            case host.LaunchOp():
                launched[op.descriptor] += op.tokens
            case host.CallOp() if op.callee == "elastix_embedding":
                descriptor, _, _, rows, _ = op.arguments()
                assert isinstance(descriptor, int) and isinstance(rows, int)
                looked_up[descriptor] += rows
            case _:
                pass
    return launched, looked_up
