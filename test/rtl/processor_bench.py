"""A processor under the harness, driven register by register, with random layers to launch."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.fault_monitor import ErrorBit
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.memory_model import IDEAL, MemoryModel
from elastix.runtime.simulate import ArcEngine
from elastix.runtime.single_layer import SingleLayer, single_layer

START, SOFT_RESET, ENABLE, ACKNOWLEDGE = 1, 2, 4, 8
BUSY, DONE, ERROR, RESETTING, PENDING = 1, 2, 4, 8, 16

Memory = NDArray[np.uint8]


class ProcessorBench:
    """One engine and one random layer that keeps all its channels and lanes at work."""

    def __init__(self, engine: ArcEngine, parameters: ProcessorParameters, layer: SingleLayer) -> None:
        self.engine, self.parameters, self.layer = engine, parameters, layer
        self.expected = layer.memory.copy()
        oracle.run(self.expected, layer.descriptor, parameters)
        self.memory = layer.memory.copy()
        self.fresh()

    def fresh(self) -> Memory:
        """A memory as it is before the launch; the ports see it from now on."""
        self.memory = self.layer.memory.copy()
        self.engine.attach(self.memory)
        return self.memory

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

    def start(self, descriptor: int | None = None) -> None:
        address = self.layer.descriptor if descriptor is None else descriptor
        self.engine.write_register(Offset.DESCRIPTOR, address & 0xFFFFFFFF)
        self.engine.write_register(Offset.DESCRIPTOR_HIGH, address >> 32)
        self.engine.write_register(Offset.CONTROL, START | ENABLE | ACKNOWLEDGE)

    def finish(self, limit: int = 20000) -> int:
        """Steps until the interrupt; the status then, acknowledged."""
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

    def check_run(self) -> None:
        """A launch in a fresh memory ends well and is equal in every bit."""
        self.fresh()
        self.engine.write_register(Offset.ERROR, 0x3F)
        self.start()
        assert self.finish() == DONE | PENDING
        assert self.errors == set()
        assert (self.memory == self.expected).all()


@contextmanager
def processor_bench(
    parameters: ProcessorParameters, model: MemoryModel = IDEAL, *, rows: int = 70, columns: int = 200, bits: int = 3
) -> Iterator[ProcessorBench]:
    layer = single_layer(
        Format(bits, 64, "s6", "half_step"),
        rows,
        columns,
        beat=parameters.beat,
        channels=parameters.channels,
        activation_bits=parameters.activation_bits,
        tokens=parameters.lanes,
    )
    with ArcEngine(parameters, model, check_settled=True) as engine:
        engine.reset()
        yield ProcessorBench(engine, parameters, layer)
