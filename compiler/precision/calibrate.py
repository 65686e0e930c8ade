# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Text through a model, forwards and back, a block at a time: second moments of inputs, squares of gradients.

The gradients are those of −log p(y), the label y drawn from the model's own prediction, so the mean of their squares is
the diagonal of the Fisher information: a small change e of a layer's output costs ½ Σ g² e² of KL, in expectation
(Amari 1998; why labels are drawn, not the text's: Kunstner et al. 2019, arXiv 1905.12558). Each block's forward
is run once more on the way back. In memory are a block with its moments and what autograd keeps of a few windows;
hidden states and gradients lie in mapped files.
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
    fisher_file,
    gradient_file,
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
    seed: int = 0,
    gradients: bool = True,
    progress: Progress = lambda _done: None,
) -> Calibration:
    """Run `windows`, token ids int64 [W, T], through the model and keep in `folder` what rounding needs to know.

    Goes on where an earlier call with the same model, text and seed was stopped; what belongs to others is removed.
    gradients: whether to go back too, which takes most of the time; a later call may add it.
    progress: called with what was done of `work`. The same bits on one machine with one number of threads.
    Raises ElastixError for ids that the model lacks, windows longer than it was made for, and values that overflow.
    """
    _check(model, windows)
    prepare(folder, model, windows, seed)
    _forward(model, windows, folder, progress)
    if gradients:
        _head(model, windows, folder, seed, progress)
        _backward(model, windows, folder, progress)
    else:
        _head_moments(model, windows, folder, progress)
    return Calibration(folder, windows.numel(), {site.name: site.block for site in model.sites})


def work(model: StreamedModel, windows: Tensor, *, gradients: bool = True) -> int:
    """All that `calibrate` does, in windows through a part of the model."""
    return ((1 + gradients) * model.blocks + 1) * len(windows)


class SecondMoments:
    """Σ ω x xᵀ in fp32, upper triangle by panels, since BLAS' syrk is not to be had from torch.

    The sum of so many batches in fp32 is off by less than 10⁻⁶ of it, far below what damping adds.
    """

    def __init__(self, columns: int) -> None:
        self._sum = torch.zeros(columns, columns)

    def add(self, x: Tensor, weights: Tensor | None = None) -> None:
        """x: [..., K]; weights: ≥ 0 [...], 1 where not given."""
        x = x.detach().reshape(-1, x.shape[-1])
        if weights is not None:
            x = x * weights.reshape(-1, 1).sqrt()
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


def _forward(model: StreamedModel, windows: Tensor, folder: Path, progress: Progress) -> None:
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


class _Fisher:
    """Weighted moments of a part's sources and squared gradients of its sites' rows, while they are summed."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        self._rows = {site.name: torch.zeros(site.rows, dtype=torch.float64) for site in sites}
        self._moments = {site.source: SecondMoments(site.columns) for site in sites}
        self._total = dict.fromkeys(self._moments, 0.0)
        self._tokens = 0
        self._read: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}

    def add(self, site: Site, x: Tensor, squares: Tensor) -> None:
        """squares: of the gradients at the site's output, [..., N]."""
        self._rows[site.name] += squares.reshape(-1, site.rows).sum(0, dtype=torch.float64)
        weights = squares.sum(-1)
        self._weights[site.source] = weights + self._weights.get(site.source, 0)
        self._read[site.source] = x

    def end_of_batch(self, tokens: int) -> None:
        """All sites have been added for as many tokens."""
        for source, weights in self._weights.items():
            self._moments[source].add(self._read[source], weights)
            self._total[source] += float(weights.sum(dtype=torch.float64))
        self._weights, self._read = {}, {}
        self._tokens += tokens

    def save(self, path: Path) -> None:
        """Scaled so that the mean weight of a token is 1; a source that no gradient reaches has moments of 0."""
        scales = {source: self._tokens / total if total else 0.0 for source, total in self._total.items()}
        weighted = {f"weighted {s}": (each.full() * scales[s]).numpy() for s, each in self._moments.items()}
        save(path, weighted | {f"rows {name}": rows.numpy() for name, rows in self._rows.items()})


def _head_moments(model: StreamedModel, windows: Tensor, folder: Path, progress: Progress) -> None:
    """The head's moments alone."""
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


def _head(model: StreamedModel, windows: Tensor, folder: Path, seed: int, progress: Progress) -> None:
    """The head's moments, squares and the gradient that it sends back, one window at a time: logits are large."""
    if fisher_file(folder, model.blocks).exists():
        progress(len(windows))
        return
    site = model.sites[-1]
    plain, fisher = SecondMoments(site.columns), _Fisher([site])
    given = mapped(hidden_file(folder, model.blocks))
    shape = (*windows.shape, model.width)
    with new_array(gradient_file(folder, model.blocks), shape) as gradient, model.head() as head:
        for index in range(len(windows)):
            hidden = given[index : index + 1].clone().requires_grad_()
            with _outputs(head, [site]) as outputs:
                logits = head(hidden)
            ((_, x, output),) = outputs
            plain.add(x)
            predicted = logits.detach().softmax(-1)
            labels = _drawn(predicted, torch.Generator().manual_seed(seed * len(windows) + index))
            # The expectation of g² over labels is less noisy than one draw; of a head that bends its logits it would
            # not be so simple.
            expected = (predicted - predicted.square()) if output is logits else None
            slope = predicted.scatter_add_(-1, labels, -torch.ones_like(predicted[..., :1]))
            at_output, back = torch.autograd.grad(logits, (output, hidden), slope)
            fisher.add(site, x, at_output.square() if expected is None else expected)
            fisher.end_of_batch(windows.shape[1])
            _check_finite(back, f"the gradient at the head of {model.path}")
            gradient[index] = back[0].numpy()
            progress(1)
    save(moments_file(folder, model.blocks), {site.source: plain.full().numpy()})
    fisher.save(fisher_file(folder, model.blocks))


def _drawn(predicted: Tensor, generator: torch.Generator) -> Tensor:
    """A label for each distribution of the last dimension, which stays with one entry."""
    until = predicted.cumsum(-1)
    at = torch.rand(predicted.shape[:-1], generator=generator)[..., None] * until[..., -1:]
    return torch.searchsorted(until, at, right=True).clamp_(max=predicted.shape[-1] - 1)


def _backward(model: StreamedModel, windows: Tensor, folder: Path, progress: Progress) -> None:
    shape = (*windows.shape, model.width)
    for block in reversed(range(model.blocks)):
        if fisher_file(folder, block).exists():
            progress(len(windows))
            continue
        sites = _of_block(model, block)
        fisher = _Fisher(sites)
        given, later = mapped(hidden_file(folder, block)), mapped(gradient_file(folder, block + 1))
        with new_array(gradient_file(folder, block), shape) as gradient, model.block(block) as part:
            for batch in batches(*windows.shape):
                hidden = given[batch].clone().requires_grad_()
                with _outputs(part, sites) as outputs:
                    found = part(hidden)
                ends = [output for _, _, output in outputs]
                back, *slopes = torch.autograd.grad(found, (hidden, *ends), later[batch].clone())
                for (site, x, _), slope in zip(outputs, slopes, strict=True):
                    fisher.add(site, x, slope.square())
                fisher.end_of_batch(back.shape[0] * back.shape[1])
                _check_finite(back, f"the gradient at block {block} of {model.path}")
                gradient[batch] = back.numpy()
                progress(batch.stop - batch.start)
        fisher.save(fisher_file(folder, block))
        gradient_file(folder, block + 1).unlink()


@contextmanager
def _outputs(part: Part, sites: Sequence[Site]) -> Generator[list[tuple[Site, Tensor, Tensor]]]:
    """Input and output of each site as the part runs within the block, tied to autograd's graph."""
    found: list[tuple[Site, Tensor, Tensor]] = []

    def note(site: Site, given: tuple[Tensor, ...], output: Tensor) -> None:
        found.append((site, given[0].detach(), output))

    def hook(site: Site) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda _module, given, output: note(site, given, output)

    hooks = [part.linear(site.name).register_forward_hook(hook(site)) for site in sites]
    try:
        yield found
    finally:
        for each in hooks:
            each.remove()


def _of_block(model: StreamedModel, block: int) -> list[Site]:
    return [site for site in model.sites if site.block == block]


def _check_finite(values: Tensor, where: str) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ElastixError(f"{where} has values that are NaN or infinite", wanted="finite ones in fp32")
