"""The step processor's RTL against the oracle: random programs, with the waits that the compiler gives them."""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from random_steps import PROGRAM, SLOT, SLOTS, Builder, RandomStep

from elastix.compiler.numbers import step_oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.step_oracle_state import Place, State
from elastix.compiler.processor.step.instructions import Instruction, Opcode, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.waits import waits
from elastix.runtime.memory_model import DDR3_1600_X16, IDEAL
from elastix.runtime.step_simulate import SimulatedStep

ELEMENTS = SLOT * (SLOTS + 1)
SHAPES = {
    "D64": StepParameters(
        beat=64,
        lanes=2,
        max_tiles=3,
        vector_lanes=2,
        vector_elements=ELEMENTS,
        constant_elements=ELEMENTS,
        max_context=20,
        head_dim=16,
        kv_heads=2,
        group=2,
        attention_lanes=4,
        max_burst=16,
        fifo_beats=32,
    ),
    "D128": StepParameters(
        beat=128,
        activation_bits=9,
        lanes=3,
        channels=3,
        attention_channels=2,
        max_tiles=5,
        vector_lanes=8,
        vector_elements=ELEMENTS,
        constant_elements=ELEMENTS,
        max_context=39,
        head_dim=32,
        kv_heads=3,
        group=1,
        attention_lanes=16,
        activations=("gelu",),
        max_burst=4,
        fifo_beats=64,
    ),
    "L16": StepParameters(
        beat=256,
        lanes=2,
        channels=2,
        attention_channels=2,
        max_tiles=3,
        vector_lanes=16,
        vector_elements=ELEMENTS,
        constant_elements=ELEMENTS,
        max_context=37,
        head_dim=16,
        kv_heads=2,
        group=3,
        attention_lanes=4,
        activations=("gelu_tanh",),
        max_burst=8,
        fifo_beats=32,
    ),
    "E4": StepParameters(
        beat=64,
        lanes=4,
        channels=4,
        attention_channels=4,
        max_tiles=3,
        vector_lanes=1,
        vector_elements=ELEMENTS,
        constant_elements=ELEMENTS,
        max_context=29,
        head_dim=8,
        kv_heads=2,
        group=3,
        attention_lanes=2,
        max_burst=8,
        fifo_beats=32,
    ),
    "D512": StepParameters(
        beat=512,
        activation_bits=12,
        max_tiles=3,
        vector_lanes=1,
        vector_elements=ELEMENTS,
        constant_elements=ELEMENTS,
        max_context=30,
        head_dim=8,
        group=4,
        activations=("relu",),
        attention_lanes=2,
        crc=False,
    ),
}
KINDS = ("load", "each", "each", "each", "reduce", "quantize", "linear", "embed", "attention")
MODELS = (IDEAL, IDEAL.with_pressure(7, 40), DDR3_1600_X16)


def random_format(builder: Builder) -> Format:
    if builder.pick(True, False):
        return Format(builder.number(1, 8), builder.pick(32, 64), "s8c8", "asymmetric")
    scale, zero = builder.pick("s8", "s6"), builder.pick("symmetric", "half_step")
    return Format(builder.number(1, 8), builder.pick(32, 64, 96), scale, zero)


def random_step(p: StepParameters, seed: int) -> RandomStep:
    """A dozen instructions of all kinds over memories full of numbers."""
    builder = Builder(p, np.random.default_rng(seed), extreme=seed % 2 == 1)
    count, rows = builder.number(1, p.lanes), builder.number(1, 40)
    position = builder.number(0, p.max_context - count)
    tokens = tuple(builder.number(0, rows - 1) for _ in range(count))
    for slot in range(SLOTS + 1):
        builder.load(Target.VECTOR, SLOT * slot)
        builder.load(Target.CONSTANT, SLOT * slot)
    for _ in range(10):
        match builder.pick(*KINDS):
            case "linear":
                builder.linear(random_format(builder))
            case "embed":
                builder.embed(random_format(builder), rows)
            case "attention":
                builder.attention(count)
            case kind:
                getattr(builder, kind)()
    given = waits([*builder.program, Instruction(Opcode.END, {})], p)
    builder.program[:] = [
        Instruction(each.opcode, {**each.values, **counts})
        for each, counts in zip(builder.program, given, strict=False)
    ]
    return builder.finish(tokens, position)


class Opened(SimulatedStep):
    """A simulated step processor whose memories one can look into."""

    def __init__(self, p: StepParameters, seed: int) -> None:
        super().__init__(p, "rtl", MODELS[seed % len(MODELS)], check_settled=seed == 0)

    def elements(self, place: str, count: int) -> NDArray[np.uint32]:
        """Patterns in vector or constant memory, out of the copy for the first read port."""
        lanes = self.parameters.vector_lanes
        memories: Mapping[str, tuple[int, int, int]] = self.engine.circuit.memories
        parts = list[NDArray[Any]]()
        for lane in range(lanes):
            address, stride, words = memories[f"vector/pipeline/{place}/copy_0_{lane}"]
            raw = ctypes.string_at(address, stride * words)
            parts.append(np.frombuffer(raw, np.uint32)[: -(-count // lanes)])
        return np.stack(parts, axis=1).reshape(-1)[:count]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_programs_leave_the_same(name: str) -> None:
    """Memory, vector and constant memory, arg max and flags; memories of the processor begin as zeros."""
    p = SHAPES[name]
    for seed in range(24):
        step = random_step(p, seed)
        expected, memory = step.memory.copy(), step.memory.copy()
        state = State(p, expected)
        wanted = step_oracle.run(expected, PROGRAM, step.tokens, step.position, p, state=state)
        with Opened(p, seed) as engine:
            found = engine.run(memory, PROGRAM, step.tokens, step.position)
            assert found.overflow == wanted.flags.overflow, f"seed {seed}"
            assert found.arg_max == tuple(state.arrays[Place.ARG_MAX][: len(step.tokens)]), f"seed {seed}"
            np.testing.assert_array_equal(memory, expected, err_msg=f"seed {seed}")
            for place, instance, count in (
                (Place.VECTOR, "vector_memory", p.vector_elements),
                (Place.CONSTANT, "constant_memory", p.constant_elements),
            ):
                there = state.arrays[place].view(np.uint32)
                np.testing.assert_array_equal(engine.elements(instance, count), there, err_msg=f"seed {seed}")
