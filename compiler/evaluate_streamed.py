"""A language model's logits on text in torch, a block in memory at a time: in fp32, or rounded as compiling rounds it.

Batched over tokens, hence fast: the weights are the exact values of the packed codes (C11), the activations of every
linear layer are rounded by C3, the sums are floating point where the engines' are exact integers. It cannot be bit for
bit: a sum that is off by an ulp can round an activation to the other neighbour, and deep models amplify that. Its
figures agree with the compiled step on the emulator to a few percent (compiler/numbers/README.md).
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor, nn

from elastix.compiler.errors import ElastixError
from elastix.compiler.image import source_of
from elastix.compiler.importer.store import Array, ArrayStore, WeightStore
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.plan import Plan
from elastix.compiler.numbers.quantize import chunk_rows, dequantize, map_in_order
from elastix.compiler.precision.plan_weights import PlanWeights
from elastix.compiler.precision.streamed_model import Part, StreamedModel
from elastix.compiler.rounded_activations import round_activations
from elastix.compiler.rounded_caches import FLOAT_BITS, rounded_caches

WINDOWS_AT_ONCE: Final = 16
"""Windows that one reading of the embedding table serves."""
Advance = Callable[[float], None]
"""Called with tokens times blocks done since the last call."""


@dataclass(frozen=True)
class Rounding:
    """What compiling does to a model's numbers, as options of `elastix compile`.

    plan: None leaves weights and activations in fp32; planned: the weights that it has rounded already;
    activation_bits: A; key_bits, value_bits: of cached keys and values, 32 for fp32; keep_codes: whether codes that the
    file has are kept where the format holds them.
    """

    plan: Plan | None = None
    activation_bits: int = 11
    key_bits: int = FLOAT_BITS
    value_bits: int = FLOAT_BITS
    keep_codes: bool = True
    planned: PlanWeights | None = None

    def activation_bits_of(self, name: str) -> int:
        """Of what a layer reads; 0 for fp32. Raises ElastixError for a plan that wants more than A."""
        if self.plan is None:
            return 0
        line = self.plan.line_of(name)
        bits = self.activation_bits if line.activation_bits is None else line.activation_bits
        if bits > self.activation_bits:
            raise ElastixError(f"{line.where}: activations of {bits} bits", wanted=f"at most {self.activation_bits}")
        return bits


class RoundedStore:
    """A store whose matrices are what their codes stand for, which are those that compiling takes."""

    def __init__(self, store: WeightStore, formats: Mapping[str, Format], rounding: Rounding) -> None:
        """formats: of the tensors that are rounded, the others stay as they are.

        Raises ElastixError where the plan's weights are those of another model.
        """
        self._store, self._formats, self._rounding = store, formats, rounding
        if rounding.planned is not None:
            rounding.planned.check_model(list(formats), store.shape)

    def names(self) -> list[str]:
        return self._store.names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._store.shape(name)

    def dtype(self, name: str) -> str:
        return "F32" if name in self._formats else self._store.dtype(name)

    def read(self, name: str) -> Array:
        if name not in self._formats:
            return self._store.read(name)
        store = self._store if self._rounding.keep_codes else ArrayStore({name: self._store.read(name)})
        source = source_of(store, name, self._formats[name], self._rounding.planned)
        slices = chunk_rows(source.shape, name)
        values = np.empty(source.shape, np.float32)
        chunks = map_in_order(lambda here: dequantize(source.rows(here).rows), slices, 2)
        for here, chunk in zip(slices, chunks, strict=True):
            values[here] = chunk
        return values


def formats_of(model: StreamedModel, plan: Plan) -> dict[str, Format]:
    """The format of every matrix that compiling rounds; raises ElastixError for a plan that is not this model's."""
    modules: list[tuple[str, nn.Module]] = list(cast(Any, model.module).named_modules())
    tables = [f"{name}.weight" for name, module in modules if isinstance(module, nn.Embedding)]
    names = list(dict.fromkeys([*(site.name for site in model.sites), *tables]))
    plan.check(names)
    return {name: plan.format_of(name) for name in names}


@dataclass(frozen=True)
class StreamedLogits:
    """The answers of a model whose blocks have run: the hidden states before its head, [T, D] of each window."""

    hidden: Sequence[Tensor]
    head: Part

    @torch.no_grad()
    def rows(self, window: int, begin: int, end: int) -> Tensor:
        """As `evaluate_score.Logits` says."""
        return self.head(self.hidden[window][None, begin:end])[0].float()


@contextmanager
def streamed_logits(
    model: StreamedModel,
    pieces: Sequence[Sequence[int]],
    rounding: Rounding | None = None,
    advance: Advance = lambda _: None,
) -> Generator[StreamedLogits]:
    """Run all blocks over the windows; within the context logits can be asked for.

    rounding: what is rounded; `model` is left rounded. Raises ElastixError as StreamedModel does.
    """
    rounding = rounding or Rounding()
    with ExitStack() as stack:
        # A rotation that the weights have already is not done again for the cache.
        unrotated = model.rotate not in ("values", "all")
        caches = rounded_caches(model.module, rounding.key_bits, rounding.value_bits, rotate_values=unrotated)
        stack.enter_context(caches)
        if rounding.plan is not None:
            model.store = RoundedStore(model.store, formats_of(model, rounding.plan), rounding)
        hidden = _embedded(model, pieces)
        for index in range(model.blocks):
            with model.block(index) as block, _rounded_inputs(block, rounding), torch.no_grad():
                for window, state in enumerate(hidden):
                    hidden[window] = block(state[None])[0]
                    advance(len(state))
        head = stack.enter_context(model.head())
        stack.enter_context(_rounded_inputs(head, rounding))
        yield StreamedLogits(hidden, head)


def _embedded(model: StreamedModel, pieces: Sequence[Sequence[int]]) -> list[Tensor]:
    """Hidden states before the first block; windows of one length are embedded together."""
    found: list[Tensor] = []
    while len(found) < len(pieces):
        first = len(found)
        last = min(first + WINDOWS_AT_ONCE, len(pieces))
        length = len(pieces[first])
        together = next((i for i in range(first, last) if len(pieces[i]) != length), last)
        found += [each.clone() for each in model.embed(torch.tensor(pieces[first:together]))]
    return found


@contextmanager
def _rounded_inputs(part: Part, rounding: Rounding) -> Generator[None]:
    """Within the block the part's linear layers round what they read by C3."""
    with ExitStack() as stack:
        for name, layer in part.linears.items():
            if bits := rounding.activation_bits_of(name):
                stack.callback(layer.register_forward_pre_hook(_rounding_to(bits)).remove)
        yield


def _rounding_to(bits: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    return lambda _module, inputs: (round_activations(inputs[0], bits), *inputs[1:])
