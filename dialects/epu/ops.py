"""The ops of `epu`."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, TypeVar, cast

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import Dialect, IsolatedTrait, NoTerminatorTrait, Op, Region, Symbol, inferred
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.dialects import rules
from elastix.dialects.elx.format import Format, wrong_format


class Epu(Dialect, name="epu"):
    """How it is computed, on this hardware."""


P = TypeVar("P", bound=ProcessorParameters)


def parameters_of(op: Op, kind: type[P]) -> P:
    """An op's attributes as the parameters whose fields they are called after; words come as plain tuples.

    Raises ElastixError for a processor that cannot be.
    """
    values: dict[str, Any] = {field.name: getattr(op, field.name) for field in fields(kind)}
    return kind(**{name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    return tuple(cast(tuple[str, ...], value)) if isinstance(value, tuple) else value


class ProcessorOp(Op, dialect=Epu, name="processor", pure=False):
    """The hardware's parameters; from them the processor is generated.

    beat: bits; activation_bits: of an activation; lanes: tokens at once; channels: of weight memory;
    max_tiles: of 32 columns that the activation buffer holds; max_burst: beats of an AXI read;
    fifo_beats: a channel's; crc: whether segments are checked.
    """

    sym_name: str
    beat: int
    activation_bits: int
    lanes: int
    channels: int
    max_tiles: int
    max_burst: int
    fifo_beats: int
    crc: bool

    def parameters(self) -> ProcessorParameters:
        """The same as a value. Raises ElastixError for a processor that cannot be."""
        return parameters_of(self, ProcessorParameters)

    def wrong(self) -> Iterator[str]:
        try:
            self.parameters()
        except ElastixError as error:
            yield f"has {error.found}, wanted {error.wanted}"


class ProgramOp(Op, dialect=Epu, name="program", traits=(NoTerminatorTrait, IsolatedTrait), pure=False):
    """The instructions in its region, in order, on one processor."""

    sym_name: str
    processor: Symbol
    body: Region = inferred()


class LinearOp(Op, dialect=Epu, name="linear", pure=False):
    """One descriptor: rows × columns weights times the activations of `tokens` tokens; addresses are in bytes.

    weight: its name in the model; weights, channel_stride: its segments; x, y: activation images and results.
    """

    sym_name: str
    weight: str
    format: Format
    rows: int
    columns: int
    tokens: int
    weights: int
    channel_stride: int
    x: int
    y: int

    def wrong(self) -> Iterator[str]:
        yield from wrong_format(self)
        for name in ("rows", "columns", "tokens"):
            yield from rules.at_least(name, getattr(self, name), 1)
        yield from rules.multiple("weights", self.weights, 4096)
        yield from rules.multiple("channel_stride", self.channel_stride, 4096)
        yield from rules.multiple("x", self.x, 64)
        yield from rules.multiple("y", self.y, 64)
