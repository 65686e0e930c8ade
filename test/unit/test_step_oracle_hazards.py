"""Waits that order what they must and waits that do not; and instructions that a processor does not carry out."""

import random
from dataclasses import replace

import numpy as np
import pytest
from unit.step_programs import PARAMETERS, Program

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.step_oracle import run
from elastix.compiler.numbers.step_oracle_hazards import check_hazards, order_of
from elastix.compiler.numbers.step_oracle_program import check_instruction
from elastix.compiler.processor.step.assembly import from_text
from elastix.compiler.processor.step.instructions import UNIT_OF, Instruction, Opcode, Unit

LOAD = "load target=VECTOR count=8 address=0x1000 to="
COPY = "vector target=VECTOR count=8 "
NO_WEIGHTS = "bits=8 row_blocks=4 tiles=1 group_tiles=1 header_words=1 block_beats=9 weights=0x2000 channel_stride=4096"
LINEAR = f"linear {NO_WEIGHTS} rows=8 target=VECTOR "
QUANTIZE = "vector operation=QUANTIZE target=ACTIVATIONS bits=8 count=8 "


def check(*lines: str, tokens: int | None = 1) -> None:
    check_hazards([from_text(line) for line in (*lines, "end")], PARAMETERS, tokens=tokens)


def refused(*lines: str, tokens: int | None = 1) -> str:
    with pytest.raises(ElastixError) as error:
        check(*lines, tokens=tokens)
    return str(error.value)


def test_reading_what_another_unit_writes() -> None:
    lines = (LOAD + "0", COPY + "a=0 to=8")
    message = refused(*lines)
    assert message.startswith("instruction 1 (vector operation=COPY") and "reads vector memory 0" in message
    assert "instruction 0 (load " in message and "writes" in message
    assert message.endswith("wanted: wait_load of at least 1")
    check(lines[0], lines[1] + " wait_load=1")


def test_the_vector_unit_overlaps_reads_and_nothing_else() -> None:
    """Reading after writing needs a wait within the unit; overwriting what was read or written does not."""
    load = LOAD + "0"
    first = COPY + "a=0 to=8 wait_load=1"
    assert "wait_vector of at least 1" in refused(load, first, COPY + "a=8 to=16")
    check(load, first, COPY + "a=8 to=16 wait_vector=1")
    check(load, first, COPY + "a=0 to=8", COPY + "a=0 to=0")
    track = first + " maximum=MAGNITUDE max_register=3"
    scale = COPY + "operation=SCALE_BY scalar_register=3 a=0 to=16"
    assert "reads scalar register 3" in refused(load, track, scale)
    check(load, track, scale + " wait_vector=1")


def test_overwriting_what_another_unit_may_still_read_or_write() -> None:
    load, copy = LOAD + "0", COPY + "a=0 to=8 wait_load=1"
    again = LOAD + "0"
    assert "overwrites vector memory 0, which instruction 1" in refused(load, copy, again)
    check(load, copy, again + " wait_vector=1")
    assert "overwrites vector memory 8, which instruction 1" in refused(load, copy, LOAD + "8")
    check(load, copy, LOAD + "8 wait_vector=1")
    check(load, LOAD + "0", copy.replace("wait_load=1", "wait_load=2"))


def test_waits_count_for_those_who_wait_for_the_waiting() -> None:
    """LINEAR waits for the vector unit, which waited for the loader; a later wait in the unit's order counts too."""
    x = (LOAD + "0", "vector count=8 a=0 wait_load=1 maximum=MAGNITUDE", QUANTIZE + "a=0 wait_vector=1")
    check(*x, LINEAR + "to=0 wait_vector=2")
    assert "reads activation 0, which instruction 2" in refused(*x, LINEAR + "to=0 wait_vector=1")
    check(*x, LINEAR + "to=8 wait_vector=2", COPY + "a=8 to=16 wait_matrix=1", LOAD + "8 wait_vector=3")
    assert "reads vector memory 8" in refused(*x, LINEAR + "to=8 wait_vector=2", COPY + "a=8 to=16 wait_vector=2")


def test_activations_tiles_and_registers_of_linear() -> None:
    x = (LOAD + "0", "vector count=8 a=0 wait_load=1 maximum=MAGNITUDE", QUANTIZE + "a=0 wait_vector=1")
    linear = LINEAR + "to=8 maximum=SIGNED max_register=7 "
    assert "reads activation 0" in refused(*x, linear + "wait_vector=1")
    check(*x, linear + "wait_vector=2")
    after = COPY + "operation=SCALE_BY scalar_register=7 a=0 to=16"
    assert "reads scalar register 7" in refused(*x, linear + "wait_vector=2", after)
    assert "overwrites activation 0, which instruction 3" in refused(*x, linear + "wait_vector=2", x[2])
    check(*x, linear + "wait_vector=2", x[2] + " wait_matrix=1", after + " wait_matrix=1")
    two = linear.replace("tiles=1", "tiles=2").replace("block_beats=9", "block_beats=17")
    assert "reads activation 32, which nothing has written" in refused(*x, two + "wait_vector=2")


def test_what_nothing_has_written() -> None:
    assert "reads vector memory 4, which nothing has written" in refused(
        "load target=VECTOR count=4 address=0x1000 to=0", COPY + "a=0 to=8 wait_load=1"
    )
    assert "reads scalar register 1" in refused(
        LOAD + "0", COPY + "operation=SUBTRACT a=0 scalar_register=1 wait_load=1"
    )


def test_waiting_for_what_comes_later() -> None:
    assert "has wait_load of 2; wanted: at most 1" in refused(LOAD + "0", COPY + "a=0 to=8 wait_load=2")
    assert "has wait_vector of 1; wanted: at most 0" in refused(LOAD + "0", COPY + "a=0 to=8 wait_load=1 wait_vector=1")


def test_writing_in_place() -> None:
    """Element for element only; b and constants too; nothing twice."""
    load = LOAD + "0"
    check(load, COPY + "a=0 to=0 wait_load=1")
    wide = "load target=VECTOR count=16 address=0x1000 to=0"
    assert "writes vector memory 8 to 23, which it reads from 0 on" in refused(
        wide, "vector target=VECTOR count=16 a=0 to=8 wait_load=1"
    )
    constants = "load target=CONSTANT count=16 address=0x1000 to=0"
    rope = "vector operation=ROTATE target=VECTOR count=8 period=8 c=0 d=8 a=0 wait_load=2 to="
    assert "writes vector memory 0 to 7, which it reads" in refused(load, constants, rope + "0")
    check(load, constants, rope + "8")
    x = (wide, "vector count=8 a=0 wait_load=1 maximum=MAGNITUDE", QUANTIZE + "a=0 wait_vector=1")
    both = (*x, x[1] + " lane=1", x[2].replace("wait_vector=1", "wait_vector=3 lane=1"))
    linear = LINEAR + "wait_vector=4 to=32 lane_stride="
    check(*both, linear + "8", tokens=2)
    assert "writes vector memory 32 twice" in refused(*both, linear + "0", tokens=2)


def test_memory_that_is_written_is_not_read() -> None:
    """Streams run ahead, so no wait helps; writing twice in order is allowed."""
    x = (LOAD + "0", "vector count=8 a=0 wait_load=1 maximum=MAGNITUDE", QUANTIZE + "a=0 wait_vector=1")
    logits = LINEAR.replace("target=VECTOR", "target=MEMORY") + "wait_vector=2 to="
    check(*x, logits + "0x8000", logits + "0x8000")
    assert "instruction 0 (load target=VECTOR" in refused(*x, logits + "0x1000")
    message = refused(*x, logits + "0x8000", LOAD.replace("0x1000", "0x8000") + "8 wait_matrix=1")
    assert "writes and instruction 4" in message and "reads byte 0x8000" in message


def test_lanes_without_a_token_wait_and_write_nothing() -> None:
    """With one token the second lane's copy is skipped, at its place and after its waits."""
    lines = (LOAD + "0", COPY + "a=0 to=8 wait_load=1 lane=1", COPY + "a=0 to=16")
    check(*lines, tokens=None)
    alone = (LOAD + "0", COPY + "a=0 to=8 lane=1", COPY + "a=0 to=16 wait_load=1")
    check(*alone, tokens=1)
    assert "in runs of 2 tokens; wanted: wait_load of at least 1" in refused(*alone, tokens=None)
    after = (*lines[:2], COPY + "a=8 to=16 wait_load=1 wait_vector=1")
    check(*after, tokens=2)
    assert "which nothing has written" in refused(*after)


def test_maxima_in_order_and_reductions_late() -> None:
    """A maximum goes on from one of the same unit at once; what a reduction writes has to be waited for."""
    load = LOAD + "0"
    first = "vector count=8 a=0 maximum=MAGNITUDE max_register=1 wait_load=1"
    more = "vector count=8 a=0 maximum=MAGNITUDE_KEEP max_register=1 wait_load=1"
    check(load, first, more, first)
    assert "reads scalar register 1, which nothing has written" in refused(load, more)
    squares = "vector operation=SQUARES count=8 a=0 scalar_register=1 wait_vector=1 result_register=2"
    check(load, first, squares, first)
    assert "overwrites scalar register 2, which instruction 2" in refused(load, first, squares, squares)
    assert "overwrites scalar register 2" in refused(load, first, squares, first.replace("register=1", "register=2"))
    assert "reads scalar register 2" in refused(load, first, squares, more.replace("register=1", "register=2"))
    check(load, first, squares, squares.replace("wait_vector=1", "wait_vector=2"))
    late = "load target=VECTOR count=8 address=0x1000 to=8"
    matrix = LINEAR + "to=32 maximum=MAGNITUDE max_register=1 wait_vector=2"
    quantized = (load, first, QUANTIZE + "a=0 scalar_register=1 wait_vector=1", matrix, late)
    assert "reads scalar register 1, which instruction 3" in refused(*quantized, more)
    check(*quantized, more + " wait_matrix=1")


def begins_without(program: list[Instruction], never: int) -> set[int]:
    """What begins in a run of one token where an instruction never finishes, by carrying out the rules of units."""
    unit_of = [UNIT_OF[each.opcode] for each in program]
    earlier = [[k for k in range(j) if unit_of[k] is unit_of[j]] for j in range(len(program))]
    begun, finished = set[int](), set[int]()
    while True:
        counts = {unit: sum(unit_of[k] is unit for k in finished) for unit in Unit}
        ready = {j for j, each in enumerate(program) if all(counts[u] >= each[f"wait_{u.name.lower()}"] for u in Unit)}
        overlaps = {j for j in ready if unit_of[j] is Unit.VECTOR and not program[j]["lane"]}
        new = {j for j in overlaps if set(earlier[j][-1:]) <= begun} | {j for j in ready if set(earlier[j]) <= finished}
        done = {j for j in begun if j != never and set(earlier[j]) <= finished}
        if new <= begun and done <= finished:
            return begun
        begun |= new
        finished |= done


@pytest.mark.parametrize("seed", range(12))
def test_the_order_is_exactly_what_waits_imply(seed: int) -> None:
    """One instruction has surely finished before another begins, if and only if the other never begins without it."""
    generator = random.Random(seed)
    issued = dict.fromkeys(Unit, 0)
    program: list[Instruction] = []
    for _ in range(24):
        opcode = generator.choice((Opcode.LINEAR, Opcode.VECTOR, Opcode.VECTOR, Opcode.VALUES, Opcode.LOAD))
        waits = {
            f"wait_{u.name.lower()}": generator.randint(0, n) if generator.random() < 0.3 else 0
            for u, n in issued.items()
        }
        lane = {} if opcode is Opcode.LINEAR else {"lane": int(generator.random() < 0.2)}
        program.append(Instruction(opcode, waits | lane))
        issued[UNIT_OF[opcode]] += 1
    order = order_of(program, 1)
    for never in range(len(program)):
        begun = begins_without(program, never)
        for then in range(never + 1, len(program)):
            assert order.before(never, then) == (then not in begun)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("load target=MEMORY count=8 address=0x1000", "target MEMORY"),
        ("load target=VECTOR count=8 address=0x1020", "address at 0x1020; wanted: a multiple of 64"),
        (COPY + "a=4", "a 4; wanted: a multiple of 8"),
        (COPY + "d=4", "d 4; wanted: a multiple of 8"),
        ("vector target=VECTOR", "0 elements; wanted: at least 1"),
        ("load target=VECTOR", "0 elements; wanted: at least 1"),
        ("vector operation=QUANTIZE target=KEY bits=8 count=8 scales=8", "scales at 0x8; wanted: a multiple of 64"),
        (LINEAR + "operation=ADD arg_max=1", "arg max of ADD; wanted: COPY"),
        ("vector target=MEMORY count=8", "COPY to MEMORY"),
        ("vector target=KEY count=8", "COPY to KEY"),
        ("vector operation=MEAN target=VECTOR", "MEAN to VECTOR"),
        ("vector operation=SQUARES maximum=SIGNED", "SQUARES with maximum SIGNED"),
        ("vector operation=ROTATE target=VECTOR count=12 period=8", "ROTATE of 12 elements by 8"),
        ("vector operation=QUANTIZE target=VECTOR", "QUANTIZE to VECTOR"),
        ("vector operation=QUANTIZE target=ACTIVATIONS bits=12", "QUANTIZE to 12 bits; wanted: 8 or 9 or 10 or 11"),
        ("vector operation=QUANTIZE target=KEY bits=8 count=16", "16 elements; wanted: 8"),
        ("vector operation=QUANTIZE target=KEY bits=8 count=8 head=2", "head 2; wanted: below 2"),
        ("vector operation=QUANTIZE target=QUERY bits=16 count=8", "8 elements; wanted: 16"),
        ("vector operation=QUANTIZE target=PROBABILITY bits=16 to=8", "to 8; wanted: 0"),
        ("scores head=2", "head 2; wanted: below 2"),
        ("scores max_register=63", "max_register 63; wanted: at most 62"),
        ("scores keys=4", "keys at 0x4"),
        (LINEAR + "operation=SCALE", "operation SCALE"),
        (LINEAR.replace("VECTOR", "CONSTANT"), "target CONSTANT"),
        (LINEAR.replace("VECTOR", "MEMORY") + "operation=ADD", "operation ADD on the way to MEMORY"),
        (LINEAR.replace("VECTOR", "MEMORY") + "maximum=SIGNED", "maximum SIGNED of results to MEMORY"),
        (LINEAR.replace("rows=8", "rows=9"), "9 rows; wanted: at most 8"),
        (LINEAR.replace(" tiles=1", " tiles=5"), "5 tiles; wanted: 1 to 4"),
        (LINEAR.replace("bits=8", "bits=9"), "9 bits; wanted: 1 to 8"),
        (LINEAR.replace("group_tiles=1", "group_tiles=9"), "groups of 9 tiles"),
        (LINEAR.replace("block_beats=9", "block_beats=8"), "1 header words, 8 beats a block; wanted: 1 and 9"),
        (LINEAR + "scale_format=3", "scale format 3; wanted: 0 to 2"),
    ],
)
def test_instructions_that_are_refused(line: str, wanted: str) -> None:
    with pytest.raises(ElastixError) as error:
        check_instruction(from_text(line), PARAMETERS)
    assert wanted in str(error.value)


@pytest.mark.parametrize(
    ("line", "feature"),
    [
        ("vector operation=ROTATE target=VECTOR count=8 period=8", "rotate"),
        ("vector operation=NORMALIZE_SHIFT count=8", "normalize_shift"),
        ("vector operation=MEAN count=8", "mean"),
        ("vector operation=EXPONENTIAL count=8", "attention"),
        ("vector operation=QUANTIZE target=KEY bits=8 count=8", "attention"),
        ("scores", "attention"),
        ("values", "attention"),
        ("embed " + NO_WEIGHTS, "embed"),
        (LINEAR + "arg_max=1", "arg_max"),
    ],
)
def test_instructions_that_want_a_feature(line: str, feature: str) -> None:
    check_instruction(from_text(line), PARAMETERS)
    without = replace(PARAMETERS, features=tuple(set(PARAMETERS.features) - {feature}))
    with pytest.raises(ElastixError, match=f"no feature {feature};"):
        check_instruction(from_text(line), without)


def test_runs_that_are_refused() -> None:
    program = Program()
    program.load(np.ones(8, np.float32), 1, 0)
    scale = {"operation": 12, "a": 0, "count": 8, "scalar_register": 4}
    program.add(Opcode.VECTOR, **scale)
    program.add(Opcode.END)
    at = program.place(b"".join(each.encode() for each in program.instructions))
    for tokens, position, message in (((), 0, "0 tokens"), ((0,) * 3, 0, "3 tokens"), ((0, 0), 23, "at position 23")):
        with pytest.raises(ElastixError, match=message):
            run(program.memory, at, tokens, position, PARAMETERS)
    with pytest.raises(ElastixError, match=r"instruction 1: scalar register 4 holds 0\.0, a magnitude is 1\.0"):
        run(program.memory, at, (0,), 0, PARAMETERS)
    with pytest.raises(ElastixError, match="without END"):
        run(program.memory[:128], at, (0,), 0, PARAMETERS)
    with pytest.raises(ElastixError, match="a program at 0x21"):
        run(program.memory, 0x21, (0,), 0, PARAMETERS)
    program.memory[at : at + 64] = np.frombuffer(Instruction(Opcode.LOAD, {"target": 1, "to": 4}).encode(), np.uint8)
    with pytest.raises(ElastixError, match=r"instruction 0: load .*to 4; wanted: a multiple of 8"):
        run(program.memory, at, (0,), 0, PARAMETERS)


def test_addresses_are_multiples_of_sixteen_for_sixteen_lanes() -> None:
    sixteen = replace(PARAMETERS, vector_lanes=16, head_dim=16)
    for line, wanted in (
        (COPY + "a=8", "a 8"),
        (LINEAR + "to=16 lane_stride=8", "lane_stride 0x8"),
        (COPY + "period=24", "period 24"),
    ):
        check_instruction(from_text(line), PARAMETERS)
        with pytest.raises(ElastixError, match=f"{wanted}; wanted: (a multiple|multiples) of 16"):
            check_instruction(from_text(line), sixteen)
