"""A prompt takes M tokens a run, on every engine, and no bit of an answer depends on that."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from models.compiled_models import Command
from models.step_models import SMALL, CompiledStep, compile_step
from numpy.typing import NDArray

from elastix.compiler.evaluate_compiled import CompiledLogits
from elastix.compiler.generate import in_pieces
from elastix.runtime.step import StepResult
from elastix.runtime.step_engines import STEP_ENGINES, StepEngine
from elastix.tools.step_session import StepSession

LANES = 4
TEXT = [3, 90, 41, 7, 7, 60, 12, 55, 8, 31, 2]


class Counted:
    """An engine, and the tokens of each of its runs."""

    def __init__(self, engine: StepEngine) -> None:
        self.engine = engine
        self.runs: list[int] = []

    def run(self, memory: NDArray[np.uint8], program: int, tokens: Sequence[int], position: int) -> StepResult:
        self.runs.append(len(tokens))
        return self.engine.run(memory, program, tokens, position)


@pytest.fixture(scope="module")
def one_lane(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> CompiledStep:
    """The model of `small` for a token at a time."""
    assert SMALL["lanes"] == LANES
    return compile_step(small_model, tmp_path_factory.mktemp("one"), **{**SMALL, "lanes": 1})


@pytest.fixture(scope="module")
def alone(one_lane: CompiledStep) -> NDArray[np.float32]:
    """Logits after each token of TEXT, one a run."""
    device = one_lane.device()
    return np.concatenate([device.step([token], position).logits for position, token in enumerate(TEXT)])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


ENGINES = [pytest.param(each, marks=[pytest.mark.slow] if each == "verilator" else []) for each in STEP_ENGINES]


@pytest.mark.parametrize("engine", ENGINES)
def test_runs_of_a_prompt(small: Path, alone: NDArray[np.float32], stack: ExitStack, engine: str) -> None:
    session = StepSession(small, engine, None, stack)
    counted = Counted(session.engine)
    session.use(counted)
    for length in (1, 4, 6, 11):
        session.reset()
        counted.runs.clear()
        position = 0
        for piece in in_pieces(TEXT[:length], session.lanes):
            last = session.step(piece, position)[-1]
            position += len(piece)
        assert len(counted.runs) == -(-length // LANES) and sum(counted.runs) == length
        assert last.tobytes() == alone[length - 1].tobytes(), f"after {length} tokens"


@pytest.mark.parametrize("engine", ["emulator", "rtl"])
def test_the_command_line_reads_several_tokens_a_run(
    small: Path, one_lane: CompiledStep, elastix: Command, engine: str
) -> None:
    found = elastix("run", small, "--ids", ",".join(map(str, TEXT)), "--tokens", 5, "--engine", engine, "--check")
    assert (found["prompt_runs"], found["steps_compared"]) == (3, 3 + 4)
    # Three runs of the prompt, four of the answer; those of several tokens take longer.
    assert found["prompt_cycles"] > 3 / 7 * found["cycles"] if engine == "rtl" else not found["cycles"]
    assert found["prompt_tokens_per_second"] > 0 and found["tokens_per_second"] > 0
    device, ids = one_lane.device(), list(TEXT)
    for position in range(len(TEXT) + 4):
        logits = device.step([ids[position]], position).logits[0]
        if position + 1 >= len(TEXT):
            ids.append(int(logits.argmax()))
    assert found["ids"] == ids[len(TEXT) :]


def test_another_engine_reads_all_but_the_last(small: Path, elastix: Command) -> None:
    """So the engine that was asked for gives every token of the answer, the first one too."""
    words = ("run", small, "--ids", ",".join(map(str, TEXT)), "--tokens", 2)
    found = elastix(*words, "--engine", "rtl", "--prefill-engine", "emulator", "--check")
    assert found["prompt_runs"] == 3 + 1
    assert found["steps_compared"] == 2
    assert found["ids"] == elastix(*words)["ids"]


def test_an_evaluated_text(small: Path, alone: NDArray[np.float32], stack: ExitStack) -> None:
    session = StepSession(small, "emulator", None, stack)
    counted = Counted(session.engine)
    session.use(counted)
    windows = CompiledLogits(session.step, session.reset, [TEXT, TEXT[:5]])
    found = np.concatenate([windows.rows(0, 0, 8).numpy(), windows.rows(0, 8, 11).numpy()])
    assert found.tobytes() == alone.tobytes()
    assert windows.rows(1, 0, 5).numpy().tobytes() == alone[:5].tobytes()
    assert counted.runs == [4, 4, 3, 4, 1]


def test_pieces_of_a_prompt() -> None:
    assert in_pieces([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert in_pieces([1, 2, 3, 4], 4) == [[1, 2, 3, 4]]
    assert in_pieces([1, 2, 3, 4], 2, last_alone=True) == [[1, 2], [3], [4]]
    assert in_pieces([1], 4, last_alone=True) == [[1]]
