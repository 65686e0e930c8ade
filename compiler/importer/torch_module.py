"""Any torch.nn.Module with example inputs; its weights stay where the module has them."""

from collections.abc import Sequence

import torch

from elastix.compiler.importer.exported import Input, export
from elastix.compiler.importer.imported import Imported
from elastix.compiler.importer.store import (
    Array,
    ArrayStore,
    NamedStore,
    as_float32,
    bfloat16_as_float32,
    merge,
    no_such_weight,
)


class ModuleStore:
    """The parameters and buffers of a module, converted when read."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._tensors: dict[str, torch.Tensor] = {
            **dict(module.named_parameters(remove_duplicate=False)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
        self._where = type(module).__name__

    def names(self) -> list[str]:
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._get(name).shape)

    def dtype(self, name: str) -> str:
        return str(self._get(name).dtype).removeprefix("torch.")

    def read(self, name: str) -> Array:
        return tensor_values(self._get(name))

    def _get(self, name: str) -> torch.Tensor:
        if name not in self._tensors:
            raise no_such_weight(name, self._where)
        return self._tensors[name]


def tensor_values(tensor: torch.Tensor) -> Array:
    """The values of a tensor as the stores give them: float32, or the stored type of integers and bools."""
    plain = tensor.detach().cpu().contiguous()
    if plain.dtype == torch.bfloat16:
        return bfloat16_as_float32(plain.view(torch.uint16).numpy())
    return as_float32(plain.numpy())


def import_module(module: torch.nn.Module, inputs: Sequence[torch.Tensor], input_names: Sequence[str] = ()) -> Imported:
    """The forward of `module`, traced on example inputs of fixed shapes.

    Raises CannotCompile with the user's line if it cannot be traced.
    """
    exported = export(module, inputs, named=[Input(name) for name in input_names])
    names = [a.name for a in exported.arguments if a.kind in ("weight", "buffer")]
    every = merge(ArrayStore(exported.constants), ModuleStore(module), where=type(module).__name__)
    store = NamedStore({name: (every, name) for name in names}, type(module).__name__)
    return Imported(exported.module, exported.entry, store, exported.arguments, exported.results)
