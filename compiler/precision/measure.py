"""What a whole plan costs: KL to fp32 of the model with all its layers rounded, part by part in bounded memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from elastix.compiler.evaluate_score import score
from elastix.compiler.importer.store import Array, WeightStore
from elastix.compiler.precision.expected import LayerErrors
from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_logits import block_by_block, rounded_inputs
from elastix.compiler.precision.streamed_model import StreamedModel


@dataclass(frozen=True)
class Measured:
    """kl: KL(fp32 ‖ rounded) in nats a token; errors: of each layer by itself, on the same text."""

    kl: float
    errors: LayerErrors


@dataclass(frozen=True)
class _Rounded:
    """A store with the sites' values rounded, read when asked for."""

    store: WeightStore
    sites: Mapping[str, Site]
    rounded: Callable[[Site], Tensor]

    def names(self) -> list[str]:
        return self.store.names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self.store.shape(name)

    def dtype(self, name: str) -> str:
        return self.store.dtype(name)

    def read(self, name: str) -> Array:
        return self.rounded(self.sites[name]).numpy() if name in self.sites else self.store.read(name)


def work(model: StreamedModel, ids: Tensor) -> int:
    """All that `measured` does, in tokens through a part of the model."""
    return (2 * model.blocks + 1) * ids.numel()


def measured(
    model: StreamedModel,
    ids: Tensor,
    rounded: Callable[[Site], Tensor],
    *,
    activation_bits: int,
    progress: Callable[[float], None],
) -> Measured:
    """Of the model with every site as `rounded` gives it, over texts [W, T].

    Activations are rounded too (C3), caches are not. progress is told of `work`.
    """
    pieces = cast(list[list[int]], ids.tolist())  # pyright: ignore[reportUnknownMemberType]
    sites = {site.name: site for site in model.sites}
    errors = LayerErrors(lambda name: rounded(sites[name]))
    # Another one, since both have a head in memory when they are compared.
    other = StreamedModel(model.path, rotate=model.rotate)
    other.store = _Rounded(other.store, sites, rounded)
    with (
        block_by_block(model, pieces, errors.within, progress) as reference,
        block_by_block(other, pieces, rounded_inputs(lambda _name: activation_bits), progress) as found,
    ):
        return Measured(score(pieces, found, reference, progress).kl, errors)
