"""weights.bin: laid out from shapes, the same bytes each time, whole or not there."""

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest

from elastix.compiler import image
from elastix.compiler.errors import ElastixError
from elastix.compiler.image import lay_out, write_image
from elastix.compiler.importer.store import ArrayStore
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.pack import pack_layer
from elastix.compiler.numbers.quantize import quantize

RNG = np.random.default_rng(0)
ARRAYS = {
    "up": RNG.standard_normal((300, 172)).astype(np.float32),
    "down": RNG.standard_normal((17, 300)).astype(np.float32),
    "zero": np.zeros((3, 5), np.float32),
    "norm": RNG.standard_normal(10).astype(np.float32),
    "positions": np.arange(5),
    "scalar": np.float32(3).reshape(()),
}
STORE = ArrayStore(ARRAYS)
LAYERS = [("up", Format(4, 64, "s6", "half_step")), ("down", Format(8)), ("zero", Format(3, 32, "s8c8", "asymmetric"))]
PARAMETERS = ["norm", "positions", "scalar"]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_file_holds_what_the_layout_says(tmp_path: Path, channels: int) -> None:
    layout = lay_out(LAYERS, PARAMETERS, STORE, beat=128, channels=channels)
    seen: list[float] = []
    written = write_image(tmp_path / "weights.bin", layout, STORE, progress=seen.append)
    content = (tmp_path / "weights.bin").read_bytes()
    assert len(content) == layout.bytes and layout.bytes % 4096 == 0
    assert written.sha256 == hashlib.sha256(content).hexdigest()
    assert sum(seen) == layout.weights == 300 * 172 + 17 * 300 + 15
    used = np.zeros(len(content), bool)
    for (name, form), place in zip(LAYERS, layout.layers, strict=True):
        whole = quantize(ARRAYS[name], form)
        assert place.address % 4096 == 0
        for channel, segment in enumerate(pack_layer(whole.rows, place.geometry)):
            start = place.address + channel * place.geometry.channel_stride
            assert content[start : start + len(segment)] == segment
            assert not used[start : start + len(segment)].any()
            used[start : start + len(segment)] = True
        assert written.errors[name] == pytest.approx(whole.error / whole.energy if whole.energy else 0)
    for place in layout.parameters:
        array = ARRAYS[place.name]
        raw = content[place.address : place.address + place.bytes]
        assert place.address % 64 == 0 and raw == array.tobytes()
        used[place.address : place.address + place.bytes] = True
    assert not any(np.frombuffer(content, np.uint8)[~used])


def test_parts_of_a_layer_are_packed_as_layers_of_their_own(tmp_path: Path) -> None:
    """Rows of each part, with CRCs of its own."""
    layout = lay_out(LAYERS, PARAMETERS, STORE, beat=128, channels=2, parts={"up": 3})
    write_image(tmp_path / "weights.bin", layout, STORE)
    content = (tmp_path / "weights.bin").read_bytes()
    place, rows = layout.layers[0], quantize(ARRAYS["up"], LAYERS[0][1]).rows
    assert (place.parts, place.part.rows, place.geometry.rows) == (3, 100, 300)
    for number in range(3):
        part = pack_layer(rows.slice(100 * number, 100 * number + 100), place.part)
        for channel, segment in enumerate(part):
            start = place.part_address(number) + channel * place.part.channel_stride
            assert content[start : start + len(segment)] == segment
    assert layout.layers[1].address == place.part_address(3) == place.bytes
    assert place.stream_bytes == place.geometry.stream_bytes + 2 * 2 * 16


def test_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    layout = lay_out(LAYERS, PARAMETERS, STORE, beat=256)
    hashes = {write_image(tmp_path / "w", layout, STORE, threads=threads).sha256 for threads in (1, 2, 5)}
    assert len(hashes) == 1


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(image, "crc_beat", full)
    with pytest.raises(ElastixError, match=r"the disk of .* is full; wanted: .* bytes; free some"):
        write_image(tmp_path / "w", lay_out(LAYERS, PARAMETERS, STORE, beat=256), STORE)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_what_was_there(tmp_path: Path) -> None:
    def interrupt(_done: float) -> None:
        raise KeyboardInterrupt

    (tmp_path / "w").write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_image(tmp_path / "w", lay_out(LAYERS, PARAMETERS, STORE, beat=256), STORE, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["w"] and (tmp_path / "w").read_text() == "before"


def test_bad_weights_are_named_and_leave_nothing(tmp_path: Path) -> None:
    store = ArrayStore({"up": np.full((4, 4), np.nan, np.float32)})
    with pytest.raises(ElastixError, match="NaN or infinity among the weights of up"):
        write_image(tmp_path / "w", lay_out([("up", Format(4))], [], store, beat=64), store)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_laid_out() -> None:
    with pytest.raises(ElastixError, match="up among the layers more than once"):
        lay_out([LAYERS[0], LAYERS[0]], [], STORE, beat=64)
    with pytest.raises(ElastixError, match=r"weights norm of shape \[10\]; wanted: two dimensions"):
        lay_out([("norm", Format(4))], [], STORE, beat=64)
    with pytest.raises(ElastixError, match="no weight named nothing"):
        lay_out([("nothing", Format(4))], [], STORE, beat=64)
