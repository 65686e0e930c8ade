"""A fault planted in the hardware is caught: each changes one op of one module's IR."""

import random

import pytest
from matrix_model import random_layer
from simulated import Simulated
from test_matrix_engine import Bench, check

from elastix.compiler.circuit.module import Module, Target
from elastix.compiler.processor.matrix_engine import matrix_engine
from elastix.compiler.processor.parameters import ProcessorParameters

FAULTS = {
    "the zero point is added, not subtracted": ("group_accumulator", "comb.sub bin", "comb.add bin"),
    "fine bits are taken away, not added": ("group_accumulator", "comb.add bin", "comb.sub bin"),
    "a scale of 6 bits is read from the place after its own": (
        "scale_decoder",
        "hw.constant -4 : i3",
        "hw.constant -3 : i3",
    ),
    "entries beside the row scale are read from bit 0": ("block_sequencer", "hw.constant 2 : i3", "hw.constant 0 : i3"),
    "a sum of the tree is wrong by a sign": ("dot_tree", "comb.add bin", "comb.sub bin"),
    "the top bit of a group sum is ignored": ("scale_multiplier", "comb.sub bin", "comb.add bin"),
    "row sums are not cleared between blocks": ("row_unit", "comb.mux bin", "comb.mux bin"),
    "rounding goes the other way": ("result_converter", "comb.or bin", "comb.and bin"),
    "the groups of a block are miscounted": ("block_sequencer", "comb.icmp bin eq", "comb.icmp bin ne"),
}
LAYERS = 16


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, right, wrong = FAULTS[fault]
    original = Module.text

    def faulty(module: Module, target: Target) -> str:
        text = original(module, target)
        if module.name != place:
            return text
        assert right in text
        if right == wrong:  # both ways of the mux become what is kept
            zero, kept = text.split(f"{right} ")[1].split(" : ")[0].split(", ")[1:]
            return text.replace(f", {zero}, {kept} ", f", {kept}, {kept} ")
        return text.replace(right, wrong, 1)

    monkeypatch.setattr(Module, "text", faulty)
    pick = random.Random(1)
    dut = Simulated(matrix_engine(ProcessorParameters(beat=64, max_tiles=8)))
    monkeypatch.undo()
    dut.reset()
    with pytest.raises(AssertionError):
        for _ in range(LAYERS):
            layer = random_layer(pick, 64, pick.randint(1, 8), pick.randint(1, 3), pick.randint(0, 2), 7, 3)
            check(Bench(dut, pick), layer, 1, 11)


def test_without_a_fault_the_same_check_passes() -> None:
    pick = random.Random(1)
    dut = Simulated(matrix_engine(ProcessorParameters(beat=64, max_tiles=8)))
    dut.reset()
    for _ in range(LAYERS):
        layer = random_layer(pick, 64, pick.randint(1, 8), pick.randint(1, 3), pick.randint(0, 2), 7, 3)
        check(Bench(dut, pick), layer, 1, 11)
