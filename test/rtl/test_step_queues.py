"""The queues of the step processor against a list: random pushes and takes, clears, when a word is there."""

from collections import deque
from collections.abc import Callable
from random import Random

import pytest
from simulated import Simulated

from elastix.compiler.circuit import Module
from elastix.compiler.processor.step.queue import QUEUE_DEPTH, block_queue, queue


@pytest.mark.parametrize("kind", [queue, block_queue])
def test_words_come_out_in_order(kind: Callable[[int], Module]) -> None:
    dut, random = Simulated(kind(16)), Random(QUEUE_DEPTH)
    dut.set(clear=0, push=0, take=0)
    dut.reset()
    inside, taken = deque[int](), 0
    pushing = taking = 0.5
    for cycle in range(4000):
        if cycle % 50 == 0:
            pushing, taking = random.choice((0.1, 0.5, 1.0)), random.choice((0.1, 0.5, 1.0))
        clear, word = random.random() < 0.005, random.getrandbits(16)
        dut.set(push=0, push_data=word, clear=int(clear), take=0)
        dut.settle()
        assert dut.get("room") == (len(inside) < QUEUE_DEPTH)
        if kind is block_queue:
            assert dut.get("empty") == (not inside)
        push = dut.get("room") and random.random() < pushing
        take = dut.get("valid") and random.random() < taking
        dut.set(push=int(push), take=int(take))
        dut.settle()
        if dut.get("valid"):
            assert dut.get("data") == inside[0]
        if take:
            inside.popleft()
            taken += 1
        if push:
            inside.append(word)
        if clear:
            inside.clear()
        dut.step()
    assert taken > 1000


@pytest.mark.parametrize(("kind", "first", "every"), [(queue, 1, 1), (block_queue, 2, 2)])
def test_when_a_word_is_there(kind: Callable[[int], Module], first: int, every: int) -> None:
    """Cycles from a push into the empty queue to its word, and from a word that is taken to the next."""
    dut, seen = Simulated(kind(16)), list[tuple[int, int]]()
    dut.set(clear=0, push=0, take=0)
    dut.reset()
    for cycle in range(20):
        dut.set(push=int(cycle < 4), push_data=cycle, take=0)
        dut.settle()
        if dut.get("valid"):
            seen.append((cycle, dut.get("data")))
            dut.set(take=1)
        dut.step()
    assert seen == [(first + every * n, n) for n in range(4)]
