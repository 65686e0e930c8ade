# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Text through a model, a block at a time: the second moments of what every layer reads.

In memory are a block with its moments and what it computes for a few windows; hidden states lie in mapped files.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from elastix.compiler.errors import ElastixError
from elastix.compiler.precision.calibration import (
    Calibration,
    hidden_file,
    mapped,
    moments_file,
    new_array,
    prepare,
    save,
)
from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_model import Part, StreamedModel

Progress = Callable[[float], None]

TOKENS_AT_ONCE: Final = 2048
"""Of whole windows that go through a block together; at least one window."""
_PANEL: Final = 256


def calibrate(
    model: StreamedModel,
    windows: Tensor,
    *,
    folder: Path,
    progress: Progress = lambda _done: None,
) -> Calibration:
    """Run `windows`, token ids int64 [W, T], through the model and keep in `folder` what rounding needs to know.

    Goes on where an earlier call with the same model and text was stopped; what belongs to others is removed.
    progress: called with what was done of `work`. The same bits on one machine with one number of threads.
    Raises ElastixError for ids that the model lacks, windows longer than it was made for, and values that overflow.
    """
    _check(model, windows)
    prepare(folder, model, windows)
    _blocks(model, windows, folder, progress)
    _head(model, windows, folder, progress)
    return Calibration(folder, windows.numel(), {site.name: site.block for site in model.sites})


def work(model: StreamedModel, windows: Tensor) -> int:
    """All that `calibrate` does, in windows through a part of the model."""
    return (model.blocks + 1) * len(windows)


class SecondMoments:
    """Σ x xᵀ in fp32, upper triangle by panels, since BLAS' syrk is not to be had from torch.

    The sum of so many batches in fp32 is off by less than 10⁻⁶ of it, far below what damping adds.
    """

    def __init__(self, columns: int) -> None:
        self._sum = torch.zeros(columns, columns)

    def add(self, x: Tensor) -> None:
        """x: [..., K]."""
        x = x.detach().reshape(-1, x.shape[-1])
        for first in range(0, len(self._sum), _PANEL):
            self._sum[first : first + _PANEL, first:].addmm_(x[:, first : first + _PANEL].T, x[:, first:])

    def full(self) -> Tensor:
        """The symmetric matrix."""
        return self._sum.triu() + self._sum.triu(1).T


@contextmanager
def noted_inputs(part: Part, sites: Sequence[Site], note: Callable[[Site, Tensor], None]) -> Generator[None]:
    """Within the block, `note` is called with what the first site of each source reads, whenever the part runs."""

    def hook(site: Site) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _module, given: note(site, given[0])

    first = {site.source: site for site in reversed(sites)}
    hooks = [part.linear(site.name).register_forward_pre_hook(hook(site)) for site in first.values()]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()


def batches(windows: int, length: int) -> list[slice]:
    """Whole windows that go through a block together."""
    size = max(1, TOKENS_AT_ONCE // length)
    return [slice(first, min(first + size, windows)) for first in range(0, windows, size)]


def _check(model: StreamedModel, windows: Tensor) -> None:
    if windows.dim() != 2 or not windows.numel():
        raise ElastixError(f"windows of shape {list(windows.shape)}", wanted="token ids [W, T], one window at least")
    if (largest := int(windows.max())) >= model.vocabulary or int(windows.min()) < 0:
        raise ElastixError(
            f"token {largest if largest >= model.vocabulary else int(windows.min())}",
            wanted=f"0 to {model.vocabulary - 1}, which {model.path} knows",
            do="use the tokenizer that came with the model",
        )
    if model.context is not None and windows.shape[1] > model.context:
        raise ElastixError(
            f"windows of {windows.shape[1]} tokens", wanted=f"at most {model.context}, which the model was made for"
        )


def _blocks(model: StreamedModel, windows: Tensor, folder: Path, progress: Progress) -> None:
    shape = (*windows.shape, model.width)
    if not hidden_file(folder, 0).exists():
        with new_array(hidden_file(folder, 0), shape) as first:
            first[:] = model.embed(windows).numpy()
    for block in range(model.blocks):
        if moments_file(folder, block).exists():
            progress(len(windows))
            continue
        sites = _of_block(model, block)
        moments = {site.source: SecondMoments(site.columns) for site in sites}
        given = mapped(hidden_file(folder, block))

        def note(site: Site, x: Tensor, moments: dict[str, SecondMoments] = moments) -> None:
            moments[site.source].add(x)

        with (
            new_array(hidden_file(folder, block + 1), shape) as following,
            model.block(block) as part,
            noted_inputs(part, sites, note),
            torch.no_grad(),
        ):
            for batch in batches(*windows.shape):
                found = part(given[batch].clone())
                _check_finite(found, f"block {block} of {model.path}")
                following[batch] = found.numpy()
                progress(batch.stop - batch.start)
        save(moments_file(folder, block), {source: each.full().numpy() for source, each in moments.items()})


def _head(model: StreamedModel, windows: Tensor, folder: Path, progress: Progress) -> None:
    if moments_file(folder, model.blocks).exists():
        progress(len(windows))
        return
    site, given = model.sites[-1], mapped(hidden_file(folder, model.blocks))
    moments = SecondMoments(site.columns)
    with model.head() as head, noted_inputs(head, [site], lambda _site, x: moments.add(x)), torch.no_grad():
        for index in range(len(windows)):
            head(given[index : index + 1].clone())
            progress(1)
    save(moments_file(folder, model.blocks), {site.source: moments.full().numpy()})


def _of_block(model: StreamedModel, block: int) -> list[Site]:
    return [site for site in model.sites if site.block == block]


def _check_finite(values: Tensor, where: str) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ElastixError(f"{where} has values that are NaN or infinite", wanted="finite ones in fp32")
