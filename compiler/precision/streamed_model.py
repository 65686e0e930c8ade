# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""A Hugging Face causal language model whose blocks are in memory one at a time.

The model is transformers' own, its parameters without values. What a block is given besides the hidden state (position
embeddings, masks) is caught from the model's own forward with the blocks left out, as implementations of GPTQ do
(https://github.com/IST-DASLab/gptq, `opt_sequential`); the embedding before the blocks and the head behind them run
the same way. Hence any decoder works whose blocks lie in one list.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.hugging_face import open_model
from elastix.compiler.importer.store import WeightStore
from elastix.compiler.precision.sites import Call, Site, block_sites, decoder_blocks, observe
from elastix.compiler.rotation import check_norm, folded_norms, views

Stub = Callable[[int, Tensor, Call], Tensor]
"""Stands for block `index`: given the hidden state and the rest of its call, it gives the next hidden state."""


class _Reached(Exception):
    """The model's forward came to what was wanted of it."""


@dataclass(frozen=True)
class Part:
    """A part of the model whose weights are in memory: a decoder block, or the head (final norm and logits).

    Called with a hidden state fp32 [B, T, D] it gives the next one, or the logits [B, T, V]; with gradients where the
    hidden state asks for them.
    """

    run: Callable[[Tensor], Tensor]
    linears: Mapping[str, nn.Linear]

    def __call__(self, hidden: Tensor) -> Tensor:
        return self.run(hidden)

    def linear(self, name: str) -> nn.Linear:
        """The layer of a site; its `weight.data` may be replaced for as long as the part is in memory."""
        return self.linears[name]


class StreamedModel:
    """The model of a folder or GGUF file in fp32; a part's weights are read when the part is entered, and freed behind.

    rotate: as of `elastix compile`; weights are then those of the rotated model, named as compiling names them.
    store: the weights by those names, which another may replace; module: transformers' model, for hooks on its forward;
    sites: the matrices that can be rounded, in the order of the model; blocks: how many; vocabulary: V; width: D;
    context: tokens that it was made for, if its configuration says; tied: whether the head has the embedding's matrix,
    which then is one site, the head's.
    Raises ElastixError as import_language_model does, for a model that is not one list of blocks between an embedding
    and a linear head, for a rotation that it cannot have, and, when a part is entered, for weights that are not finite.
    """

    def __init__(self, path: Path, *, rotate: str = "none") -> None:
        self.path, self.rotate = path, rotate
        self._model, store = open_model(path)
        self.store: WeightStore = store
        self._replacements: dict[str, Tensor] = {}
        self._names = {name: name for name, _ in self._model.named_parameters(remove_duplicate=False)}
        self._names |= {name: f"{name}.T" for name in _made_linear(self._model)}
        self._embedding, self._head = _ends(self._model)
        self._rename()
        config = cast(Any, self._model.config).get_text_config()
        self._prefix, self._blocks = decoder_blocks(self._model, int(config.num_hidden_layers))
        self.blocks, self.vocabulary = len(self._blocks), int(config.vocab_size)
        self.context = int(getattr(config, "max_position_embeddings", None) or 0) or None
        self._calls: dict[tuple[int, int], list[Call]] = {}
        self._gives_tuple = [False] * self.blocks
        self.tied = self._names[self._embedding] == self._names[self._head]
        self.width = 0
        self.sites: tuple[Site, ...] = tuple(self._find_sites())

    @property
    def module(self) -> nn.Module:
        """transformers' model, its parameters without values, for hooks on its forward."""
        return self._model

    def embed(self, ids: Tensor) -> Tensor:
        """What the first block is given for token ids, int64 [B, T]: fp32 [B, T, D]."""
        found: list[Tensor] = []

        def first(_index: int, hidden: Tensor, _call: Call) -> Tensor:
            found.append(hidden)
            raise _Reached

        with self._loaded([*self._outside(), self._embedding]), torch.no_grad():
            self._run_stubs(first, input_ids=ids)
        return found[0]

    @contextmanager
    def block(self, index: int) -> Generator[Part]:
        """A decoder block with its weights."""
        block, names = self._blocks[index], [n for n in self._names if n.startswith(f"{self._prefix}.{index}.")]

        def run(hidden: Tensor) -> Tensor:
            call = self._call(index, hidden.shape[0], hidden.shape[1])
            result = block(hidden, *call.arguments, **call.keywords)
            return result[0] if self._gives_tuple[index] else result

        with self._loaded(names):
            yield Part(run, self._linears(names))

    @contextmanager
    def head(self) -> Generator[Part]:
        """What comes behind the last block, with its weights: the final norm and the layer that gives logits."""
        inside = [name for name in self._names if name.rpartition(".")[0] == self._head.rpartition(".")[0]]

        def run(hidden: Tensor) -> Tensor:
            blank = self._blank(hidden.shape[0], hidden.shape[1])
            answer = self._run_stubs(lambda index, given, _: given if index else hidden, inputs_embeds=blank)
            return answer.logits

        with self._loaded([*self._outside(), *inside]):
            yield Part(run, self._linears(inside))

    @contextmanager
    def replaced(self, values: Mapping[str, Tensor]) -> Generator[None]:
        """Within the block these weights are read instead of those in the file."""
        before, self._replacements = self._replacements, {**self._replacements, **values}
        try:
            yield
        finally:
            self._replacements = before

    def _rename(self) -> None:
        """Names as the compiled model has them: a tied head has the embedding's, rotated weights are views."""
        parameters = dict(self._model.named_parameters(remove_duplicate=False))
        if parameters[self._embedding] is parameters[self._head]:
            self._names[self._head] = self._embedding
        if self.rotate == "none":
            return
        named = views(self._model, self.rotate)
        for name in folded_norms(self._model, self.rotate):
            with self._loaded([name]):
                check_norm(self._model, name)
            self._names[name] = f"ones{parameters[name].shape[0]}"
        self._names |= named

    def _find_sites(self) -> Iterator[Site]:
        """All sites; notes the width of the hidden state and what kind of results the blocks give."""
        calls = self._calls_of(1, 2)
        hidden = torch.empty(1, 2, self.width, device="meta")
        if not self.tied:
            yield self._end(self._embedding, -1, "")
        for index, block in enumerate(self._blocks):
            observed = observe(block, calls[index], hidden)
            self._gives_tuple[index] = observed.gives_tuple
            prefix = f"{self._prefix}.{index}."
            yield from block_sites(
                block, index, observed, lambda name, prefix=prefix: self._names[f"{prefix}{name}.weight"]
            )
        yield self._end(self._head, self.blocks, self._names[self._head])

    def _end(self, parameter: str, block: int, source: str) -> Site:
        rows, columns = self._model.get_parameter(parameter).shape
        return Site(self._names[parameter], block, rows, columns, source)

    def _linears(self, names: Iterable[str]) -> dict[str, nn.Linear]:
        layers = {
            name: self._model.get_submodule(name.rpartition(".")[0]) for name in names if name.endswith(".weight")
        }
        return {self._names[name]: layer for name, layer in layers.items() if isinstance(layer, nn.Linear)}

    def _outside(self) -> list[str]:
        """Parameters neither in a block nor in the embedding or the head: final norm, learned positions."""
        ends = (self._head.rpartition(".")[0], self._embedding.rpartition(".")[0], self._prefix)
        return [name for name in self._names if not name.startswith(tuple(f"{end}." for end in ends))]

    def _blank(self, batch: int, length: int) -> Tensor:
        """An embedded text whose values do not matter."""
        return torch.zeros(batch, length, self._model.get_parameter(self._embedding).shape[1])

    def _call(self, index: int, batch: int, length: int) -> Call:
        if (batch, length) not in self._calls:
            self._calls = {(batch, length): self._calls_of(batch, length)}
        return self._calls[batch, length][index]

    def _calls_of(self, batch: int, length: int) -> list[Call]:
        """What each block is given beside the hidden state when texts are so long."""
        found: dict[int, Call] = {}

        def note(index: int, hidden: Tensor, call: Call) -> Tensor:
            found[index], self.width = call, hidden.shape[-1]
            if index == self.blocks - 1:
                raise _Reached
            return hidden

        # Not tensors of inference mode, even if the caller is in it: they would refuse a later backward pass.
        with torch.inference_mode(False), torch.no_grad(), self._loaded(self._outside()):
            self._run_stubs(note, inputs_embeds=self._blank(batch, length))
        return [found[index] for index in range(self.blocks)]

    def _run_stubs(self, stub: Stub, **inputs: Tensor) -> Any:
        """The model's forward with `stub` in the place of every block; None if it raised _Reached."""

        def standing_for(index: int) -> Callable[..., Any]:
            def forward(*arguments: Any, **keywords: Any) -> Any:
                first, *rest = arguments or (keywords.pop("hidden_states"),)
                hidden = stub(index, first, Call(tuple(rest), keywords))
                return (hidden,) if self._gives_tuple[index] else hidden

            return forward

        for index, block in enumerate(self._blocks):
            block.forward = standing_for(index)
        try:
            return self._model(**inputs, use_cache=False)
        except _Reached:
            return None
        finally:
            for block in self._blocks:
                del block.forward

    @contextmanager
    def _loaded(self, names: Iterable[str]) -> Generator[None]:
        """Within the block these parameters have their values."""
        empty = {name: self._model.get_parameter(name) for name in names}
        try:
            for name, parameter in empty.items():
                self._set(name, nn.Parameter(self._read(name, parameter.shape), requires_grad=False))
            yield
        finally:
            for name, parameter in empty.items():
                self._set(name, parameter)

    def _set(self, name: str, parameter: nn.Parameter) -> None:
        module, _, leaf = name.rpartition(".")
        setattr(self._model.get_submodule(module), leaf, parameter)

    def _read(self, name: str, shape: torch.Size) -> Tensor:
        if self._names[name] in self._replacements:
            return self._replacements[self._names[name]]
        values = self.store.read(self._names[name])
        # What lies in a mapped file must not be written to.
        tensor = torch.from_numpy(values if values.flags.writeable else values.copy())
        if tensor.shape != shape:
            raise ElastixError(
                f"{name} in {self.path} has shape {list(tensor.shape)}",
                wanted=f"{list(shape)}, as its configuration says",
            )
        if not bool(torch.isfinite(tensor).all()):
            wrong = int((~torch.isfinite(tensor)).sum())
            raise ElastixError(
                f"{name} in {self.path} has {wrong} values that are NaN or infinite",
                wanted="finite weights",
                do="take another copy of the model",
            )
        return tensor


def _made_linear(model: nn.Module) -> list[str]:
    """Replace each Conv1D, GPT-2's linear layer with its matrix transposed, by an nn.Linear; names of their weights."""
    found = [name for name, module in model.named_modules() if isinstance(module, Conv1D)]
    for name in found:
        rows, columns = cast(Tensor, model.get_submodule(name).weight).shape[::-1]
        model.set_submodule(name, nn.Linear(columns, rows, device="meta"))
    return [f"{name}.weight" for name in found]


def _ends(model: nn.Module) -> tuple[str, str]:
    """Names of the embedding's and the head's matrices."""
    embedding, head = cast(Any, model).get_input_embeddings(), cast(Any, model).get_output_embeddings()
    paths = {id(module): name for name, module in model.named_modules()}
    if not isinstance(embedding, nn.Embedding) or not isinstance(head, nn.Linear):
        raise ElastixError(
            f"a {type(model).__name__} with a {type(embedding).__name__} and a {type(head).__name__} at its ends",
            wanted="an nn.Embedding and an nn.Linear",
        )
    return f"{paths[id(embedding)]}.weight", f"{paths[id(head)]}.weight"
