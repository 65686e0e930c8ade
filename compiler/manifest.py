"""What lies where in an output folder: `manifest.json`, read and written as typed records."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.parameters import ProcessorParameters

FORMAT_VERSION: Final = 4
FILE_NAME: Final = "manifest.json"
AGAIN: Final = "compile the model again"
_SEAL: Final = ',\n "sha256": "{}"\n}}\n'
T = TypeVar("T")


@dataclass(frozen=True)
class MemoryMap:
    """Regions of the device memory, in bytes: weights from 0, then the program, then scratch up to `size`.

    patch: address in scratch of the descriptor that a launch over several batches of tokens patches.
    """

    weights_bytes: int
    program_address: int
    program_bytes: int
    scratch_address: int
    patch: int
    size: int


@dataclass(frozen=True)
class Layer:
    """One launch: its weights, where they and its descriptor lie, and what quantizing them lost.

    format: short form of `numbers.formats.Format`; address, descriptor: bytes in device memory; bytes: the weights',
    padding included; tokens: of the launch, 0 for a table that is only looked up in; look_ups: rows that a step looks
    up in it; error: relative squared error of the quantized weights, if they were there to be measured;
    codes: `rounded by the plan`, `kept from Q4_1`, or `rounded` and why there were no codes to take.
    """

    name: str
    weight: str
    rows: int
    columns: int
    format: str
    address: int
    bytes: int
    descriptor: int
    tokens: int
    error: float | None = None
    codes: str = ""
    look_ups: int = 0


@dataclass(frozen=True)
class HostParameter:
    """A tensor that host code reads in device memory: norm weights, biases, tables."""

    name: str
    address: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Tensor:
    """An argument or result of the step, in order. kind: `cache`, `input` or `output`; dtype: numpy's name."""

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Manifest:
    """Everything about an output folder that its files do not say themselves.

    model: free facts about the model, text to JSON: `max_context`, and `source`, the absolute path of the file or
    folder that was compiled; hashes: file name to SHA-256.
    """

    processor: ProcessorParameters
    memory: MemoryMap
    layers: tuple[Layer, ...]
    parameters: tuple[HostParameter, ...]
    arguments: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    arena_bytes: int
    model: dict[str, Any] = field(default_factory=dict[str, Any])
    hashes: dict[str, str] = field(default_factory=dict[str, str])
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The same text for the same manifest, keys in the order of the fields, sealed."""
        return sealed(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str = FILE_NAME) -> "Manifest":
        """The inverse of `to_json`; raises ElastixError naming the first field that is missing or of another type."""
        return read_json(cls, text, source)


def sealed(fields_of: Mapping[str, Any]) -> str:
    """JSON of these fields, and last `sha256`: that of the text without it."""
    text = json.dumps(fields_of, indent=1, ensure_ascii=False)
    return text.removesuffix("\n}") + _SEAL.format(_text_hash(text))


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def is_sealed(text: str) -> bool:
    """Whether this is what `sealed` has written, to the last byte."""
    body = text[: -len(_SEAL.format("0" * 64))] + "\n}"
    return text == body.removesuffix("\n}") + _SEAL.format(_text_hash(body))


def read_json(kind: type[T], text: str, source: str) -> T:
    """What `sealed` wrote, as the record `kind`.

    Raises ElastixError for another format version, for text that was changed since, and naming the first field that is
    missing or of another type.
    """
    try:
        raw: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ElastixError(f"{source} is not JSON: {error}", do=AGAIN) from error
    version = cast(dict[str, Any], raw).get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise ElastixError(
            f"{source} has format version {version}",
            wanted=f"version {FORMAT_VERSION}",
            do="compile the model again with this version of Elastix",
        )
    if not is_sealed(text):
        raise ElastixError(f"{source} is not as it was written", wanted="its own SHA-256 to fit", do=AGAIN)
    values = cast(dict[str, Any], raw)
    return _read(kind, {name: value for name, value in values.items() if name != "sha256"}, source)


def _fail(where: str, value: Any, wanted: str) -> ElastixError:
    return ElastixError(f"{where} is {json.dumps(value)[:80]}", wanted=wanted, do=AGAIN)


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value`, from JSON, as the annotated type `kind`: a dataclass, tuple, dict, optional or plain type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise _fail(where, value, "an object")
        return _read_record(kind, cast(dict[str, Any], value), where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _fail(where, value, "a list")
        items = enumerate(cast(list[Any], value))
        return tuple(_read(arguments[0], item, f"{where}[{i}]") for i, item in items)
    if origin is UnionType:
        return None if value is None else _read(next(a for a in arguments if a is not NoneType), value, where)
    if kind is Any:
        return value
    if kind is float and type(value) is int:
        return float(value)
    plain = origin or kind
    if type(value) is not plain:
        raise _fail(where, value, f"{plain.__name__}")
    return value


def _read_record(kind: Any, value: dict[str, Any], where: str) -> Any:
    names = [f.name for f in fields(kind)]
    hints = get_type_hints(kind)
    for name in value:
        if name not in names:
            raise ElastixError(f"{where} has a field {name!r}", wanted=", ".join(names), do=AGAIN)
    for name in names:
        if name not in value and name != "error":
            raise ElastixError(f"{where} has no field {name!r}", wanted=", ".join(names), do=AGAIN)
    return kind(**{name: _read(hints[name], item, f"{where}: {name}") for name, item in value.items()})


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """The manifest of an output folder, every file it names being there with its hash; raises ElastixError else."""
    manifest = Manifest.from_json(manifest_text(folder), str(folder / FILE_NAME))
    check_hashes(folder, manifest.hashes)
    return manifest


def manifest_text(folder: Path) -> str:
    """The text of a folder's manifest, what is no UTF-8 replaced; raises ElastixError where there is no such file."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise ElastixError(f"no {FILE_NAME} in {folder}", wanted="a folder that `elastix compile` wrote")
    return path.read_bytes().decode("utf-8", errors="replace")


def check_hashes(folder: Path, hashes: Mapping[str, str]) -> None:
    """Raises ElastixError for the first file of a folder that is not there, or is not what its SHA-256 says."""
    for name, wanted in hashes.items():
        file = folder / name
        if not file.is_file():
            raise ElastixError(f"no {name} in {folder}", wanted="every file of the manifest", do=AGAIN)
        found = file_hash(file)
        if found != wanted:
            wanted = f"{wanted[:16]}… as in the manifest"
            raise ElastixError(f"{file} has SHA-256 {found[:16]}…", wanted=wanted, do=AGAIN)
