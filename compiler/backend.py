"""`torch.compile(model, backend="elastix", options={"bits": 6})`: the graphs of dynamo, compiled for the processor.

The graph is imported as the command line imports a model (compiler/importer/exported.py) and goes through the same
pipeline. It is compiled when it is first called, for the shapes it is called with, and again for others.
"""

import logging
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.importer.exported import Exported, Input, export
from elastix.compiler.importer.imported import Imported, Result
from elastix.compiler.importer.store import ArrayStore, NamedStore, merge
from elastix.compiler.importer.torch_module import ModuleStore, tensor_values
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import compile_module
from elastix.compiler.program_runner import Program

log = logging.getLogger(__name__)

SHAPES = 8
"""Sets of shapes whose programs a graph keeps, each with its own image of the weights; the one unused longest goes."""
SAMPLES = 16
"""Values of each weight that are compared with what was packed, at every call."""


def elastix(
    graph: torch.fx.GraphModule, example_inputs: Sequence[Any], *, options: Mapping[str, Any] | None = None, **_: Any
) -> "CompiledGraph":
    """The dynamo backend. `options` are the fields of CompileOptions.

    What is wrong is said when the graph is called: an error that is raised here dynamo would wrap in one of its own.
    """
    return CompiledGraph(graph, options or {})


def _options(given: Mapping[str, Any]) -> CompileOptions:
    known = [field.name for field in fields(CompileOptions)]
    for name in given:
        if name not in known:
            raise ElastixError(f"option {name!r} of the elastix backend", wanted=" or ".join(known))
    chosen: dict[str, Any] = dict(given)
    if chosen.get("plan") is not None:
        chosen["plan"] = Path(chosen["plan"])
    for name in ("key_bits", "value_bits"):
        if chosen.setdefault(name, 32) != 32:
            wanted = "32: the caches are tensors of the caller's, in fp32"
            raise ElastixError(f"option {name}={chosen[name]} of the elastix backend", wanted=wanted)
    return CompileOptions(**chosen)


@dataclass(frozen=True)
class _Compiled:
    """A program for one set of shapes, or None where the graph was left to eager, and the weights that it holds."""

    program: Program | None
    exported: Exported | None
    weights: "tuple[_Seen, ...]"


@dataclass(frozen=True)
class _Seen:
    """A weight as it was when it was packed: the tensor, its version, and a sample of its bytes.

    The version misses what is written through `.data`; the sample sees that where it touches one of SAMPLES values.
    """

    tensor: weakref.ref[torch.Tensor]
    version: int
    sample: bytes

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "_Seen":
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // SAMPLES)].clone().view(torch.uint8).numpy().tobytes()
        return cls(weakref.ref(tensor), 0 if tensor.is_inference() else tensor._version, sample)


class CompiledGraph:
    """One graph of dynamo; calling it compiles it for the shapes of the call, unless that was done before.

    fell_back: why the graph was left to eager PyTorch; one entry for each set of shapes, none if nothing was.
    A call raises ElastixError for an option that is none, for recorded gradients and for weights that are not float32;
    CannotCompile for an op that nothing of ours runs, unless the option `fallback` says otherwise.
    """

    def __init__(self, graph: torch.fx.GraphModule, options: Mapping[str, Any]) -> None:
        self._graph = graph
        self._given = options
        self._inputs = _inputs(graph)
        self._compiled: OrderedDict[tuple[Any, ...], _Compiled] = OrderedDict()
        self.fell_back: list[str] = []

    def __call__(self, *arguments: Any) -> Any:
        if torch.is_grad_enabled() and any(isinstance(a, torch.Tensor) and a.requires_grad for a in arguments):
            raise ElastixError(
                "a call that records gradients",
                wanted="inference, which is all that Elastix compiles",
                do="call the model under torch.no_grad() or torch.inference_mode()",
            )
        key = tuple(_shape(argument) for argument in arguments)
        weights = self._weights(arguments)
        found = self._compiled.get(key)
        if found is None or found.weights != weights:
            found = self._compiled[key] = self._compile(arguments, weights)
        self._compiled.move_to_end(key)
        while len(self._compiled) > SHAPES:
            self._compiled.popitem(last=False)
        if found.program is None or found.exported is None:
            return self._graph(*arguments)
        return _run(found.program, found.exported, self._inputs, arguments)

    def _weights(self, arguments: Sequence[Any]) -> tuple[_Seen, ...]:
        """Which values the weights have: they are packed once, and again when something wrote them."""
        stored = (a for said, a in zip(self._inputs, arguments, strict=True) if said.kind != "input")
        return tuple(_Seen.of(a) for a in stored)

    def _compile(self, arguments: Sequence[Any], weights: tuple[_Seen, ...]) -> _Compiled:
        options = _options(self._given)
        try:
            if empty := [tuple(a.shape) for a in arguments if isinstance(a, torch.Tensor) and not a.numel()]:
                raise CannotCompile(f"an input of shape {empty[0]}", why="it has no elements", do="skip the call")
            exported = export(self._graph, _concrete(arguments), named=self._inputs)
            imported = Imported(
                exported.module, exported.entry, self._store(exported, arguments), exported.arguments, exported.results
            )
            return _Compiled(compile_module(imported, options), exported, weights)
        except CannotCompile as error:
            if options.fallback != "eager":
                raise
            self.fell_back.append(str(error))
            log.warning("left to eager PyTorch: %s", error)
            return _Compiled(None, None, weights)

    def _store(self, exported: Exported, arguments: Sequence[Any]) -> NamedStore:
        stored = {
            said.name: argument
            for said, argument in zip(self._inputs, arguments, strict=True)
            if said.kind != "input" and isinstance(argument, torch.Tensor)
        }
        narrow = next((name for name, t in stored.items() if t.is_floating_point() and t.dtype != torch.float32), None)
        if narrow is not None:
            why = f"it is {stored[narrow].dtype}; wanted: torch.float32"
            raise CannotCompile(f"weight {narrow}", why=why, do="call model.float()")
        given = ArrayStore({name: tensor_values(tensor) for name, tensor in stored.items()})
        every = merge(given, ArrayStore(exported.constants), ModuleStore(self._graph), where="the graph")
        names = [a.name for a in exported.arguments if a.kind in ("weight", "buffer")]
        return NamedStore({name: (every, name) for name in names}, "the graph")


def _inputs(graph: torch.fx.GraphModule) -> tuple[Input, ...]:
    """The placeholders in order: parameters and buffers of the user's model are weights, under their names in it."""
    found: list[Input] = []
    for node in graph.graph.nodes:
        if node.op != "placeholder":
            continue
        static = node.meta.get("tensor_dict", {}).get("_dynamo_static_input_type") == "unguarded"
        source = getattr(node.meta.get("grapharg"), "source", None)
        name = _plain_name(source.name) if source is not None else node.name
        found.append(Input(name if name not in {f.name for f in found} else node.name, "weight" if static else "input"))
    return tuple(found)


def _plain_name(source: Any) -> str:
    """`L['self'].model.layers._modules['0'].weight` as `model.layers.0.weight`."""
    text = str(source() if callable(source) else source)
    for piece in ("._parameters", "._buffers", "._modules"):
        text = text.replace(piece, "")
    text = text.replace("[", ".").replace("]", "").replace("'", "").replace('"', "")
    return text.removeprefix("L.").removeprefix("self.") or text


def _shape(argument: Any) -> Any:
    return (tuple(argument.shape), argument.dtype) if isinstance(argument, torch.Tensor) else int(argument)


def _concrete(arguments: Sequence[Any]) -> list[Any]:
    """Arguments as the trace wants them: shapes that dynamo keeps symbolic are plain numbers."""
    return [a if isinstance(a, torch.Tensor) else int(a) for a in arguments]


def _run(program: Program, exported: Exported, inputs: Sequence[Input], arguments: Sequence[Any]) -> list[Any]:
    wanted = {argument.name for argument in exported.arguments if argument.kind in ("input", "cache")}
    given = {said.name: a for said, a in zip(inputs, arguments, strict=True) if said.name in wanted}
    dense = {name: tensor.detach().contiguous() for name, tensor in given.items()}
    outputs = program.run({name: tensor.numpy() for name, tensor in dense.items()})
    arrays = dict(zip((r.name for r in exported.results if not r.writes), outputs.values(), strict=True))
    for result in exported.results:
        if result.writes and dense[result.writes].data_ptr() != given[result.writes].data_ptr():
            given[result.writes].copy_(dense[result.writes])
    return [torch.as_tensor(arrays[r.name]) if isinstance(r, Result) else r for r in exported.returns]
