"""The step processor's emulator against its oracle: every place that every instruction writes, in every bit."""

from hypothesis import HealthCheck, given, settings
from random_steps import PROGRAM, RandomStep, random_steps

from elastix.runtime.step_engines import EmulatorEngine, OracleEngine
from elastix.runtime.step_trace import first_difference


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(random_steps())
def test_every_instruction_writes_the_same(step: RandomStep) -> None:
    emulator, oracle = EmulatorEngine(step.parameters), OracleEngine(step.parameters)
    ours, theirs = step.memory.copy(), step.memory.copy()
    first = emulator.run_traced(ours, PROGRAM, step.tokens, step.position)
    second = oracle.run_traced(theirs, PROGRAM, step.tokens, step.position)
    found = first_difference(first, second)
    assert found is None, str(found)
    assert (ours == theirs).all()
