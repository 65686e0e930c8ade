"""A device for whole decode steps: from an output folder, step by step, with either engine."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from unit.step_programs import PARAMETERS, Program

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import FILE_NAME, file_hash
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target
from elastix.compiler.program_runner import PROGRAM_FILE, WEIGHTS_FILE
from elastix.compiler.step.manifest import StepManifest, StepMemoryMap
from elastix.runtime.step_device import StepDevice
from elastix.runtime.step_engines import open_step_engine

VOCABULARY, WIDTH, PAGE = 37, 64, 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose next token is the one that went in: a row of a table, multiplied by the table."""
    program = Program()
    table = np.random.default_rng(1).standard_normal((VOCABULARY, WIDTH)).astype(np.float32)
    layer = program.place_layer(quantize(table, Format(8)).rows)
    weights = -(-program.free // PAGE) * PAGE
    cache, logits, code = weights, weights + PAGE, weights + 2 * PAGE
    for lane in range(PARAMETERS.lanes):
        program.add(Opcode.EMBED, lane=lane, to=WIDTH * lane, **layer)
        a = {"a": WIDTH * lane, "count": WIDTH, "lane": lane}
        program.add(Opcode.VECTOR, maximum=Maximum.MAGNITUDE, max_register=lane, **a)
        to = {"target": Target.ACTIVATIONS, "bits": 11, "scalar_register": lane}
        program.add(Opcode.VECTOR, operation=Operation.QUANTIZE, **to, **a)
    to = {"target": Target.MEMORY, "to": logits, "lane_stride": 256, "rows": VOCABULARY, "arg_max": 1}
    program.add(Opcode.LINEAR, **to, **layer)
    program.add(Opcode.END)
    content = b"".join(each.encode() for each in program.instructions)
    (tmp_path / PROGRAM_FILE).write_bytes(content)
    (tmp_path / WEIGHTS_FILE).write_bytes(program.memory[:weights].tobytes())
    memory = StepMemoryMap(weights, cache, PAGE, logits, 256, code, len(content), code + PAGE)
    hashes = {name: file_hash(tmp_path / name) for name in (PROGRAM_FILE, WEIGHTS_FILE)}
    manifest = StepManifest(PARAMETERS, memory, (), (), VOCABULARY, hashes=hashes)
    (tmp_path / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["emulator", "oracle"])
def test_steps_of_any_number_of_tokens(folder: Path, name: str) -> None:
    with ExitStack() as stack:
        device = StepDevice.load(folder, open_step_engine(name, PARAMETERS, stack))
        ids = [3, 36, 0, 14, 9]
        output = device.step(ids, 4)
        assert output.arg_max == tuple(ids) and not output.overflow
        assert output.logits.shape == (5, VOCABULARY) and output.logits.dtype == np.float32
        np.testing.assert_array_equal(output.logits.argmax(axis=1), ids)
        again = device.step(ids[:1], 0)
        np.testing.assert_array_equal(again.logits[0], output.logits[0])
        np.testing.assert_array_equal(output.logits, StepDevice.load(folder).step(ids, 4).logits)


def test_what_does_not_fit_is_refused_before_anything_runs(folder: Path) -> None:
    device = StepDevice.load(folder)
    before = device.memory.copy()
    for ids, position, message in (
        ([], 0, "a step without tokens"),
        ([0, 37], 0, "token id 37; wanted: 0 to 36"),
        ([-1], 0, "token id -1"),
        ([1, 2, 3], 22, "positions 22 to 24; wanted: 0 to 23, the rows of the caches; use a shorter text"),
        ([1], -1, "positions -1 to -1"),
    ):
        with pytest.raises(ElastixError, match=message):
            device.step(ids, position)
    np.testing.assert_array_equal(device.memory, before)
    assert device.max_context == PARAMETERS.max_context


def test_reset_empties_the_caches_alone(folder: Path) -> None:
    device = StepDevice.load(folder)
    layout = device.layout
    before = device.memory.copy()
    device.memory[layout.cache_address : layout.cache_address + layout.cache_bytes] = 7
    device.reset()
    np.testing.assert_array_equal(device.memory, before)
    assert not device.memory[layout.cache_address :][: layout.cache_bytes].any()


def flip(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[100] ^= 1
        (folder / name).write_bytes(content)

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (flip(PROGRAM_FILE), "program.bin has SHA-256"),
        (flip(WEIGHTS_FILE), "weights.bin has SHA-256"),
        (lambda folder: (folder / WEIGHTS_FILE).unlink(), "no weights.bin"),
        (lambda folder: (folder / FILE_NAME).unlink(), "no manifest.json"),
    ],
)
def test_files_that_are_not_the_manifests_are_refused(
    folder: Path, change: Callable[[Path], None], message: str
) -> None:
    change(folder)
    with pytest.raises(ElastixError, match=message):
        StepDevice.load(folder)


def test_pieces_of_another_size_and_unknown_engines_are_refused(folder: Path) -> None:
    layout = StepDevice.load(folder).layout
    with pytest.raises(ElastixError, match="3 bytes of weights and 64 of program"):
        StepDevice(layout, b"abc", bytes(64))
    with ExitStack() as stack, pytest.raises(ElastixError, match="engine 'abacus'; wanted: emulator or "):
        open_step_engine("abacus", PARAMETERS, stack)
