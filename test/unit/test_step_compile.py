"""Waits of compiled programs order them: proved by the oracle, which says once more what instructions touch."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from random_llama import random_llama

from elastix.compiler.errors import ElastixError
from elastix.compiler.image import write_image
from elastix.compiler.importer.files import import_file
from elastix.compiler.ir import PassFailed, new_context, parse, run_passes
from elastix.compiler.numbers.step_oracle_hazards import check_hazards, order_of
from elastix.compiler.options import CompileOptions
from elastix.compiler.processor.step.instructions import Instruction, Opcode, Target, Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import LoweredStep, lower_step_of
from elastix.passes.s5_lower.set_waits import set_waits
from elastix.runtime.step_device import StepDevice, StepLayout, StepOutput

WAITS = tuple(f"wait_{unit.name.lower()}" for unit in Unit)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights, of one layer: two heads of keys, three queries each."""
    return random_llama(tmp_path_factory.mktemp("llama"))


def lowered(model: Path, **options: Any) -> LoweredStep:
    return lower_step_of(import_file(model, 20), CompileOptions(whole_step=True, **options), Stages())


@pytest.fixture(scope="module")
def three_lanes(model: Path) -> LoweredStep:
    return lowered(model, lanes=3, beat=64)


@pytest.mark.parametrize(("lanes", "beat", "dealt"), [(1, 64, 1), (1, 256, 1), (3, 256, 1), (3, 64, 4)])
def test_waits_order_the_program(model: Path, lanes: int, beat: int, dealt: int) -> None:
    step = lowered(model, lanes=lanes, beat=beat, channels=dealt, attention_channels=dealt)
    check_hazards(step.program, step.parameters)


def answers(step: LoweredStep, folder: Path) -> list[StepOutput]:
    """Of the emulator, to runs of three tokens and of one."""
    write_image(folder / "weights.bin", step.memory.image, step.weights())
    device = StepDevice(StepLayout.of(step.manifest()), folder / "weights.bin", step.program_bytes)
    found: list[StepOutput] = []
    position = 0
    for tokens in ([3, 1, 4], [1], [5, 9, 2], [6], [5, 3, 5]):
        found.append(device.step(tokens, position))
        position += len(tokens)
    return found


def test_rows_dealt_to_channels_change_no_logits(model: Path, tmp_path: Path) -> None:
    """Runs of three tokens and of one, on 1, 2 and 4 channels with caches: every logit, in every bit."""
    found: list[list[StepOutput]] = []
    for dealt in (1, 2, 4):
        step = lowered(model, lanes=3, beat=64, channels=4, attention_channels=dealt, vector_lanes=2)
        strides = {each["channel_stride"] for each in step.program if each.opcode in (Opcode.SCORES, Opcode.VALUES)}
        assert strides == {step.memory.caches[0].channel_stride}
        assert (strides == {0}) == (dealt == 1)
        found.append(answers(step, tmp_path))
    for one, other, third in zip(*found, strict=True):
        assert one.logits.tobytes() == other.logits.tobytes() == third.logits.tobytes()
    assert np.ptp(found[0][0].logits) > 0


def widths_read(step: LoweredStep) -> list[tuple[str, int]]:
    """Of each LINEAR its layer, and how many bits the activations have that were quantized last."""
    places = step.memory.image.layers
    found: list[tuple[str, int]] = []
    bits = 0
    for each in step.program:
        if each.opcode is Opcode.VECTOR and each["target"] == Target.ACTIVATIONS:
            bits = each["bits"]
        elif each.opcode is Opcode.LINEAR:
            name = next(place.name for place in places if 0 <= each["weights"] - place.address < place.bytes)
            found.append((name, bits))
    return found


@pytest.mark.parametrize("lines", [{}, {"*.v_proj": {"bits": 6, "activation_bits": 9}}])
def test_weights_in_parts_change_no_logits(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: dict[str, Any]
) -> None:
    """Queries, keys and values of two heads apart, so that attention begins between them: order proved, bits alike.

    Where one of them reads activations of other bits, the buffer holds those of one width at a time.
    """
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"default": 8, "layers": lines}))
    found: list[list[StepOutput]] = []
    for parts in (2, 1):  # such small layers are in one
        monkeypatch.setattr(sys.modules["elastix.compiler.step.parts"], "_LATENCY", 0 if parts == 2 else 400)
        step = lowered(model, lanes=2, beat=64, channels=2, vector_lanes=1, plan=plan)
        projections = [each for each in step.memory.image.layers if each.name[-13:-7] in ("q_proj", "k_proj", "v_proj")]
        assert [each.parts for each in projections] == [parts] * 3
        read = widths_read(step)
        assert len(read) == 5 + 3 * parts
        narrow = 9 if lines else 11
        assert read == [(name, narrow if "v_proj" in name else 11) for name, _ in read]
        for position in (0, 7, 18):
            check_hazards(step.program, step.parameters, position=position)
        found.append(answers(step, tmp_path))
    for one, other in zip(*found, strict=True):
        assert one.logits.tobytes() == other.logits.tobytes()


def test_waits_order_the_program_anywhere(three_lanes: LoweredStep) -> None:
    """Not only at the last position, where rows are longest."""
    for position in (0, 1, 9, 17):
        check_hazards(three_lanes.program, three_lanes.parameters, position=position)


def test_a_wait_that_is_too_short_is_caught(three_lanes: LoweredStep) -> None:
    """Each wait a little shorter: either the program's order is as before, or the oracle finds what is not ordered."""
    program, parameters = list(three_lanes.program), three_lanes.parameters
    orders = [order_of(program, tokens) for tokens in (1, 2, 3)]
    shorter = [
        (number, name) for number, each in enumerate(program[:-1]) for name in WAITS if each.values.get(name, 0) > 0
    ]
    caught = 0
    for number, name in shorter[::7]:
        before, program[number] = program[number], with_wait(program[number], name, -1)
        changed = any(
            not np.array_equal(order_of(program, tokens).finished, order.finished)
            for tokens, order in zip((1, 2, 3), orders, strict=True)
        )
        assert is_refused(program, parameters) == changed, f"{number}: {before}, {name}"
        caught += changed
        program[number] = before
    assert caught > 7, f"{caught} of {len(shorter[::7])}"


def with_wait(instruction: Instruction, name: str, more: int) -> Instruction:
    return replace(instruction, values={**instruction.values, name: instruction[name] + more})


def is_refused(program: list[Instruction], parameters: StepParameters) -> bool:
    try:
        check_hazards(program, parameters)
    except ElastixError as error:
        assert "wanted: wait_" in str(error)
        return True
    return False


MANY = """
"epu.step_processor"() {sym_name = "p", beat = 64, activation_bits = 11, lanes = 1, channels = 1, max_tiles = 1,
    max_burst = 64, fifo_beats = 256, crc = true, vector_lanes = 4, vector_elements = 8, constant_elements = 8,
    max_context = 32, head_dim = 8, kv_heads = 1, group = 1, attention_lanes = 8, attention_channels = 1,
    activations = [], features = []} : () -> ()
"epu.step_program"() ({
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 8}, buffers = {}} : () -> ()
  "epu.instruction"() {opcode = "vector", values = {target = "VECTOR", count = 8}, buffers = {}} : () -> ()
  "epu.instruction"() {opcode = "end", values = {}, buffers = {}} : () -> ()
}) {sym_name = "program", processor = @p} : () -> ()
"""


def test_more_instructions_than_a_wait_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with new_context():
        run_passes(parse(MANY), [set_waits])
        monkeypatch.setattr(sys.modules["elastix.passes.s5_lower.set_waits"], "MOST", 1)
        with pytest.raises(PassFailed, match=r"'epu.instruction' op wait_vector of 2; wanted: at most 1,"):
            run_passes(parse(MANY), [set_waits])
