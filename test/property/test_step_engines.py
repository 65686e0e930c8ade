"""The step processor's emulator against its oracle: every place that every instruction writes, in every bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_steps import PROGRAM, RandomStep, processors, random_steps

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers import step_oracle_attention, step_oracle_linear, step_oracle_vector
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Opcode
from elastix.runtime.step_engines import EmulatorEngine, OracleEngine, StepEngine, compare

HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large]
STEPS = random_steps(processors(attention_channels=4))


def difference(step: RandomStep) -> str:
    """Where the engines part; empty if nowhere."""
    engines = EmulatorEngine(step.parameters), OracleEngine(step.parameters)
    found = compare(*engines, step.memory, PROGRAM, step.tokens, step.position)
    return "" if found is None else str(found)


@settings(max_examples=60, deadline=None, suppress_health_check=HEALTH)
@given(STEPS)
def test_every_instruction_writes_the_same(step: RandomStep) -> None:
    assert difference(step) == ""


@settings(max_examples=30, deadline=None, suppress_health_check=HEALTH)
@given(random_steps(processors(attention_channels=4), kinds=("attention", "each")))
def test_attention_writes_the_same_wherever_rows_lie(step: RandomStep) -> None:
    assert difference(step) == ""


@settings(max_examples=30, deadline=None, suppress_health_check=HEALTH)
@given(STEPS)
def test_runs_continue_each_other(step: RandomStep) -> None:
    """Two runs leave the same memory, arg max and flags; processor memories and caches go on from the first."""
    memories = step.memory.copy(), step.memory.copy()
    engines: tuple[StepEngine, StepEngine] = EmulatorEngine(step.parameters), OracleEngine(step.parameters)
    last = step.parameters.max_context - len(step.tokens)
    for position in (step.position, min(step.position + len(step.tokens), last)):
        one, two = (
            engine.run(memory, PROGRAM, step.tokens, position) for engine, memory in zip(engines, memories, strict=True)
        )
        assert one == two
        np.testing.assert_array_equal(*memories)


def result(engine: StepEngine, step: RandomStep, memory: np.ndarray[Any, Any]) -> str:
    try:
        return str(engine.run(memory, PROGRAM, step.tokens, step.position))
    except ElastixError as error:
        return f"refused: {error}"


@settings(max_examples=150, deadline=None, suppress_health_check=HEALTH)
@given(STEPS, st.integers(0, 1 << 16), st.integers(0, 8 * INSTRUCTION_BYTES - 1))
def test_a_flipped_bit_of_a_program_is_refused_by_both_or_does_the_same(step: RandomStep, which: int, bit: int) -> None:
    """The emulator may refuse more: what hardware does in an order that no rule gives, writing over operands."""
    loads = next(k for k, each in enumerate(step.program) if each.opcode is not Opcode.LOAD)
    at = PROGRAM + INSTRUCTION_BYTES * (loads + which % (len(step.program) - loads)) + bit // 8
    step.memory[at] ^= 1 << bit % 8
    memories = step.memory.copy(), step.memory.copy()
    ours = result(EmulatorEngine(step.parameters), step, memories[0])
    theirs = result(OracleEngine(step.parameters), step, memories[1])
    if not ours.startswith("refused"):
        assert ours == theirs
        np.testing.assert_array_equal(*memories)


def wrong(function: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *arguments: change(function(*arguments))


@pytest.mark.parametrize(
    "module, name, change",
    [
        (step_oracle_vector, "rsqrt", lambda y: np.nextafter(y, np.float32(0))),
        (step_oracle_vector, "exponential", lambda p: p + 2 * (p == 1 << 24)),
        (step_oracle_vector, "to_integers", lambda pair: (pair[0] + (pair[0] == 5), pair[1])),
        (step_oracle_attention, "scale_by_power_of_two", lambda y: -y),
        (step_oracle_linear, "add", lambda y: -y),
        (step_oracle_linear, "weight_values", lambda w: -w),
    ],
)
def test_a_mistake_in_an_engine_shows(
    module: Any, name: str, change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong(getattr(module, name), change))

    @settings(
        max_examples=300,
        deadline=None,
        suppress_health_check=HEALTH,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
    )
    @given(STEPS)
    def agree(step: RandomStep) -> None:
        assert difference(step) == ""

    with pytest.raises(AssertionError, match="the first engine gives"):
        agree()
