"""A language model's logits on text in torch, a block in memory at a time: in fp32, or rounded as compiling rounds it.

Batched over tokens, hence fast: the weights are the exact values of the packed codes (C11), the activations of every
linear layer are rounded by C3, the sums are floating point where the engines' are exact integers. It cannot be bit for
bit: a sum that is off by an ulp can round an activation to the other neighbour, and deep models amplify that. Its
figures agree with the compiled step on the emulator to a few percent (compiler/numbers/README.md).
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import nn

from elastix.compiler.errors import ElastixError
from elastix.compiler.image import source_of
from elastix.compiler.importer.store import Array, ArrayStore, WeightStore
from elastix.compiler.numbers.formats import Format
from elastix.compiler.numbers.plan import Plan
from elastix.compiler.numbers.quantize import chunk_rows, dequantize, map_in_order
from elastix.compiler.precision.plan_weights import PlanWeights
from elastix.compiler.precision.streamed_logits import Advance, StreamedLogits, Within, block_by_block, rounded_inputs
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.rounded_caches import FLOAT_BITS, rounded_caches


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


@contextmanager
def streamed_logits(
    model: StreamedModel,
    pieces: Sequence[Sequence[int]],
    rounding: Rounding | None = None,
    advance: Advance = lambda _: None,
    within: Within | None = None,
) -> Generator[StreamedLogits]:
    """Run all blocks over the windows; within the context logits can be asked for.

    rounding: what is rounded; `model` is left rounded; within: what parts run within instead of rounding what their
    layers read. Raises ElastixError as StreamedModel does.
    """
    rounding = rounding or Rounding()
    with ExitStack() as stack:
        # A rotation that the weights have already is not done again for the cache.
        unrotated = model.rotate not in ("values", "all")
        caches = rounded_caches(model.module, rounding.key_bits, rounding.value_bits, rotate_values=unrotated)
        stack.enter_context(caches)
        if rounding.plan is not None:
            model.store = RoundedStore(model.store, formats_of(model, rounding.plan), rounding)
        within = within or rounded_inputs(rounding.activation_bits_of)
        yield stack.enter_context(block_by_block(model, pieces, within, advance))
