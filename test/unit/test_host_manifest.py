"""The manifest says what is wrong with it, before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import (
    HostParameter,
    Layer,
    Manifest,
    MemoryMap,
    Tensor,
    file_hash,
    load_manifest,
    sealed,
)
from elastix.compiler.processor.parameters import ProcessorParameters

MANIFEST = Manifest(
    processor=ProcessorParameters(256, 11, 1, 1, 48, 16, 512, True),
    memory=MemoryMap(8192, 8192, 64, 12288, 12288, 16384),
    layers=(
        Layer("mlp.up", "mlp.up.weight", 8, 64, "4b g64 s6 symmetric", 0, 4096, 8192, 1, 0.01),
        Layer("mlp.down", "mlp.down.weight", 64, 8, "4b g64 s6 symmetric", 4096, 4096, 8256, 1),
    ),
    parameters=(HostParameter("norm.weight", 100, (8,), "float32"),),
    arguments=(Tensor("x", "input", (1, 64), "float32"),),
    results=(Tensor("y", "output", (1, 64), "float32"),),
    arena_bytes=4096,
    model={"name": "mlp"},
)


def unsealed() -> dict[str, Any]:
    """The fields, to be changed."""
    return {name: value for name, value in json.loads(MANIFEST.to_json()).items() if name != "sha256"}


def test_text_round_trip_and_is_the_same_each_time():
    text = MANIFEST.to_json()
    assert Manifest.from_json(text) == MANIFEST
    assert Manifest.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("arena_bytes",), "many", 'manifest.json: arena_bytes is "many"; wanted: int'),
        (("layers", 0, "rows"), 1.5, "manifest.json: layers[0]: rows is 1.5; wanted: int"),
        (("processor", "crc"), 1, "manifest.json: processor: crc is 1; wanted: bool"),
        (("arguments",), {}, "manifest.json: arguments is {}; wanted: a list"),
        (("memory", "colour"), 1, "manifest.json: memory has a field 'colour'"),
        (("format_version",), 99, "manifest.json has format version 99; wanted: version 4"),
    ],
)
def test_a_wrong_field_is_named(path: tuple[str | int, ...], value: object, message: str):
    raw = unsealed()
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ElastixError) as caught:
        Manifest.from_json(sealed(raw))
    assert str(caught.value).startswith(message)


def test_a_missing_field_is_named():
    raw = unsealed()
    del raw["memory"]["size"]
    with pytest.raises(ElastixError, match="memory has no field 'size'"):
        Manifest.from_json(sealed(raw))


def test_text_that_is_not_json():
    with pytest.raises(ElastixError, match="is not JSON"):
        Manifest.from_json("{")


def test_a_changed_file_is_refused(tmp_path: Path):
    (tmp_path / "weights.bin").write_bytes(b"weights")
    hashes = {"weights.bin": file_hash(tmp_path / "weights.bin")}
    manifest = Manifest(**{**MANIFEST.__dict__, "hashes": hashes})
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    assert load_manifest(tmp_path) == manifest
    (tmp_path / "weights.bin").write_bytes(b"weightz")
    with pytest.raises(ElastixError, match=r"weights\.bin has SHA-256 .*as in the manifest"):
        load_manifest(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ElastixError, match=r"no weights\.bin in"):
        load_manifest(tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path):
    with pytest.raises(ElastixError, match=r"no manifest\.json in .*`elastix compile` wrote"):
        load_manifest(tmp_path)
