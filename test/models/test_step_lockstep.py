"""The RTL beside the emulator, instruction by instruction: what lock-step finds, and whom it names."""

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from models.compiled_models import Command
from models.step_models import SMALL, CompiledStep, compile_step, step_of

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import Instruction, decode_program
from elastix.runtime.step_lockstep import LockStepEngine
from elastix.tools.cli import main

PROMPT = [5, 17, 98, 0, 41, 41]
"""Two runs: one of four tokens, and one of two, where two token lanes of every instruction are left out."""


@pytest.fixture(scope="module")
def step(small: Path) -> CompiledStep:
    return step_of(small)


@pytest.fixture
def engine(step: CompiledStep) -> Iterator[LockStepEngine]:
    with LockStepEngine(step.layout.parameters, step.layout.cache_address) as engine:
        yield engine


def test_every_write_of_every_instruction_is_the_emulators(step: CompiledStep, engine: LockStepEngine) -> None:
    program = decode_program(step.program)
    found = step.device(engine).step(PROMPT, 0)
    assert (engine.runs, engine.instructions) == (2, 2 * len(program))
    assert found.logits.tobytes() == step.device().step(PROMPT, 0).logits.tobytes()


def test_caches_on_several_channels_are_looked_at_where_they_lie(small_model: Path, tmp_path: Path) -> None:
    step = compile_step(small_model, tmp_path, **SMALL, channels=2, attention_channels=2)
    with LockStepEngine(step.layout.parameters, step.layout.cache_address) as engine:
        found = step.device(engine).step(PROMPT, 0)
        assert engine.instructions == 2 * len(decode_program(step.program))
    assert found.logits.tobytes() == step.device().step(PROMPT, 0).logits.tobytes()


def planted(engine: LockStepEngine, words: int, byte: int) -> None:
    """One bit of every word wrong in the circuit's table of this many words."""
    circuit: Any = engine.seen.step.engine.circuit
    model = circuit.owner[0].model
    name, (offset, _) = next(iter(model.ports.items()))
    base = circuit.ports[name][0] - offset
    tables = [(at, data) for at, data in model.contents if len(data) % words == 0 and 4 <= len(data) // words <= 16]
    assert len(tables) == 1
    at, data = tables[0]
    size = len(data) // words
    changed = bytes(value ^ (1 << 4 if place % size == byte else 0) for place, value in enumerate(data))
    ctypes.memmove(base + at, changed, len(changed))


def test_a_wrong_table_in_the_circuit_is_found_in_the_instruction_that_looks_there(
    step: CompiledStep, engine: LockStepEngine
) -> None:
    planted(engine, 1024, 1)
    program = decode_program(step.program)
    first = next(n for n, each in enumerate(program) if "operation=SQUARES" in to_text(each))
    with pytest.raises(ElastixError) as caught:
        step.device(engine).step(PROMPT[:1], 0)
    assert f"instruction {first} ({to_text(program[first])}) at position 0: scalar register" in caught.value.found
    assert "by the emulator, 0x" in caught.value.found


def without_waits(instruction: Instruction) -> Instruction:
    kept = {name: value for name, value in instruction.values.items() if not name.startswith("wait_")}
    return Instruction(instruction.opcode, kept)


def test_instructions_that_do_not_wait_are_found_where_they_overlap(step: CompiledStep, engine: LockStepEngine) -> None:
    program = decode_program(step.program)
    hasty = [without_waits(each) for each in program]
    wrong = CompiledStep(step.layout, step.weights, b"".join(each.encode() for each in hasty))
    with pytest.raises(ElastixError) as caught:
        wrong.device(engine).step(PROMPT[:1], 0)
    found = caught.value.found
    assert found.startswith("instructions one by one give the emulator's bits, but not as they overlap: instruction ")
    named = int(found.split(": instruction ")[1].split()[0])
    assert program[named] != hasty[named]


def test_the_command_line(small: Path, elastix: Command, capsys: pytest.CaptureFixture[str]) -> None:
    found = elastix("run", small, "--ids", "5,17", "--tokens", 2, "--engine", "rtl", "--lock-step")
    assert (found["steps_compared"], found["checked_against"]) == (2, "emulator")  # the prompt is one
    assert found["instructions_compared"] > 200
    assert main(["run", str(small), "--ids", "5", "--lock-step"]) == 1
    assert (
        capsys.readouterr().err
        == "error: --lock-step beside --engine emulator; wanted: --engine rtl, and no other check\n"
    )


def test_it_is_for_whole_decode_steps(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tiny), "--ids", "5", "--engine", "rtl", "--lock-step"]) == 1
    assert "wanted: a folder that `elastix compile --whole-step` wrote" in capsys.readouterr().err
