"""A step processor under the harness, with a memory that a test lays out and programs that it writes."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from register_bench import Memory, RegisterBench

from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import POSITION, TOKEN, TOKENS
from elastix.runtime.memory_model import IDEAL, MemoryModel
from elastix.runtime.step_simulate import SimulatedStep

END = Instruction(Opcode.END, {})


class StepBench(RegisterBench):
    """A memory of `size` bytes, filled from the bottom; `program` puts instructions there."""

    patience = 50_000

    def __init__(self, step: SimulatedStep, size: int) -> None:
        super().__init__(step.engine)
        self.step = step
        self.memory: Memory = np.zeros(size, np.uint8)
        self.free = 0
        self.engine.attach(self.memory)

    def place(self, data: bytes | NDArray[np.generic], alignment: int = 64) -> int:
        """The address at which the data now lies."""
        content = np.frombuffer(data if isinstance(data, bytes) else data.tobytes(), np.uint8)
        address = -(-self.free // alignment) * alignment
        self.memory[address : address + len(content)] = content
        self.free = address + len(content)
        return address

    def program(self, instructions: Sequence[Instruction]) -> int:
        """The address of a program, END put behind it if it has none."""
        whole = [*instructions] if instructions and instructions[-1].opcode is Opcode.END else [*instructions, END]
        address = self.place(b"".join(each.encode() for each in whole), 256)
        self.free = -(-self.free // 256) * 256
        return address

    def floats(self, address: int, count: int) -> NDArray[np.float32]:
        return self.memory[address : address + 4 * count].view(np.float32)

    def start(self, program: int, tokens: Sequence[int] = (0,), position: int = 0) -> None:
        self.engine.write_register(TOKENS, len(tokens))
        self.engine.write_register(POSITION, position)
        if "embed" in self.step.parameters.features:
            for lane, token in enumerate(tokens[: self.step.parameters.lanes]):
                self.engine.write_register(TOKEN + 4 * lane, token)
        self.start_at(program)


@contextmanager
def step_bench(
    parameters: StepParameters, model: MemoryModel = IDEAL, *, size: int = 1 << 20, check_settled: bool = True
) -> Generator[StepBench]:
    with SimulatedStep(parameters, "rtl", model, check_settled=check_settled) as step:
        yield StepBench(step, size)
