"""A processor driven register by register, whatever it computes."""

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.fault_monitor import ErrorBit
from elastix.runtime.simulate import ProcessorEngine

START, SOFT_RESET, ENABLE, ACKNOWLEDGE = 1, 2, 4, 8
BUSY, DONE, ERROR, RESETTING, PENDING = 1, 2, 4, 8, 16

Memory = NDArray[np.uint8]


class RegisterBench:
    """The registers of a simulated processor, as a driver uses them. patience: cycles that a run may take."""

    patience = 20_000

    def __init__(self, engine: ProcessorEngine) -> None:
        self.engine = engine

    def read(self, offset: int) -> int:
        return self.engine.read_register(offset)

    @property
    def status(self) -> int:
        return self.read(Offset.STATUS)

    @property
    def errors(self) -> set[ErrorBit]:
        word = self.read(Offset.ERROR)
        return {bit for bit in ErrorBit if word >> bit & 1}

    @property
    def error_address(self) -> int:
        return self.read(Offset.ERROR_ADDRESS) | self.read(Offset.ERROR_ADDRESS_HIGH) << 32

    def start_at(self, address: int) -> None:
        """Of a descriptor, or of a program."""
        self.engine.write_register(Offset.DESCRIPTOR, address & 0xFFFFFFFF)
        self.engine.write_register(Offset.DESCRIPTOR_HIGH, address >> 32)
        self.engine.write_register(Offset.CONTROL, START | ENABLE | ACKNOWLEDGE)

    def finish(self, limit: int | None = None) -> int:
        """Steps until the interrupt; the status then, acknowledged."""
        limit = self.patience if limit is None else limit
        assert self.engine.step(limit), f"no interrupt in {limit} cycles, status {self.status:#x}"
        status = self.status
        self.engine.write_register(Offset.CONTROL, ACKNOWLEDGE)
        return status

    def soft_reset(self, limit: int = 5000) -> None:
        self.engine.write_register(Offset.CONTROL, SOFT_RESET)
        for _ in range(limit):
            if not self.status & RESETTING:
                return
        raise AssertionError("the soft reset does not end")
