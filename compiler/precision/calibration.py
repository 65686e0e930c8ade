# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""What calibrating a model left in a folder: hidden states, moments of every layer's input.

Each file is written whole and then given its name, so what has its name is finished.
"""

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from elastix.compiler.errors import ElastixError
from elastix.compiler.precision.streamed_model import StreamedModel

Float32 = NDArray[np.float32]

_KEY: Final = "calibration.json"
_PATTERNS: Final = (_KEY, "hidden-*.npy", "moments-*.safetensors", "*.part")


@dataclass(frozen=True)
class Calibration:
    """The results of `calibrate`, read from its folder when asked for.

    tokens: how many the sums run over. Raises ElastixError for a source or name that the model does not have.
    """

    folder: Path
    tokens: int
    block_of: Mapping[str, int]

    def hidden(self, block: int) -> Tensor:
        """What a block is given, fp32 [W, T, D], mapped from its file; the number of blocks means what the head is."""
        return mapped(hidden_file(self.folder, block))

    def moments(self, source: str) -> Float32:
        """Σ x xᵀ over all tokens, [K, K], of what the sites of a source read; symmetric in every bit."""
        if source not in self.block_of:
            raise ElastixError(f"no layer {source} in the calibration in {self.folder}", wanted="a layer of its model")
        path = moments_file(self.folder, self.block_of[source])
        with safe_open(path, framework="numpy") as file:
            if source not in set(file.keys()):
                raise ElastixError(f"no {source} in {path}", wanted="the source of a site")
            return file.get_tensor(source)


def hidden_file(folder: Path, block: int) -> Path:
    """The hidden state before a block."""
    return folder / f"hidden-{block:03}.npy"


def moments_file(folder: Path, block: int) -> Path:
    """Second moments of a block's inputs; that of the number of blocks is the head's."""
    return folder / f"moments-{block:03}.safetensors"


def mapped(path: Path) -> Tensor:
    """An array's file as a tensor; its pages are read when touched."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))


@contextmanager
def new_array(path: Path, shape: tuple[int, ...]) -> Generator[Float32]:
    """An fp32 array to fill, which is in its file, under its name, behind the block."""
    part = path.with_suffix(".part")
    array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
    yield array
    array.flush()
    del array
    part.replace(path)


def save(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors to a file."""
    part = path.with_suffix(".part")
    save_file(dict(tensors), part)
    part.replace(path)


def prepare(folder: Path, model: StreamedModel, windows: Tensor) -> None:
    """Make the folder ready to go on with, if it holds results for the same model and text, or to begin anew."""
    folder.mkdir(parents=True, exist_ok=True)
    key = json.dumps(_key(model, windows), indent=1)
    file = folder / _KEY
    if file.is_file() and file.read_text(encoding="utf-8") == key:
        return
    for pattern in _PATTERNS:
        for old in folder.glob(pattern):
            old.unlink()
    file.write_text(key, encoding="utf-8")


def _key(model: StreamedModel, windows: Tensor) -> dict[str, Any]:
    """What results depend on; a file of weights stands for its values by its size and time."""
    files = [model.path] if model.path.is_file() else sorted(model.path.glob("*.safetensors"))
    files = files if model.path.is_file() else [*files, model.path / "config.json"]
    states = [(file, file.stat()) for file in files]
    return {
        "model": str(model.path.resolve()),
        "files": [[file.name, state.st_size, state.st_mtime_ns] for file, state in states],
        "rotate": model.rotate,
        "windows": list(windows.shape),
        "text": hashlib.sha256(windows.numpy().tobytes()).hexdigest(),
    }
