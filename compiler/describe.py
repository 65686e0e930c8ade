"""The manifest of a lowered module."""

from collections.abc import Mapping
from typing import Any

from elastix.compiler.ir.core import ModuleOp
from elastix.compiler.manifest import Layer, Manifest
from elastix.compiler.program import DESCRIPTOR_BYTES, geometry, host_parameters, instructions, memory_map
from elastix.compiler.signature import arena_bytes, arguments_of, results_of
from elastix.compiler.step_function import processor_of


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
        layers = [
            Layer(
                name=each.sym_name,
                weight=each.weight,
                rows=each.rows,
                columns=each.columns,
                format=str(each.format),
                address=each.weights,
                bytes=geometry(each, processor).total_bytes,
                descriptor=memory.program_address + index * DESCRIPTOR_BYTES,
                tokens=each.tokens,
                error=(errors or {}).get(each.weight),
            )
            for index, each in enumerate(instructions(module))
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
