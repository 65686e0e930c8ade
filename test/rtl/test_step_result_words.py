"""Beats of results into words with addresses, or into memory, and the arg max, with takers at any pace."""

from functools import cache
from random import Random

import numpy as np
import pytest
from simulated import Simulated

from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.result_words import result_words


@cache
def parameters(beat: int, vector_lanes: int, lanes: int) -> StepParameters:
    return StepParameters(beat=beat, vector_lanes=vector_lanes, lanes=lanes, head_dim=max(8, vector_lanes))


@cache
def simulated(beat: int, vector_lanes: int, lanes: int) -> Simulated:
    return Simulated(result_words(parameters(beat, vector_lanes, lanes)))


class Run:
    """LINEARs' results through the module, each given as soon as it is taken: words and beats as they left, those of
    each instruction in a list."""

    def __init__(self, p: StepParameters, given: list[tuple[Instruction, np.ndarray]], random: Random) -> None:
        self.p, self.dut = p, simulated(p.beat, p.vector_lanes, p.lanes)
        self.words: list[list[dict[str, int]]] = [[]]
        self.beats: list[list[tuple[int, int]]] = [[]]
        tokens = len(given[0][1])
        queue = [
            (
                int.from_bytes(results[token, p.rows * block : p.rows * (block + 1)].tobytes(), "little"),
                token == tokens - 1,
            )
            for _, results in given
            for block in range(results.shape[1] // p.rows)
            for token in range(tokens)
        ]
        to_take = [int.from_bytes(instruction.encode(), "little") for instruction, _ in given]
        self.dut.set(clear=1, take=0, tokens=tokens, y_valid=0, written=0, matrix_ready=0, logits_ready=0)
        self.dut.step()
        self.dut.set(clear=0)
        lasts: list[int] = []
        for _ in range(60 * len(queue) + 100 * len(given)):
            take = bool(to_take) and bool(self.dut.get("accepts"))
            self.dut.set(take=int(take), instruction=to_take.pop(0) if take else random.getrandbits(512))
            valid = bool(queue) and random.random() < 0.6
            self.dut.set(
                y_valid=int(valid), matrix_ready=int(random.random() < 0.6), logits_ready=int(random.random() < 0.6)
            )
            if valid:
                self.dut.set(y_data=queue[0][0], y_last=int(queue[0][1]))
            # The vector engine writes some time after it took the word.
            lasts = [left - 1 for left in lasts]
            self.dut.set(written=int(0 in lasts))
            lasts = [left for left in lasts if left > 0]
            self.dut.settle()
            self._look(lasts, random)
            if valid and self.dut.get("y_ready"):
                queue.pop(0)
            done = self.dut.get("done")
            self.dut.step()
            if done:
                assert not lasts
                if len(self.words) == len(given):
                    assert not queue
                    return
                self.words.append([])
                self.beats.append([])
        raise AssertionError("it does not end")

    def _look(self, lasts: list[int], random: Random) -> None:
        get = self.dut.get
        if get("matrix_valid") and get("matrix_ready"):
            names = ("data", "mask", "tracked", "operation", "to", "from", "maximum", "max_register", "first", "last")
            self.words[-1].append({name: get(f"matrix_{name}") for name in names})
            if self.words[-1][-1]["last"]:
                lasts.append(max([0, *lasts]) + random.randint(1, 9))
        if get("logits_valid") and get("logits_ready"):
            assert get("logits_strobe") == (1 << self.p.beat // 8) - 1
            self.beats[-1].append((get("logits_beat"), get("logits_data")))


def random_results(p: StepParameters, tokens: int, rows: int) -> np.ndarray:
    padded = -(-rows // p.rows) * p.rows
    return np.random.default_rng(rows).normal(size=(tokens, padded)).astype(np.float32)


SHAPES = [
    (64, 1, 1),
    (64, 8, 2),
    (128, 4, 1),
    (256, 2, 3),
    (256, 8, 1),
    (512, 4, 2),
    (64, 16, 1),
    (256, 16, 2),
    (512, 16, 1),
]


TO, FROM, STRIDE, FIRST_REGISTER = 64, 512, 96, 5


def to_vector(p: StepParameters, operation: Operation, results: np.ndarray, rows: int) -> Instruction:
    fields = {"operation": operation, "target": Target.VECTOR, "rows": rows, "row_blocks": results.shape[1] // p.rows}
    fields |= {"maximum": Maximum.MAGNITUDE, "max_register": FIRST_REGISTER, "to": TO, "from": FROM}
    return Instruction(Opcode.LINEAR, fields | {"lane_stride": STRIDE})


def check_words(p: StepParameters, words: list[dict[str, int]], operation: int, results: np.ndarray, rows: int) -> None:
    lanes = len(results)
    found: dict[int, int] = {}
    firsts, lasts, tracked = [0] * lanes, [0] * lanes, 0
    for word in words:
        token = word["max_register"] - FIRST_REGISTER
        assert word["operation"] == operation and word["maximum"] == Maximum.MAGNITUDE
        moved = 0 if operation == Operation.ADD_CONSTANT else token * STRIDE
        assert word["from"] - FROM - moved == word["to"] - TO - token * STRIDE
        assert word["tracked"] & ~word["mask"] == 0
        tracked += word["tracked"].bit_count()
        firsts[token] += word["first"]
        lasts[token] += word["last"]
        assert word["to"] % p.vector_lanes == 0
        for lane in range(p.vector_lanes):
            if word["mask"] >> lane & 1:
                assert word["to"] + lane not in found
                found[word["to"] + lane] = word["data"] >> 32 * lane & 0xFFFFFFFF
    assert firsts == lasts == [1] * lanes
    assert tracked == rows * lanes
    assert found == {
        TO + token * STRIDE + i: int(bits)
        for token in range(lanes)
        for i, bits in enumerate(results[token].view(np.uint32))
    }


@pytest.mark.parametrize(("beat", "vector_lanes", "lanes"), SHAPES)
@pytest.mark.parametrize("operation", [Operation.COPY, Operation.ADD, Operation.ADD_CONSTANT])
def test_every_result_goes_to_its_element(beat: int, vector_lanes: int, lanes: int, operation: Operation) -> None:
    p, rows = parameters(beat, vector_lanes, lanes), 37
    results = random_results(p, lanes, rows)
    run = Run(p, [(to_vector(p, operation, results, rows), results)], Random(beat))
    check_words(p, run.words[0], operation, results, rows)
    assert not run.beats[0]


@pytest.mark.parametrize(("beat", "vector_lanes", "lanes"), SHAPES)
def test_results_of_the_next_instruction_wait_until_those_before_are_written(
    beat: int, vector_lanes: int, lanes: int
) -> None:
    """Its beats may be there, and itself given, long before."""
    p, random = parameters(beat, vector_lanes, lanes), Random(beat)
    given, counts = list[tuple[Instruction, np.ndarray]](), [1, 37, 5, 16, 2, 33]
    for rows in counts:
        results = random_results(p, lanes, rows)
        given.append((to_vector(p, random.choice([Operation.COPY, Operation.MULTIPLY]), results, rows), results))
    memory = random_results(p, lanes, 45)
    fields = {"target": Target.MEMORY, "rows": 45, "row_blocks": memory.shape[1] // p.rows, "lane_stride": 4096}
    given.insert(3, (Instruction(Opcode.LINEAR, fields | {"arg_max": 1}), memory))
    counts.insert(3, 45)
    run = Run(p, given, random)
    for index, (instruction, results) in enumerate(given):
        if instruction["target"] == Target.MEMORY:
            assert len(run.beats[index]) == lanes * results.shape[1] // p.rows and not run.words[index]
            continue
        check_words(p, run.words[index], instruction["operation"], results, counts[index])
        assert not run.beats[index]
    assert [run.dut.get(f"arg_max_{m}") for m in range(lanes)] == [int(np.argmax(row[:45])) for row in memory]


@pytest.mark.parametrize(("beat", "vector_lanes", "lanes"), SHAPES)
def test_logits_go_to_memory_and_the_largest_is_found(beat: int, vector_lanes: int, lanes: int) -> None:
    p, rows = parameters(beat, vector_lanes, lanes), 45
    results = random_results(p, lanes, rows)
    results[:, rows:] = 1e9  # padding that must not win
    results[0, 7] = results[0, 20] = 50.0  # the lowest index among equals
    if lanes > 1:
        results[1, :rows] = -np.abs(results[1, :rows])
        results[1, 3], results[1, 9] = -0.0, 0.0  # equal
    beat_bytes, stride = beat // 8, 4096
    fields = {"target": Target.MEMORY, "rows": rows, "row_blocks": results.shape[1] // p.rows}
    fields |= {"to": 1 << 33, "lane_stride": stride, "arg_max": 1}
    run = Run(p, [(Instruction(Opcode.LINEAR, fields), results)], Random(beat))
    assert not run.words[0]
    expected = {
        ((1 << 33) + token * stride) // beat_bytes + block: int.from_bytes(
            results[token, p.rows * block : p.rows * (block + 1)].tobytes(), "little"
        )
        for token in range(lanes)
        for block in range(results.shape[1] // p.rows)
    }
    assert dict(run.beats[0]) == expected and len(run.beats[0]) == len(expected)
    found = [run.dut.get(f"arg_max_{token}") for token in range(lanes)]
    assert found == [int(np.argmax(row[:rows])) for row in results]
