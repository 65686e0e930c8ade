"""The step processor's emulator: what it refuses and how it says so, its traces, its face in C."""

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from unit.step_programs import PARAMETERS, Program

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.quantize import quantize
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import FEATURES, StepParameters
from elastix.runtime import c_library_path
from elastix.runtime.step import KINDS, StepEmulator
from elastix.runtime.step_engines import EmulatorEngine, OracleEngine, compare
from elastix.runtime.step_trace import TracedInstruction, Write, element_type, first_difference

ROWS = 40


def values(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def finish(program: Program) -> int:
    """The program's address."""
    program.add(Opcode.END)
    return program.place(b"".join(each.encode() for each in program.instructions))


def table_program() -> tuple[Program, int]:
    """Rows of a table into a LINEAR by the same table, with an arg max; and where it is."""
    program = Program()
    layer = program.place_layer(quantize(values(ROWS, 64), Format(8)).rows)
    for lane in range(PARAMETERS.lanes):
        program.add(Opcode.EMBED, lane=lane, to=64 * lane, **layer)
        track = {"a": 64 * lane, "count": 64, "maximum": Maximum.MAGNITUDE, "max_register": lane, "lane": lane}
        program.add(Opcode.VECTOR, **track)
        quantized = {"a": 64 * lane, "count": 64, "bits": 11, "scalar_register": lane, "lane": lane}
        program.add(Opcode.VECTOR, operation=Operation.QUANTIZE, target=Target.ACTIVATIONS, **quantized)
    to_vector = {"target": Target.VECTOR, "to": 512, "lane_stride": 64, "rows": ROWS}
    program.add(Opcode.LINEAR, arg_max=1, maximum=Maximum.SIGNED, max_register=8, **to_vector, **layer)
    return program, finish(program)


def test_each_row_of_a_table_is_most_like_itself() -> None:
    program, at = table_program()
    emulator = StepEmulator(PARAMETERS, program.memory)
    for first, second in ((0, 1), (17, 39)):
        result = emulator.run(at, [first, second], 0)
        assert (result.arg_max, result.overflow) == ((first, second), False)
        assert result.instructions == len(program.instructions)
    assert emulator.run(at, [7], PARAMETERS.max_context - 1).arg_max == (7,)


@pytest.mark.parametrize(
    "tokens, position, message",
    [
        ([], 0, r"0 tokens; wanted: 1 to 2"),
        ([1, 2, 3], 0, r"3 tokens; wanted: 1 to 2"),
        ([1], -1, r"positions -1 to -1; wanted: 0 to 23"),
        ([1, 2], 23, r"positions 23 to 24; wanted: 0 to 23"),
        ([40], 0, r"instruction 0 \(embed .*\): token id 40; wanted: 0 to 39"),
        ([3, -1], 0, r"instruction 3 \(embed lane=1 .*\): token id -1"),
    ],
)
def test_a_run_out_of_range_is_refused(tokens: list[int], position: int, message: str) -> None:
    program, at = table_program()
    with pytest.raises(ElastixError, match=message):
        StepEmulator(PARAMETERS, program.memory).run(at, tokens, position)


REFUSED: list[tuple[Opcode, dict[str, int], str]] = [
    (Opcode.VECTOR, {"count": 8, "a": 4}, "a = 4; wanted: a multiple of 8"),
    (Opcode.VECTOR, {"count": 0}, r"count = 0"),
    (Opcode.VECTOR, {"count": 16, "a": 2040}, r"a = 2040, 16 elements; wanted: within the 2048 elements of vector"),
    (Opcode.VECTOR, {"count": 8, "to": 512, "target": Target.CONSTANT}, "to = 512, 8 elements"),
    (Opcode.VECTOR, {"count": 16, "to": 8, "target": Target.VECTOR}, "16 results at 8 over a at 0"),
    (Opcode.VECTOR, {"count": 16, "target": Target.MEMORY}, "wanted: NONE, VECTOR or CONSTANT"),
    (Opcode.VECTOR, {"count": 8, "operation": Operation.ROTATE, "period": 16}, "whole heads of 8"),
    (Opcode.VECTOR, {"count": 8, "operation": Operation.EXPONENTIAL, "a": 64}, "a score of 1.*above the largest, 0"),
    (Opcode.VECTOR, {"count": 8, "operation": Operation.SQUARES, "a": 64}, "a magnitude of 1.*above the largest, 0"),
    (Opcode.VECTOR, {"count": 8, "operation": Operation.QUANTIZE, "target": Target.KEY, "bits": 4}, "QUANTIZE to 4"),
    (Opcode.VECTOR, {"count": 8, "operation": Operation.SCALE, "k": 0x7F800000}, "wanted: a finite number"),
    (Opcode.SCORES, {"head": 2}, "head = 2; wanted: below 2"),
    (Opcode.SCORES, {"max_register": 63}, "max_register = 63; wanted: at most 62"),
    (Opcode.VALUES, {"values": 1 << 20}, "current|memory of 65536"),
    (Opcode.LOAD, {"count": 8, "target": Target.CONSTANT, "address": 32}, "address = 32; wanted: a multiple of 64"),
    (Opcode.LINEAR, {"rows": 1, "target": Target.VECTOR}, "bits is 0"),
    (Opcode.EMBED, {"lane": 1}, "bits is 0"),
]


@pytest.mark.parametrize("opcode, fields, message", REFUSED)
def test_a_bad_instruction_is_named(opcode: Opcode, fields: dict[str, int], message: str) -> None:
    program = Program()
    program.load(np.ones(8, np.float32), Target.VECTOR, 64)
    program.add(opcode, **fields)
    at = finish(program)
    with pytest.raises(ElastixError, match=rf"instruction 1 \({opcode.name.lower()}.*\): .*({message})"):
        StepEmulator(PARAMETERS, program.memory).run(at, [0], 1)


@pytest.mark.parametrize("feature", FEATURES)
def test_what_a_processor_was_generated_without_is_refused(feature: str) -> None:
    fields: dict[str, tuple[Opcode, dict[str, int]]] = {
        "rotate": (Opcode.VECTOR, {"count": 8, "period": 8, "operation": Operation.ROTATE}),
        "normalize_shift": (Opcode.VECTOR, {"count": 8, "operation": Operation.NORMALIZE_SHIFT}),
        "mean": (Opcode.VECTOR, {"count": 8, "operation": Operation.MEAN}),
        "embed": (Opcode.EMBED, {}),
        "attention": (Opcode.VALUES, {}),
        "arg_max": (Opcode.LINEAR, {"arg_max": 1, "rows": 1, "target": Target.VECTOR}),
    }
    program = Program()
    program.add(fields[feature][0], **fields[feature][1])
    at = finish(program)
    less = replace(PARAMETERS, features=tuple(each for each in FEATURES if each != feature))
    with pytest.raises(ElastixError, match="generated without this feature"):
        StepEmulator(less, program.memory).run(at, [0], 0)


def test_what_is_no_program_is_refused() -> None:
    memory = np.zeros(4096, np.uint8)
    emulator = StepEmulator(PARAMETERS, memory)
    with pytest.raises(ElastixError, match="a program at 0x20; wanted: a multiple of 64"):
        emulator.run(32, [0], 0)
    memory[128] = 9
    with pytest.raises(ElastixError, match=r"instruction 0: opcode = 9; wanted: 0 to 6"):
        emulator.run(128, [0], 0)
    memory[128:140] = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], np.uint8)
    with pytest.raises(ElastixError, match=r"instruction 0: bit 24 of word 2 is set; wanted: 0 there"):
        emulator.run(128, [0], 0)
    nothing = np.frombuffer(Instruction(Opcode.VECTOR, {"count": 1}).encode(), np.uint8)
    memory[:] = np.resize(nothing, memory.size)
    with pytest.raises(ElastixError, match=r"instruction 64: it lies outside the memory of 4096 bytes; wanted: END"):
        emulator.run(0, [0], 0)


def test_weights_that_were_damaged_are_noticed() -> None:
    program, at = table_program()
    linear = program.instructions[-2]
    program.memory[linear["weights"] + 5] ^= 4
    with pytest.raises(ElastixError, match=r"instruction 6 \(linear .*CRC is 0x.* wanted 0x"):
        StepEmulator(PARAMETERS, program.memory).run(at, [0], 0)


def test_memory_of_another_kind_is_refused() -> None:
    for memory in (np.zeros((2, 64), np.uint8), np.zeros(64, np.float32), np.zeros(128, np.uint8)[::2]):
        with pytest.raises(ElastixError, match="flat writable uint8"):
            StepEmulator(PARAMETERS, memory)  # type: ignore[arg-type]


def test_more_rows_than_one_sum_of_32_bits_takes() -> None:
    """The weighted sum of 1,300 rows of the largest codes."""
    p = StepParameters(beat=64, vector_elements=16384, max_context=1400, head_dim=8, group=5, attention_lanes=8)
    program = Program(p, 1 << 17)
    codes = np.full((p.max_context, p.row_bytes), 128, np.uint8)
    keys, rows = program.place(np.zeros_like(codes)), program.place(codes)
    scales = program.place(np.full(p.max_context, 0x3FFF, "<u2"))
    program.load(np.ones(8, np.float32), Target.VECTOR, 0)
    program.add(Opcode.VECTOR, count=8, maximum=Maximum.MAGNITUDE, max_register=0)
    kept = {"operation": Operation.QUANTIZE, "count": 8, "bits": 8, "rows": rows, "scales": scales - rows}
    program.add(Opcode.VECTOR, target=Target.VALUE, **kept)
    where = {"keys": keys, "key_scales": scales - keys, "values": rows, "value_scales": scales - rows}
    program.add(Opcode.SCORES, to=0, stride=1400, max_register=8, **where)
    one = {"count": 1, "to_position": 1, "scalar_register": 8}
    track = {"maximum": Maximum.MAGNITUDE, "max_register": 20}
    for j in range(p.group):
        program.add(Opcode.VECTOR, operation=Operation.EXPONENTIAL, target=Target.VECTOR, to=8192, **one, **track)
        keep = {"operation": Operation.QUANTIZE, "target": Target.PROBABILITY, "bits": 16, "head": j}
        program.add(Opcode.VECTOR, a=8192, **(one | keep | {"scalar_register": 20}))
    program.add(Opcode.VALUES, values=rows, to=12288)
    at = finish(program)
    assert compare(EmulatorEngine(p), OracleEngine(p), program.memory, at, [0], 1300) is None


# --- traces ----------------------------------------------------------------------------------------------------------


def test_a_trace_says_what_was_written_where_and_stops_when_asked() -> None:
    program, at = table_program()
    trace = StepEmulator(PARAMETERS, program.memory).run_traced(at, [5], 0)
    first = next(trace)
    assert (first.index, to_text(first.instruction)) == (0, to_text(program.instructions[0]))
    assert [(each.place, each.first, len(each.elements())) for each in first.writes] == [("vector memory", 0, 64)]
    second, third, fourth = next(trace), next(trace), next(trace)
    assert [each.place for each in second.writes] == ["scalar register 0"]
    assert second.writes[0].elements()[0] == np.abs(first.writes[0].elements()).max()
    assert [each.place for each in third.writes] == ["activation buffer of token 0", "activation exponent of token 0"]
    assert fourth.instruction["lane"] == 1 and fourth.writes == ()
    with pytest.raises(StopIteration) as stopped:
        while True:
            next(trace)
    assert stopped.value.value.arg_max == (5,)


def traced(*writes: Write) -> Iterator[TracedInstruction]:
    instruction = Instruction(Opcode.VECTOR, {"count": 8})
    yield TracedInstruction(0, instruction, ())
    yield TracedInstruction(1, instruction, writes)


def test_the_first_difference_of_two_traces() -> None:
    x = values(8)
    y = x.copy()
    y[3] = np.nextafter(y[3], np.float32(9))
    whole = Write("vector memory", 16, x.tobytes())
    halves = Write("vector memory", 20, x[4:].tobytes()), Write("vector memory", 16, x[:4].tobytes())
    assert first_difference(traced(whole), traced(*halves)) is None
    found = first_difference(traced(whole), traced(Write("vector memory", 16, y.tobytes())))
    assert found is not None
    assert (found.index, found.place, found.element) == (1, "vector memory", 19)
    bits = [f"{int(each.view('u4')[3]):#010x} ({each[3]})" for each in (x, y)]
    assert str(found) == (
        "instruction 1 (vector operation=COPY count=0x8): vector memory, element 0x13: "
        f"the first engine gives {bits[0]}, the second {bits[1]}"
    )
    more = first_difference(traced(whole), traced(whole, Write("scalar register 7", 0, x[:1].tobytes())))
    assert more is not None and (more.place, more.first) == ("scalar register 7", "nothing")
    shorter = first_difference(traced(whole), iter(list(traced(whole))[:1]))
    assert shorter is not None and (shorter.place, shorter.second) == ("program", "nothing")


def test_places_have_types() -> None:
    assert element_type("current key scale of token 3, head 1") == np.dtype("<u2")
    assert element_type("memory") == np.dtype("u1")
    with pytest.raises(ElastixError, match="place 'memory 3'"):
        element_type("memory 3")


# --- C -----------------------------------------------------------------------------------------------------------


def test_a_host_in_c_runs_the_same_program() -> None:
    library = ctypes.CDLL(str(c_library_path()))
    library.elastix_step_create.restype = ctypes.c_void_p
    library.elastix_step_error.restype = ctypes.c_char_p
    p = PARAMETERS
    fields = [p.beat, p.activation_bits, p.lanes, p.channels, p.max_tiles, p.vector_elements, p.constant_elements]
    fields += [p.max_context, p.head_dim, p.kv_heads, p.group, p.vector_lanes, p.attention_channels]
    fields += [KINDS.index(p.activations[0]), (1 << len(FEATURES)) - 1]
    step = ctypes.c_void_p(library.elastix_step_create((ctypes.c_int32 * len(fields))(*fields)))
    assert step.value is not None
    program, at = table_program()
    memory = program.memory.ctypes.data_as(ctypes.c_void_p)
    arg_max = (ctypes.c_int64 * 2)()

    def run(position: int) -> int:
        size, where, tokens = ctypes.c_uint64(program.memory.size), ctypes.c_uint64(at), (ctypes.c_int64 * 2)(31, 4)
        counts = ctypes.c_int64(2), ctypes.c_int64(position)
        return library.elastix_step_run(step, memory, size, where, tokens, *counts, arg_max)

    assert (run(0), list(arg_max), library.elastix_step_error(step)) == (0, [31, 4], b"")
    assert run(23) == 1
    assert b"positions 23 to 24; wanted 0 to 23" in library.elastix_step_error(step)
    library.elastix_step_destroy(step)
    fields[9] = 0
    assert library.elastix_step_create((ctypes.c_int32 * len(fields))(*fields)) is None
