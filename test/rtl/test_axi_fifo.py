"""The FIFO against a list: random pushes and pops, clears, full throughput."""

from collections import deque
from random import Random

import pytest
from simulated import Simulated

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.fifo import fifo


@pytest.mark.parametrize("depth", [2, 4, 32])
def test_words_come_out_in_order(depth: int) -> None:
    dut, random = Simulated(fifo(depth, 16)), Random(depth)
    dut.set(clear=0, push=0, ready=0)
    dut.reset()
    inside = deque[int]()
    pushing = popping = 0.5
    for cycle in range(4000):
        if cycle % 50 == 0:
            pushing, popping = random.choice((0.1, 0.5, 1.0)), random.choice((0.1, 0.5, 1.0))
        push, clear = len(inside) < depth and random.random() < pushing, random.random() < 0.005
        word = random.getrandbits(16)
        dut.set(push=int(push), push_data=word, clear=int(clear), ready=int(random.random() < popping))
        dut.settle()
        if dut.get("valid"):
            assert dut.get("data") == inside[0]
            if dut.get("ready"):
                inside.popleft()
        if push:
            inside.append(word)
        if clear:
            inside.clear()
        dut.step()
    dut.set(push=0, clear=0, ready=1)
    while inside:
        dut.settle()
        if dut.get("valid"):
            assert dut.get("data") == inside.popleft()
        dut.step()


def test_a_word_a_cycle_after_three_cycles() -> None:
    dut = Simulated(fifo(8, 16))
    dut.set(clear=0, push=0, ready=1)
    dut.reset()
    seen = list[int]()
    for cycle in range(40):
        dut.set(push=1, push_data=cycle)
        dut.settle()
        seen += [dut.get("data")] if dut.get("valid") else []
        dut.step()
    assert seen == list(range(37))


def test_other_depths_are_refused() -> None:
    with pytest.raises(ElastixError, match="a FIFO of 12 words; wanted: a power of two, at least 2"):
        fifo(12, 8)
