"""A processor under the harness, driven register by register, with random layers to launch."""

from collections.abc import Iterator
from contextlib import contextmanager

from register_bench import DONE, PENDING, Memory, RegisterBench

from elastix.compiler.numbers import oracle
from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.runtime.memory_model import IDEAL, MemoryModel
from elastix.runtime.simulate import ArcEngine
from elastix.runtime.single_layer import SingleLayer, single_layer


class ProcessorBench(RegisterBench):
    """One engine and one random layer that keeps all its channels and lanes at work."""

    def __init__(self, engine: ArcEngine, parameters: ProcessorParameters, layer: SingleLayer) -> None:
        super().__init__(engine)
        self.parameters, self.layer = parameters, layer
        self.expected = layer.memory.copy()
        oracle.run(self.expected, layer.descriptor, parameters)
        self.memory = layer.memory.copy()
        self.fresh()

    def fresh(self) -> Memory:
        """A memory as it is before the launch; the ports see it from now on."""
        self.memory = self.layer.memory.copy()
        self.engine.attach(self.memory)
        return self.memory

    def start(self, descriptor: int | None = None) -> None:
        self.start_at(self.layer.descriptor if descriptor is None else descriptor)

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
