"""The rounded weights of a plan folder: `weights.safetensors`, written layer by layer and read from the memory map.

Per layer of the plan: `NAME#codes` U8 [N, K], `NAME#scales` U8 [N, groups], `NAME#rowscale` U16 [N] (bf16 patterns, as
in numbers/pack.py), `NAME#zeros` U8 [N, groups] where its format has zero points, and `NAME#sample` F64 [2]: Σ(w − ŵ)²
and Σw² over some of the rows, by which weights of another model are known. The metadata has `version`, and as JSON
`formats` of the layers by name and `model`, the shapes of the model's matrices.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import NoCodes
from elastix.compiler.importer.views import stored_name
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.plan import WEIGHTS_FILE, Plan
from elastix.compiler.numbers.quantize import Quantized, dequantize

F32 = NDArray[np.float32]
VERSION: Final = "1"
NOT_AS_PLANNED: Final = "the plan's weights"
"""How the reason begins why a layer's codes are not those of its plan folder."""
_SAME: Final = 1e-3
"""How far a layer's error may be from the one noted: fp32 weights that were computed elsewhere differ by less."""
_DTYPES: Final = {"U8": np.uint8, "U16": np.uint16, "F64": np.float64}
_ALIGNMENT: Final = 8
_SAMPLED_ROWS: Final = 64


def with_losses(w: F32, rows: QuantizedRows) -> Quantized:
    """Rows with what they lost of the weights [N, K] that they were rounded from."""
    lost, wide = (w - dequantize(rows)).astype(np.float64), w.astype(np.float64)
    error, energy = (float(np.einsum("rk,rk->", each, each)) for each in (lost, wide))
    return Quantized(rows, error, energy)


def _sample(w: F32, rows: QuantizedRows) -> tuple[float, float]:
    some = slice(0, None, max(len(w) // _SAMPLED_ROWS, 1))
    zeros = None if rows.zeros is None else rows.zeros[some]
    part = QuantizedRows(rows.format, rows.codes[some], rows.scales[some], rows.rowscale[some], zeros)
    found = with_losses(np.ascontiguousarray(w[some]), part)
    return found.error, found.energy


@dataclass(frozen=True)
class RoundedLayer:
    """A layer's name with its format and shape [N, K]."""

    name: str
    format: Format
    shape: tuple[int, int]

    def tensors(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Element type and shape of each tensor that the file has of it."""
        rows, columns = self.shape
        groups = -(-columns // self.format.group)
        found: dict[str, tuple[str, tuple[int, ...]]] = {
            "sample": ("F64", (2,)),
            "rowscale": ("U16", (rows,)),
            "scales": ("U8", (rows, groups)),
            "codes": ("U8", self.shape),
        }
        return found | ({"zeros": ("U8", (rows, groups))} if self.format.zero == "asymmetric" else {})


class Store(Protocol):
    """What is needed of a weight store (compiler/importer/store.py)."""

    def names(self) -> list[str]: ...
    def shape(self, name: str) -> tuple[int, ...]: ...
    def read(self, name: str) -> NDArray[Any]: ...


def write_weights(
    path: Path, layers: Sequence[RoundedLayer], rounded: Callable[[str], QuantizedRows], store: Store
) -> None:
    """Write the file layer by layer: `rounded` and the store are asked for one at a time, in the order given.

    Raises ElastixError for rows that are not in their layer's format or shape.
    """
    metadata = {
        "version": VERSION,
        "formats": json.dumps({each.name: str(each.format) for each in layers}),
        "model": json.dumps(_matrices(store)),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for layer in layers:
        for part, (dtype, shape) in layer.tensors().items():
            begin, end = end, end + int(np.prod(shape)) * np.dtype(_DTYPES[dtype]).itemsize
            header[f"{layer.name}#{part}"] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for layer in layers:
            rows = rounded(layer.name)
            if rows.format != layer.format or rows.codes.shape != layer.shape:
                found = f"{layer.name} rounded to {list(rows.codes.shape)} in {rows.format}"
                raise ElastixError(found, wanted=f"{list(layer.shape)} in {layer.format}, as planned")
            arrays = {
                "sample": np.array(_sample(store.read(layer.name), rows)),
                "rowscale": rows.rowscale,
                "scales": rows.scales,
                "codes": rows.codes,
                "zeros": rows.zeros,
            }
            for part, (dtype, _) in layer.tensors().items():
                file.write(np.ascontiguousarray(arrays[part], np.dtype(_DTYPES[dtype]).newbyteorder("<")).tobytes())


def _matrices(store: Store) -> dict[str, list[int]]:
    return {name: list(shape) for name in store.names() if len(shape := store.shape(name)) == 2}


class PlanWeights:
    """The file, open; nothing is read before `rows`. Raises ElastixError if it is none, or not there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / WEIGHTS_FILE
        try:
            self._file = cast(Any, safe_open(str(self.path), "np"))
            self._tensors = set(cast(list[str], self._file.keys()))
            metadata = cast(dict[str, str], self._file.metadata() or {})
            if metadata.get("version") != VERSION:
                raise ValueError(f"version {metadata.get('version')}")
            texts = cast(dict[str, str], json.loads(metadata["formats"]))
            self.formats = {name: Format.parse(text) for name, text in texts.items()}
            self._model = cast(dict[str, list[int]], json.loads(metadata["model"]))
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise ElastixError(
                f"{self.path} holds no rounded weights: {error}",
                wanted=f"version {VERSION}, as `elastix quantize` writes it",
                do="quantize the model again",
            ) from error

    def rows(self, name: str, form: Format) -> QuantizedRows | NoCodes:
        """A layer's integers; or why there are none in this format, as the end of a sentence."""
        if name not in self.formats:
            return NoCodes(f"{NOT_AS_PLANNED} do not have it")
        if self.formats[name] != form:
            return NoCodes(f"{NOT_AS_PLANNED} have it in {self.formats[name]}")
        zeros = self._read(name, "zeros") if form.zero == "asymmetric" else None
        codes, scales, rowscale = (self._read(name, part) for part in ("codes", "scales", "rowscale"))
        return QuantizedRows(form, codes, scales, rowscale, zeros)

    def check_model(self, names: Sequence[str], shape: Callable[[str], tuple[int, ...]]) -> None:
        """Raise ElastixError unless these are layers of the model that the weights come from, and all that they have.

        shape: of a stored tensor.
        """
        for name in names:
            stored = stored_name(name)
            if stored not in self._model:
                raise self._other(f"the model has a matrix {stored}, and that of {self.path} has none")
            if tuple(self._model[stored]) != shape(stored):
                here, there = list(shape(stored)), self._model[stored]
                raise self._other(
                    f"{stored} is of shape {here} in the model, and of shape {there} in that of {self.path}"
                )
        if missing := [name for name in self.formats if name not in names]:
            raise self._other(f"{self.path} has a layer {missing[0]}, and the model none")

    def check_weights(self, name: str, w: F32, rows: QuantizedRows) -> None:
        """Raise ElastixError if these are not the weights that were rounded to `rows`."""
        if w.shape != rows.codes.shape:
            raise self._other(f"{name} is of shape {list(w.shape)}, and in {self.path} of {list(rows.codes.shape)}")
        noted, found = (float(each) for each in self._read(name, "sample")), _sample(w, rows)
        if not np.allclose(list(noted), found, rtol=_SAME, atol=_SAME * 1e-9 * found[1]):
            raise self._other(f"{self.path} was rounded from other weights: {name}")

    def _other(self, found: str) -> ElastixError:
        return ElastixError(found, wanted="a plan made for this model", do="run `elastix quantize` on this model")

    def _read(self, name: str, part: str) -> NDArray[Any]:
        if f"{name}#{part}" not in self._tensors:
            raise ElastixError(
                f"{self.path} has no {name}#{part}", wanted="a whole file", do="quantize the model again"
            )
        return cast(NDArray[Any], self._file.get_tensor(f"{name}#{part}"))


def weights_of(plan: Plan) -> PlanWeights | None:
    """The rounded weights beside a plan, if there are any."""
    return None if plan.folder is None else PlanWeights(plan.folder)
