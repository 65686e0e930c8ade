"""A compiled model that can be called: device memory, caches and arena around the compiled step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.arena import ALIGNMENT
from elastix.compiler.errors import ElastixError
from elastix.compiler.host_program import LLVM_FILE, HostProgram
from elastix.compiler.manifest import Manifest, Tensor, load_manifest
from elastix.runtime.device import Device, Engine, Memory

Array = NDArray[Any]
WEIGHTS_FILE: Final = "weights.bin"
PROGRAM_FILE: Final = "program.bin"
HOST_FOLDER: Final = "host"


class Program:
    """A step with its device and caches. `program(ids=…)` gives the outputs by name; caches go on from call to call."""

    def __init__(
        self,
        manifest: Manifest,
        step: HostProgram,
        weights: Path | Memory | bytes,
        program: bytes,
        engine: Engine | None = None,
    ) -> None:
        """weights: `weights.bin`, a file or its bytes; engine: the emulator, unless another is given.

        Raises ElastixError for too little memory and for files that do not fit the manifest.
        """
        self.manifest = manifest
        self._step = step
        memory = manifest.memory
        size = weights.stat().st_size if isinstance(weights, Path) else len(weights)
        if (size, len(program)) != (memory.weights_bytes, memory.program_bytes):
            raise ElastixError(
                f"{size} bytes of weights and {len(program)} of program",
                wanted=f"{memory.weights_bytes} and {memory.program_bytes}, as the manifest says",
            )
        self.device = Device(manifest.processor, memory.size, memory.patch, engine)
        self.device.load(0, weights)
        self.device.load(memory.program_address, program)
        self.caches = {each.name: _zeros(each) for each in manifest.arguments if each.kind == "cache"}
        self._arena = np.zeros(manifest.arena_bytes + ALIGNMENT, np.uint8)
        address = self._arena.ctypes.data
        self._arena_address = address + -address % ALIGNMENT

    @classmethod
    def load(cls, folder: Path, engine: Engine | None = None) -> "Program":
        """The program in an output folder. Raises ElastixError if a file is missing or is not the manifest's."""
        manifest = load_manifest(folder)
        step = HostProgram.from_text((folder / HOST_FOLDER / LLVM_FILE).read_text(encoding="utf-8"))
        return cls(manifest, step, folder / WEIGHTS_FILE, (folder / PROGRAM_FILE).read_bytes(), engine)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a call must bring, in order."""
        return tuple(each for each in self.manifest.arguments if each.kind == "input")

    def reset(self) -> None:
        """Empty the caches."""
        for cache in self.caches.values():
            cache[...] = 0

    def __call__(self, **inputs: Array) -> dict[str, Array]:
        """Run the step once. `run` takes names that are no identifiers."""
        return self.run(inputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name, new arrays. A cache among the inputs is used, and written, instead of the program's own.

        Raises ElastixError for a name, shape or type that is not the manifest's, and for an error of the device.
        """
        arguments = [self._argument(each, inputs) for each in self.manifest.arguments]
        if unknown := set(inputs) - {each.name for each in self.manifest.arguments}:
            wanted = ", ".join(each.name for each in self.inputs) or "no inputs"
            raise ElastixError(f"an input {min(unknown)!r}", wanted=wanted)
        results = {each.name: np.empty(each.shape, each.dtype) for each in self.manifest.results}
        self._step(
            self.device.address,
            self.device.base,
            self._arena_address,
            [each.ctypes.data for each in arguments],
            [each.ctypes.data for each in results.values()],
        )
        self.device.raise_error()
        return results

    def _argument(self, tensor: Tensor, inputs: Mapping[str, Array]) -> Array:
        if tensor.kind == "cache":
            cache = inputs.get(tensor.name, self.caches[tensor.name])
            flags = cache.flags
            if not _fits(cache, tensor) or not flags.c_contiguous or not flags.writeable:
                raise _refused(tensor, cache)
            return cache
        if tensor.name not in inputs:
            raise ElastixError(f"no input {tensor.name!r}", wanted=_spell(tensor))
        value = np.asarray(inputs[tensor.name])
        if value.shape != tensor.shape or not np.can_cast(value.dtype, tensor.dtype, "same_kind"):
            raise _refused(tensor, value)
        return np.ascontiguousarray(value, tensor.dtype)


def _zeros(tensor: Tensor) -> Array:
    return np.zeros(tensor.shape, tensor.dtype)


def _fits(array: Array, tensor: Tensor) -> bool:
    return array.shape == tensor.shape and array.dtype == np.dtype(tensor.dtype)


def _spell(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"


def _refused(tensor: Tensor, array: Array) -> ElastixError:
    found = f"{tensor.kind} {tensor.name!r} is {array.dtype} {list(array.shape)}"
    writable = ", dense and writable" if tensor.kind == "cache" else ""
    return ElastixError(found, wanted=_spell(tensor) + writable)
