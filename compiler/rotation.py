"""The rotations of passes/s3_precision on a Hugging Face model in torch: the same weights, bit for bit.

For what rounds weights on the torch side and writes plans for the compiled model. Each weight is read through the view
(compiler/importer/views.py) that the passes name, so there is one arithmetic and one set of names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.store import ArrayStore, NamedStore
from elastix.compiler.options import ROTATIONS

_EMBEDDING: Final = "model.embed_tokens.weight"
_HEAD: Final = "lm_head.weight"
_LAST_NORM: Final = "model.norm.weight"
_LINEARS: Final = {
    "self_attn.q_proj": "input_layernorm",
    "self_attn.k_proj": "input_layernorm",
    "self_attn.v_proj": "input_layernorm",
    "self_attn.o_proj": "",
    "mlp.gate_proj": "post_attention_layernorm",
    "mlp.up_proj": "post_attention_layernorm",
    "mlp.down_proj": "",
}
"""The linear layers of a layer, and the norm that each reads; those without one write into the residual stream."""
_LEFT_ALONE: Final = ("model.layers.*.self_attn.[qk]_norm.weight", "lm_head.bias")


def views(model: nn.Module, rotate: str) -> dict[str, str]:
    """Each parameter that `--rotate` changes, by name, and the name under which the compiled model reads it.

    The norms that become ones are not among them. Raises ElastixError for a model that is not built as Llama is (as
    Mistral, Qwen and SmolLM are), and for a rotation that is no key of ROTATIONS.
    """
    if rotate not in ROTATIONS:
        raise ElastixError(f"rotate={rotate!r}", wanted=" or ".join(ROTATIONS))
    llama = _Llama(model, _parameters(model), ROTATIONS[rotate])
    named = dict(llama.views())
    return {name: view for name, view in named.items() if view != name and (name != _HEAD or view != _EMBEDDING)}


def folded_norms(model: nn.Module, rotate: str) -> list[str]:
    """Weights of norms that `--rotate` turns into ones, their values given to the linear layers that read them."""
    return _norms(_parameters(model)) if "fold-norm-weights" in ROTATIONS[rotate] else []


@torch.no_grad()
def rotate_model(model: nn.Module, rotate: str) -> dict[str, str]:
    """Change a model's weights in place as `--rotate` does in the compiled one; returns `views` of it.

    What the model computes stays, up to rounding. The norms become ones, a tied head a parameter of its own. Weights
    are fp32. Raises ElastixError as `views` does, for other weights, and for norms that do more than an RMS norm does.
    """
    named, found = views(model, rotate), _parameters(model)
    norms = folded_norms(model, rotate)
    for name in norms:
        check_norm(model, name)
    # Every weight is read by its own view only, but for norms, and an embedding that the head reads too: it comes last.
    arrays = ArrayStore({name: tensor.detach().numpy() for name, tensor in found.items()})
    store = NamedStore({name: (arrays, name) for name in found}, type(model).__name__)
    for name, view in named.items():
        values = torch.tensor(store.read(view))
        if name == _HEAD and found[_HEAD] is found[_EMBEDDING]:
            cast(Any, model).lm_head.weight = nn.Parameter(values, requires_grad=found[_HEAD].requires_grad)
            cast(Any, model).config.tie_word_embeddings = False
        else:
            found[name].copy_(values)
    for name in norms:
        found[name].fill_(1)
    return named


def _parameters(model: nn.Module) -> dict[str, Tensor]:
    found = dict(cast(Any, model).named_parameters(remove_duplicate=False))
    for name, tensor in found.items():
        if tensor.dtype != torch.float32:
            raise ElastixError(f"{name} of {tensor.dtype}", wanted="torch.float32", do="call model.float()")
    return found


def _norms(found: dict[str, Tensor]) -> list[str]:
    return [name for name in found if name == _LAST_NORM or name.endswith("_layernorm.weight")]


def check_norm(model: nn.Module, name: str) -> None:
    """Raise ElastixError unless a norm is an RMS norm times its weight `name`.

    Some scale by one plus their weight, or take the mean away.
    """
    norm = model.get_submodule(name.removesuffix(".weight"))
    weight = cast(Tensor, norm.weight)
    x = torch.linspace(-100, 200, len(weight))[None]
    wanted = x / x.square().mean().sqrt() * weight
    if not torch.allclose(norm(x), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max())):
        raise ElastixError(f"{name} of a {type(norm).__name__}", wanted="an RMS norm times its weight")


@dataclass(frozen=True)
class _Llama:
    """Which views each parameter needs, given the passes that run."""

    model: nn.Module
    found: dict[str, Tensor]
    passes: tuple[str, ...]

    def views(self) -> Iterator[tuple[str, str]]:
        self._check()
        for layer in self._layers():
            for linear, norm in _LINEARS.items():
                yield from self._linear(layer, linear, f"{layer}.{norm}.weight" if norm else "")
        tied = self.found[_HEAD] is self.found[_EMBEDDING]
        yield _HEAD, (_EMBEDDING if tied else _HEAD) + self._read(_LAST_NORM)
        yield _EMBEDDING, _EMBEDDING + self._residual()

    def _layers(self) -> list[str]:
        ends = ".self_attn.q_proj.weight"
        return [name.removesuffix(ends) for name in self.found if name.endswith(ends)]

    def _check(self) -> None:
        """Raises ElastixError unless the parameters are those of a Llama, no more and no fewer."""
        parts = [
            *(f"{linear}.weight" for linear in _LINEARS),
            *(f"{norm}.weight" for norm in _LINEARS.values() if norm),
        ]
        wanted = {f"{layer}.{part}" for layer in self._layers() or ["model.layers.0"] for part in parts}
        wanted |= {_EMBEDDING, _HEAD, _LAST_NORM}
        biases = {f"{layer}.{linear}.bias" for layer in self._layers() for linear in _LINEARS}
        more = [
            name
            for name in self.found
            if name not in wanted | biases and not any(fnmatchcase(name, each) for each in _LEFT_ALONE)
        ]
        if lacking := sorted(wanted - set(self.found)):
            raise ElastixError(
                f"a {type(self.model).__name__} without {lacking[0]}", wanted="a model built as Llama is"
            )
        if more:
            raise ElastixError(f"a {type(self.model).__name__} with {more[0]}", wanted="a model built as Llama is")

    def _linear(self, layer: str, linear: str, norm: str) -> Iterator[tuple[str, str]]:
        name = f"{layer}.{linear}"
        rows, columns = self.found[f"{name}.weight"].shape
        weight, bias = f"{name}.weight", f"{name}.bias"
        if norm:
            weight += self._read(norm)
        elif view := self._residual():
            weight, bias = f"{weight}.T{view}.T", bias + view
        if linear == "self_attn.v_proj" and (view := self._heads(layer, rows)):
            weight, bias = f"{weight}.T{view}.T", bias + view
        if linear == "self_attn.o_proj":
            weight += self._heads(layer, columns)
        yield f"{name}.weight", weight
        if f"{name}.bias" in self.found:
            yield f"{name}.bias", bias

    def _read(self, norm: str) -> str:
        return (f"*{{{norm}}}" if "fold-norm-weights" in self.passes else "") + self._residual()

    def _residual(self) -> str:
        return f"@{{H{self.found[_EMBEDDING].shape[1]}}}" if "rotate-residual" in self.passes else ""

    def _heads(self, layer: str, width: int) -> str:
        if "rotate-values" not in self.passes:
            return ""
        head = int(cast(Any, self.model).get_submodule(f"{layer}.self_attn").head_dim)
        return f"@{{H{head}x{width // head}}}"
