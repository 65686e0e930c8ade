"""The oracle of the step processor on tiny programs, against numpy: bits where fp32 says them, else stated errors."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from unit.step_programs import PARAMETERS, Program, scalar, vector_memory

from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.fp32 import Flags
from elastix.compiler.numbers.functions import activation
from elastix.compiler.numbers.pack import Descriptor, Geometry, activation_images, read_results
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.numbers.step_oracle_state import Place
from elastix.compiler.processor.step.instructions import Maximum, Opcode, Operation, Target

Float32 = NDArray[np.float32]
A, B, C, D, TO = 0, 64, 0, 64, 128
K = np.float32(-1.7)
S = 3
"""A scalar register that programs give the largest magnitude of a."""


def random(*shape: int, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pattern(x: float) -> int:
    return int(np.float32(x).view(np.uint32))


def operands(n: int = 40) -> tuple[Program, Float32, Float32, Float32, Float32]:
    """a and b in vector memory, c and d in constant memory, max|a| in register S."""
    program = Program()
    a, b, c, d = random(4, n)
    for values, target, to in (
        (a, Target.VECTOR, A),
        (b, Target.VECTOR, B),
        (c, Target.CONSTANT, C),
        (d, Target.CONSTANT, D),
    ):
        program.load(values, target, to)
    program.add(Opcode.VECTOR, operation=Operation.COPY, a=A, count=n, maximum=Maximum.MAGNITUDE, max_register=S)
    return program, a, b, c, d


def rotated(a: Float32, c: Float32, d: Float32) -> Float32:
    partner = a.reshape(-1, 2, 4)[:, ::-1].ravel()
    return a * np.resize(c[:8], 40) + partner * np.resize(d[:8], 40)


ELEMENTWISE: dict[Operation, Callable[[Float32, Float32, Float32, Float32, np.float32], Float32]] = {
    Operation.COPY: lambda a, b, c, d, s: a,
    Operation.ADD: lambda a, b, c, d, s: a + b,
    Operation.ADD_CONSTANT: lambda a, b, c, d, s: a + np.resize(c[:8], 40),
    Operation.MULTIPLY: lambda a, b, c, d, s: a * b,
    Operation.SCALE: lambda a, b, c, d, s: a * K,
    Operation.SCALE_BY: lambda a, b, c, d, s: a * s,
    Operation.SUBTRACT: lambda a, b, c, d, s: a - s,
    Operation.NORMALIZE: lambda a, b, c, d, s: a * s * np.resize(c[:8], 40),
    Operation.NORMALIZE_SHIFT: lambda a, b, c, d, s: a * s * np.resize(c[:8], 40) + np.resize(d[:8], 40),
    Operation.ROTATE: lambda a, b, c, d, s: rotated(a, c, d),
    Operation.ACTIVATE: lambda a, b, c, d, s: activation("silu", a, Flags()),
}


@pytest.mark.parametrize("operation", ELEMENTWISE)
def test_elementwise(operation: Operation) -> None:
    """Bits, with constants that begin again every 8 elements, and the signed maximum of what comes out."""
    program, a, b, c, d = operands()
    fields = {"a": A, "b": B, "c": C, "d": D, "to": TO, "count": 40, "period": 8, "k": pattern(K), "scalar_register": S}
    to_vector = {"target": Target.VECTOR, "maximum": Maximum.SIGNED, "max_register": 9}
    program.add(Opcode.VECTOR, operation=operation, **fields, **to_vector)
    results = program.run()
    wanted = ELEMENTWISE[operation](a, b, c, d, np.abs(a).max())
    np.testing.assert_array_equal(vector_memory(results, TO, 48), np.append(wanted, np.zeros(8)))
    assert scalar(results, S) == np.abs(a).max()
    assert scalar(results, 9) == wanted.max()


def test_constants_without_a_period_and_results_in_constant_memory() -> None:
    program, a, _, c, _ = operands()
    fields = {"operation": Operation.ADD_CONSTANT, "a": A, "c": C, "count": 40, "to": 160}
    program.add(Opcode.VECTOR, target=Target.CONSTANT, **fields)
    np.testing.assert_array_equal(program.run().state.arrays[Place.CONSTANT][160:200], a + c)


def test_maxima() -> None:
    """C22: from 0 or from the register; from the least number; equal zeros count as +0."""
    program = Program()
    program.load(np.array([-5, 2, -0.0], np.float32), Target.VECTOR, 0)
    program.load(np.array([-0.0, -1], np.float32), Target.VECTOR, 16)

    def track(maximum: Maximum, register: int, a: int, count: int) -> None:
        program.add(Opcode.VECTOR, a=a, count=count, maximum=maximum, max_register=register)

    track(Maximum.MAGNITUDE, 0, 0, 3)
    track(Maximum.MAGNITUDE, 1, 0, 1)
    track(Maximum.MAGNITUDE_KEEP, 1, 0, 2)
    track(Maximum.SIGNED, 2, 0, 3)
    track(Maximum.SIGNED, 3, 0, 1)
    track(Maximum.SIGNED, 4, 16, 2)
    results = program.run()
    assert [float(scalar(results, register)) for register in range(4)] == [5, 5, 2, -5]
    assert scalar(results, 4) == 0 and not np.signbit(scalar(results, 4))


@pytest.mark.parametrize("n", [40, 576])
@pytest.mark.parametrize("shift", [False, True])
def test_norms(n: int, shift: bool) -> None:
    """C19 against float64 on usual values, where errors of many elements cancel."""
    x, weight, bias = random(3, n, seed=n)
    x = x + np.float32(0.5)
    program = Program()
    program.load(x, Target.VECTOR, 0)
    constants = PARAMETERS.constant_elements // 2
    weight, bias = weight[:constants], bias[:constants]
    period = 0 if n <= constants else 64
    program.load(weight[: period or n], Target.CONSTANT, 0)
    program.load(bias[: period or n], Target.CONSTANT, constants)
    k, epsilon = pattern(1 / n), pattern(1e-5)
    program.add(Opcode.VECTOR, a=0, count=n, maximum=Maximum.MAGNITUDE, max_register=0)
    exact = x.astype(np.float64)
    if shift:
        program.add(Opcode.VECTOR, operation=Operation.MEAN, a=0, count=n, scalar_register=0, result_register=1, k=k)
        centre = {"operation": Operation.SUBTRACT, "a": 0, "to": 0, "count": n, "scalar_register": 1}
        program.add(Opcode.VECTOR, target=Target.VECTOR, maximum=Maximum.MAGNITUDE, max_register=0, **centre)
        exact = exact - exact.mean()
    squares = {"a": 0, "count": n, "scalar_register": 0, "result_register": 2, "k": k, "epsilon": epsilon}
    program.add(Opcode.VECTOR, operation=Operation.SQUARES, **squares)
    operation = Operation.NORMALIZE_SHIFT if shift else Operation.NORMALIZE
    fields = {"a": 0, "c": 0, "d": constants, "to": 1024, "count": n, "scalar_register": 2, "period": period}
    program.add(Opcode.VECTOR, operation=operation, target=Target.VECTOR, **fields)
    found = vector_memory(program.run(), 1024, n)
    wanted = exact / np.sqrt((exact**2).mean() + 1e-5) * np.resize(weight[: period or n], n)
    if shift:
        wanted = wanted + np.resize(bias[: period or n], n)
    error = np.abs(found - wanted).max() / np.abs(wanted).max()
    assert 1e-8 < error < (1e-5 if shift else 2e-6)


def test_the_worst_norm() -> None:
    """One element that decides the unit, all others half a unit beside it: 1.02·√n·2^-16 + 5e-7 is the bound."""
    n = 576
    x = np.full(n, 683.5, np.float32)  # to 684 units; 2^14/√n = 683 is where that matters most
    x[0] = 1 << 14
    program = Program()
    program.load(x, Target.VECTOR, 0)
    program.add(Opcode.VECTOR, a=0, count=n, maximum=Maximum.MAGNITUDE, max_register=0)
    fields = {"a": 0, "count": n, "scalar_register": 0, "result_register": 2, "k": pattern(1 / n)}
    program.add(Opcode.VECTOR, operation=Operation.SQUARES, **fields)
    error = abs(scalar(program.run(), 2) * np.sqrt((x.astype(np.float64) ** 2).mean()) - 1)
    assert 0.99 < error / (np.sqrt(n) * 2.0**-16) < 1.02


@pytest.mark.parametrize("form", [Format(8), Format(3, 32, "s8c8", "asymmetric"), Format(4, 64, "s6", "half_step")])
@pytest.mark.parametrize("to_memory", [False, True])
def test_linear_is_the_oracle_of_launches(form: Format, to_memory: bool) -> None:
    """Two tokens through QUANTIZE and LINEAR, and through a descriptor: bits, maxima and arg max of what counts."""
    p, rows, columns = PARAMETERS, 13, 72
    layer = quantize(random(rows, columns, seed=3), form).rows
    x = random(2, columns, seed=4)
    program = Program()
    fields = program.place_layer(layer)
    for lane in range(2):
        program.load(x[lane], Target.VECTOR, 128 * lane, lane=lane)
        take = {"a": 128 * lane, "count": columns, "lane": lane}
        program.add(Opcode.VECTOR, **take, maximum=Maximum.MAGNITUDE, max_register=lane)
        quantized = {"target": Target.ACTIVATIONS, "bits": p.activation_bits, "scalar_register": lane}
        program.add(Opcode.VECTOR, operation=Operation.QUANTIZE, **quantized, **take)
    y = program.place(bytes(2 * 4 * 14)) if to_memory else 512
    where = {"to": y, "target": Target.MEMORY if to_memory else Target.VECTOR, "lane_stride": 56 if to_memory else 16}
    tracked = {"maximum": Maximum.NONE if to_memory else Maximum.SIGNED, "max_register": 5}
    program.add(Opcode.LINEAR, **fields, **where, **tracked, rows=rows, arg_max=1)
    results = program.run((0, 0))

    geometry = Geometry(form, rows, columns, p.beat, p.channels)
    images = program.place(activation_images(*oracle.quantize(x, p.activation_bits)))
    there = program.place(bytes(2 * geometry.result_bytes))
    descriptor = Descriptor.of(geometry, weights=fields["weights"], x=images, y=there, tokens=2)
    oracle.execute(program.memory, program.place(descriptor.encode()), p)
    wanted = read_results(program.memory, there, geometry, 2)
    if to_memory:
        found = read_results(program.memory, y, geometry, 2)
    else:
        found = np.stack([vector_memory(results, 512 + 16 * token, rows) for token in range(2)])
    np.testing.assert_array_equal(found, wanted)
    largest = [0, 0] if to_memory else wanted.max(axis=1).tolist()
    assert [scalar(results, 5), scalar(results, 6)] == largest
    np.testing.assert_array_equal(results.state.arrays[Place.ARG_MAX], wanted.argmax(axis=1))


@pytest.mark.parametrize("operation", [Operation.ADD, Operation.MULTIPLY, Operation.ADD_CONSTANT, Operation.ACTIVATE])
def test_linear_with_an_operation(operation: Operation) -> None:
    """What is done to the results of a LINEAR is what VECTOR does to them; maxima are of what comes out."""
    program, rows, columns = Program(), 14, 32
    second, x = random(2, 16, seed=8), random(columns, seed=9)
    program.load(second.ravel(), Target.VECTOR, 256)
    program.load(second[0], Target.CONSTANT, 32)
    weights = program.place_layer(quantize(random(rows, columns, seed=7), Format(8)).rows)
    for lane in range(2):
        program.load(x, Target.VECTOR, 0, lane=lane)
        program.add(Opcode.VECTOR, a=0, count=columns, maximum=Maximum.MAGNITUDE, max_register=0, lane=lane)
        quantized = {"target": Target.ACTIVATIONS, "bits": 8, "scalar_register": 0}
        program.add(Opcode.VECTOR, operation=Operation.QUANTIZE, a=0, count=columns, lane=lane, **quantized)
    program.add(Opcode.LINEAR, **weights, target=Target.VECTOR, to=128, lane_stride=16, rows=rows)
    first = {"from": 32 if operation is Operation.ADD_CONSTANT else 256}
    tracked = {"rows": 9, "maximum": Maximum.MAGNITUDE, "max_register": 2}
    there = {"target": Target.VECTOR, "to": 256 if operation is Operation.ADD else 320, "lane_stride": 16}
    program.add(Opcode.LINEAR, **weights, operation=operation, **there, **first, **tracked)
    results = program.run((0, 0))
    for token in range(2):
        y = vector_memory(results, 128 + 16 * token, rows)
        wanted = {
            Operation.ADD: y + second[token, :rows],
            Operation.MULTIPLY: y * second[token, :rows],
            Operation.ADD_CONSTANT: y + second[0, :rows],
            Operation.ACTIVATE: activation("silu", y, Flags()),
        }[operation]
        np.testing.assert_array_equal(vector_memory(results, there["to"] + 16 * token, rows), wanted)
        assert scalar(results, 2 + token) == np.abs(wanted[:9]).max()


def test_activations_from_a_column_on() -> None:
    """The tiles before stay; columns behind, to the end of the tile, become 0."""
    program = Program()
    x = random(60, seed=5)
    program.load(x, Target.VECTOR, 0)
    program.add(Opcode.VECTOR, a=0, count=60, maximum=Maximum.MAGNITUDE, max_register=0)
    fields = {"operation": Operation.QUANTIZE, "target": Target.ACTIVATIONS, "bits": 9, "scalar_register": 0}
    program.add(Opcode.VECTOR, **fields, a=0, count=60)
    program.add(Opcode.VECTOR, **fields, a=8, count=5, to=32)
    wanted, e = oracle.quantize(x[None], 9)
    state = program.run().state
    held = state.arrays[Place.ACTIVATIONS][:64]
    np.testing.assert_array_equal(held[:32], wanted[0, :32])
    np.testing.assert_array_equal(held[32:], np.append(wanted[0, 8:13], np.zeros(27)))
    assert state.arrays[Place.ACTIVATION_EXPONENT][0] == e[0]


def test_embed_and_load_at_a_position() -> None:
    """Rows of a packed table are C11's, padded columns too; a LOAD with a stride takes its position's values."""
    form, rows, columns = Format(5, 32, "s8c8", "asymmetric"), 21, 40
    layer = quantize(random(rows, columns, seed=6), form).rows
    program = Program()
    fields = program.place_layer(layer)
    positions = random(24, 16, seed=7)
    positions[7, 3] = 1e-40
    at = program.place(positions)
    for lane in range(2):
        program.add(Opcode.EMBED, **fields, to=64 * lane, lane=lane)
        where = {"target": Target.CONSTANT, "to": 16 * lane}
        program.add(Opcode.LOAD, count=16, address=at, stride=64, lane=lane, **where)
    results = program.run((20, 3), position=6)
    geometry = Geometry(form, rows, columns, PARAMETERS.beat, PARAMETERS.channels)
    descriptor = program.place(Descriptor.of(geometry, weights=fields["weights"], x=0, y=0).encode())
    wanted = oracle.embedding(program.memory, descriptor, np.array([20, 3]), 64, PARAMETERS)
    np.testing.assert_array_equal(vector_memory(results, 0, 128).reshape(2, 64), wanted)
    assert (wanted[:, columns:] != 0).any()
    positions[7, 3] = 0
    np.testing.assert_array_equal(results.state.arrays[Place.CONSTANT][:32], positions[6:8].ravel())


def test_a_lane_without_a_token_does_nothing() -> None:
    program, *_ = operands()
    program.add(Opcode.VECTOR, target=Target.VECTOR, a=A, to=TO, count=8, lane=1)
    assert not vector_memory(program.run(), TO, 8).any()


def test_overflow_is_sticky() -> None:
    program, *_ = operands()
    program.add(Opcode.VECTOR, operation=Operation.SCALE, target=Target.VECTOR, a=A, to=TO, count=8, k=pattern(3e38))
    program.add(Opcode.VECTOR, target=Target.VECTOR, a=A, to=TO, count=8)
    assert program.run().flags.overflow
    assert not operands()[0].run().flags.overflow
