"""`weights.bin`: every quantized layer's segments, then the parameters that host code reads, as one memory image.

First the layout, which needs shapes only; then the bytes, layer by layer, in bounded memory.
"""

import errno
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.block_codes import NoCodes, block_codes
from elastix.compiler.numbers.formats import SEGMENT_ALIGNMENT, Format, Geometry
from elastix.compiler.numbers.keep import Kept, keep_codes, misfit
from elastix.compiler.numbers.pack import Bytes, QuantizedRows, crc_beat, pack_blocks
from elastix.compiler.numbers.quantize import Quantized, chunk_rows, map_in_order, quantize_rows
from elastix.compiler.precision.plan_weights import PlanWeights, with_losses

PARAMETER_ALIGNMENT: Final = 64
PLANNED: Final = "rounded by the plan"
Progress = Callable[[float], None]
"""Called with the number of weights done since the last call."""


class Weights(Protocol):
    """What is needed of a weight store (compiler/importer/store.py); one with codes gives them to be kept."""

    def shape(self, name: str) -> tuple[int, ...]: ...
    def dtype(self, name: str) -> str: ...
    def read(self, name: str) -> NDArray[Any]: ...


@dataclass(frozen=True)
class LayerPlace:
    """Where a quantized layer's channel 0 begins; the other channels and all sizes follow from its geometry.

    parts: into so many parts of equally many rows it is packed, one after the other, each as a layer of its own.
    """

    name: str
    address: int
    geometry: Geometry
    parts: int = 1

    @property
    def part(self) -> Geometry:
        """Of each part."""
        return self.geometry if self.parts == 1 else replace(self.geometry, rows=self.geometry.rows // self.parts)

    def part_address(self, number: int) -> int:
        """Where a part's channel 0 begins."""
        return self.address + number * self.part.total_bytes

    @property
    def bytes(self) -> int:
        """Of all parts in memory."""
        return self.parts * self.part.total_bytes

    @property
    def stream_bytes(self) -> int:
        """Bytes that cross the channels in one pass over all parts."""
        return self.parts * self.part.stream_bytes


@dataclass(frozen=True)
class ParameterPlace:
    """A host parameter, raw and little endian: floats as fp32, integers and bools as they are."""

    name: str
    address: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ImageLayout:
    """The whole file; `bytes` is a multiple of 4096, gaps are zero."""

    layers: tuple[LayerPlace, ...]
    parameters: tuple[ParameterPlace, ...]
    bytes: int

    @property
    def weights(self) -> int:
        """Quantized weights in the image."""
        return sum(place.geometry.rows * place.geometry.columns for place in self.layers)

    @property
    def bits_per_weight(self) -> float:
        """Bits moved per quantized weight: headers, padding and CRC beats included."""
        return 8 * sum(place.stream_bytes for place in self.layers) / max(self.weights, 1)


@dataclass(frozen=True)
class WrittenImage:
    """What came of writing: the file's SHA-256 and, by layer, Σ(w − ŵ)²/Σw² (0 where all weights are 0) and how.

    codes: PLANNED, `kept from Q4_1`, or `rounded` and why there were no codes to take.
    """

    sha256: str
    errors: dict[str, float]
    codes: dict[str, str]


def _aligned(address: int, alignment: int) -> int:
    return -(-address // alignment) * alignment


def _host_dtype(stored: str) -> str:
    kinds = {"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}
    return kinds.get(stored, stored if stored.startswith(("int", "uint")) else "float32")


def lay_out(
    layers: Sequence[tuple[str, Format]],
    parameters: Sequence[str],
    store: Weights,
    *,
    beat: int,
    channels: int = 1,
    parts: Mapping[str, int] | None = None,
) -> ImageLayout:
    """Addresses of everything, in the order given: layers at multiples of 4096, then parameters at multiples of 64.

    parts: of layers that have several; each a whole number of rounds over the channels.
    """
    names = [name for name, _ in layers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ElastixError(f"{', '.join(twice)} among the layers more than once", wanted="each weight once")
    places: list[LayerPlace] = []
    address = 0
    for name, form in layers:
        shape = store.shape(name)
        chunk_rows(shape, name)
        geometry = Geometry(form, shape[0], shape[1], beat, channels)
        places.append(LayerPlace(name, address, geometry, (parts or {}).get(name, 1)))
        address += places[-1].bytes
    kept: list[ParameterPlace] = []
    for name in parameters:
        place = ParameterPlace(name, address, store.shape(name), _host_dtype(store.dtype(name)))
        kept.append(place)
        address = _aligned(address + place.bytes, PARAMETER_ALIGNMENT)
    return ImageLayout(tuple(places), tuple(kept), _aligned(address, SEGMENT_ALIGNMENT))


@dataclass(frozen=True)
class Source:
    """Where a layer's integers come from: quantized rows of it, its shape, and how the report calls that."""

    rows: Callable[[slice], Quantized]
    shape: tuple[int, ...]
    codes: str


def source_of(store: Weights, name: str, form: Format, planned: PlanWeights | None = None) -> Source:
    """What a plan has rounded, in its format; else the codes of the file where the format holds them; else its values
    rounded.

    Raises ElastixError for a plan whose weights were rounded from other values.
    """
    unplanned = ""
    if planned is not None:
        ready = planned.rows(name, form)
        if not isinstance(ready, NoCodes):
            return _planned(store, name, ready, planned)
        unplanned = ready.reason
    found = block_codes(store, name)
    why = found.reason if isinstance(found, NoCodes) else misfit(found, form)
    if isinstance(found, NoCodes) or why:
        why = unplanned or why
        w = store.read(name)
        return Source(lambda here: quantize_rows(w[here], form, name=name), w.shape, f"rounded: {why}")
    kept = f"kept from {found.kind}" + (f": {unplanned}" if unplanned else "")
    return Source(lambda here: keep_codes(found.rows(here), form, name=name), found.shape, kept)


def _planned(store: Weights, name: str, rows: QuantizedRows, planned: PlanWeights) -> Source:
    w = store.read(name)
    planned.check_weights(name, w, rows)
    return Source(lambda here: with_losses(w[here], rows.slice(here.start, here.stop)), w.shape, PLANNED)


@dataclass(frozen=True)
class _Lost:
    """What some rows lost by quantizing, and how many of kept ones were rounded nevertheless."""

    error: float = 0.0
    energy: float = 0.0
    rounded_rows: int = 0

    def __add__(self, other: "_Lost") -> "_Lost":
        rounded = self.rounded_rows + other.rounded_rows
        return _Lost(self.error + other.error, self.energy + other.energy, rounded)


def _write_layer(file: BinaryIO, place: LayerPlace, source: Source, threads: int, progress: Progress) -> _Lost:
    """One layer's segments, part by part."""
    total = _Lost()
    for number in range(place.parts):
        first = number * place.part.rows
        some = replace(source, rows=partial(_behind, source, first), shape=(place.part.rows, place.part.columns))
        here = LayerPlace(place.name, place.part_address(number), place.part)
        total += _write_part(file, here, some, threads, progress)
    return total


def _behind(source: Source, first: int, here: slice) -> Quantized:
    """Rows of a part that begins at row `first`."""
    return source.rows(slice(first + here.start, first + here.stop))


def _write_part(file: BinaryIO, place: LayerPlace, source: Source, threads: int, progress: Progress) -> _Lost:
    """The segments of a part."""
    geometry, channels = place.geometry, place.geometry.channels

    def packed(here: slice) -> tuple[Bytes, _Lost]:
        quantized = source.rows(here)
        rounded = quantized.rounded_rows if isinstance(quantized, Kept) else 0
        return pack_blocks(quantized.rows, geometry), _Lost(quantized.error, quantized.energy, rounded)

    crcs, written = [0] * channels, [0] * channels
    starts = [place.address + channel * geometry.channel_stride for channel in range(channels)]
    total = _Lost()
    # A chunk is a whole number of rounds over the channels, so that its first block is always channel 0's.
    slices = chunk_rows(source.shape, place.name, geometry.block_rows * channels)
    for here, (blocks, lost) in zip(slices, map_in_order(packed, slices, threads), strict=True):
        for channel in range(channels):
            body = np.ascontiguousarray(blocks[channel::channels]).tobytes()
            crcs[channel] = zlib.crc32(body, crcs[channel])
            file.seek(starts[channel] + written[channel])
            file.write(body)
            written[channel] += len(body)
        total += lost
        progress((here.stop - here.start) * geometry.columns)
    for channel in range(channels):
        file.seek(starts[channel] + written[channel])
        file.write(crc_beat(crcs[channel], geometry))
    return total


def _little_endian(values: NDArray[Any], place: ParameterPlace) -> bytes:
    if values.shape != place.shape:
        raise ElastixError(f"{place.name} of shape {list(values.shape)}", wanted=f"{list(place.shape)} as laid out")
    return values.astype(np.dtype(place.dtype).newbyteorder("<")).tobytes()


def _no_progress(_done: float) -> None:
    pass


def write_image(
    path: Path,
    layout: ImageLayout,
    store: Weights,
    *,
    planned: PlanWeights | None = None,
    threads: int = 2,
    progress: Progress = _no_progress,
) -> WrittenImage:
    """Quantize, pack and write; `path` is there whole afterwards, or as it was before where anything fails.

    planned: weights that a plan has rounded already. The bytes do not depend on `threads`. Raises ElastixError on NaN
    or infinity among the weights, on weights planned for another model, and on a full disk.
    """
    if planned is not None:
        planned.check_model([place.name for place in layout.layers], store.shape)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            file.truncate(layout.bytes)
            errors: dict[str, float] = {}
            codes: dict[str, str] = {}
            for place in layout.layers:
                source = source_of(store, place.name, place.geometry.format, planned)
                lost = _write_layer(file, place, source, threads, progress)
                errors[place.name] = lost.error / lost.energy if lost.energy else 0.0
                rounded = f", {lost.rounded_rows:,} rows rounded" if lost.rounded_rows else ""
                codes[place.name] = source.codes + rounded
            for place in layout.parameters:
                file.seek(place.address)
                file.write(_little_endian(store.read(place.name), place))
            file.flush()
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ElastixError(
                f"the disk of {path} is full", wanted=f"{layout.bytes:,} bytes", do="free some, or give another folder"
            ) from error
        raise
    finally:
        Path(temporary).unlink(missing_ok=True)
    return WrittenImage(sha256, errors, codes)
