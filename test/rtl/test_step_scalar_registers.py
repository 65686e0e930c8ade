"""Maxima of words that come cycle after cycle, for registers in any order, against the largest of what came."""

from random import Random

import numpy as np
import pytest
from simulated import Simulated

from elastix.compiler.processor.step.instructions import Maximum
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.scalar_registers import scalar_registers

REGISTERS = (3, 4, 17, 60)


def bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("maximum", [Maximum.SIGNED, Maximum.MAGNITUDE])
def test_registers_hold_the_largest_of_what_came(lanes: int, maximum: Maximum) -> None:
    """Words for the same register one, two, three and more cycles apart; a scalar is written in between."""
    random = Random(lanes)
    dut = Simulated(scalar_registers(StepParameters(vector_lanes=lanes)))
    dut.set(clear=0, valid=0, write=0, scalar_register=0, maximum=maximum, data=0, tracked=0, first=0, max_register=0)
    dut.reset()
    held = dict[int, float]()

    def settled() -> None:
        dut.set(valid=0, write=0)
        for _ in range(8):
            dut.step()
        for register, value in held.items():
            dut.set(scalar_register=register)
            dut.step()
            dut.settle()
            assert dut.get("scalar") == bits(value), register

    for _ in range(30):
        few = random.sample(REGISTERS, random.randint(1, 4))
        for _ in range(30):
            register, valid = random.choice(few), random.random() < 0.8
            values = [random.choice((-1, 1)) * random.getrandbits(20) / 64 for _ in range(lanes)]
            tracked, first = random.getrandbits(lanes), register not in held or random.random() < 0.1
            data = sum(bits(value) << 32 * lane for lane, value in enumerate(values))
            dut.set(valid=int(valid), data=data, tracked=tracked, first=int(first), max_register=register)
            dut.step()
            if valid:
                seen = [value for lane, value in enumerate(values) if tracked >> lane & 1]
                if maximum is Maximum.MAGNITUDE:
                    seen = [abs(value) for value in seen]
                before = -np.inf if maximum is Maximum.SIGNED else 0.0
                held[register] = max(*seen, before if first else held[register], -np.inf)
        # What no element has entered is the least there is, which is none of these.
        held = {register: value for register, value in held.items() if value != -np.inf}
        settled()
        register, scalar = random.choice(REGISTERS), random.getrandbits(32)
        dut.set(write=1, register=register, result=scalar)
        dut.step()
        held.pop(register, None)
        dut.set(write=0, scalar_register=register)
        for _ in range(3):
            dut.step()
        dut.settle()
        assert dut.get("scalar") == scalar
