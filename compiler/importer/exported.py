# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
"""The one import path: torch.export, functional decomposition, torch-mlir's importer, then names and kinds."""

import gc
import re
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ConstantArgument,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch_mlir.extras.fx_importer import FxImporter

from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.importer.constant_folding import fold_constants
from elastix.compiler.importer.imported import Argument, Kind, Result
from elastix.compiler.importer.store import Array
from elastix.compiler.ir import ArrayAttr, Attribute, DictAttr, ModuleOp, StringAttr, new_context

ENTRY = "step"
_FRAME = re.compile(r'File "([^"]+)", line ([0-9]+),')
_TORCH = str(torch.__path__[0])


@dataclass(frozen=True)
class Input:
    """What a positional input of the model is called, and what it is."""

    name: str
    kind: Kind = "input"


@dataclass(frozen=True)
class Exported:
    """A model as the torch-dialect function `entry` of `module`.

    constants: values of the tensors that the trace itself made.
    returns: for each value that the model returns, the Result that holds it, or the value itself if it is no tensor.
    """

    module: ModuleOp
    entry: str
    arguments: tuple[Argument, ...]
    results: tuple[Result, ...]
    constants: Mapping[str, Array]
    returns: tuple[Any, ...]


def export(
    model: torch.nn.Module,
    inputs: Sequence[Any],
    *,
    named: Sequence[Input] = (),
    result_names: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
) -> Exported:
    """Trace `model` on example inputs as one stateless function named `step`.

    named: the inputs, in order; torch's own names where there are none. An input of kind weight or buffer that nobody
        reads goes; one that the model writes becomes a cache.
    result_names: what to call the values that the model returns, in order; `result0`, … where there are none.
    rename: names of parameters and buffers, where they are to differ from those in `model`.
    Raises CannotCompile with the user's line when the model cannot be traced or an op is not known to torch-mlir.
    """
    program = _trace(model, tuple(inputs))
    kept = _arguments(program, _tensors(model, program, tuple(inputs)), named, rename or {})
    folded = fold_constants(program.graph)
    kept += [(node, _argument(node, node.name, "buffer")) for node, _ in folded]
    arguments = tuple(argument for _, argument in kept)
    results, returns = _results(program, {node.name: argument.name for node, argument in kept}, result_names)
    _keep_user_frames(program)
    module = _import(program.graph)
    annotate(module, arguments, results)
    constants = {
        name: _numpy(value)
        for name, value in program.constants.items()
        if isinstance(value, torch.Tensor) and not value.is_meta
    }
    constants |= {node.name: _numpy(value) for node, value in folded}
    return Exported(module, ENTRY, arguments, results, constants, returns)


def _trace(model: torch.nn.Module, inputs: tuple[Any, ...]) -> ExportedProgram:
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(model, inputs, strict=False).run_decompositions({})
    except ElastixError:
        raise
    except Exception as error:  # torch.export raises many kinds, all of them "this model cannot be traced"
        where = _last_user_frame(error)
        raise CannotCompile(
            type(model).__name__,
            where=where,
            why=str(error).strip().split("\n")[0] or type(error).__name__,
            do="torch.export must be able to trace the model on its example inputs",
        ) from error


@contextmanager
def _quiet() -> Generator[None]:
    """No warnings about torch's own insides, and no garbage collection, which would take a tenth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if collecting:
            gc.enable()


def _last_user_frame(error: BaseException) -> str:
    where, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_TORCH) and file != __file__:
            where = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _tensors(model: torch.nn.Module, program: ExportedProgram, inputs: tuple[Any, ...]) -> dict[str, torch.Tensor]:
    """The tensors that are known before the model runs, by their placeholder's target or name; to find tied ones."""
    state = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    users = [_name(spec) for spec in program.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    given = zip(users, inputs, strict=False)
    return {**state, **{name: value for name, value in given if isinstance(value, torch.Tensor)}}


def _arguments(
    program: ExportedProgram, tensors: Mapping[str, torch.Tensor], named: Sequence[Input], rename: Mapping[str, str]
) -> list[tuple[torch.fx.Node, Argument]]:
    """The placeholders that stay, and what they are; tied tensors become one, unread weights and buffers go."""
    mutated = {spec.target for spec in program.graph_signature.output_specs if spec.kind in _MUTATIONS}
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    placed: list[tuple[torch.fx.Node, str, Kind, InputSpec]] = []
    users = 0
    for spec in program.graph_signature.input_specs:
        node, target = nodes[_name(spec)], spec.target or ""
        if spec.kind == InputKind.USER_INPUT:
            said = named[users] if users < len(named) else Input(node.name)
            users += 1
            placed.append((node, said.name, "cache" if node.name in mutated else said.kind, spec))
        else:
            placed.append((node, rename.get(target, target), _kind(spec, mutated), spec))
    first: dict[int, torch.fx.Node] = {}
    for node, _, kind, spec in placed:
        tensor = tensors.get(spec.target or node.name)
        if tensor is not None and kind in ("weight", "buffer"):
            node.replace_all_uses_with(first.setdefault(id(tensor), node))
    kept: list[tuple[torch.fx.Node, Argument]] = []
    for node, name, kind, spec in placed:
        if isinstance(spec.arg, ConstantArgument) or (not node.users and kind in ("weight", "buffer")):
            program.graph.erase_node(node)
        else:
            kept.append((node, _argument(node, name, kind)))
    return kept


def _name(spec: InputSpec) -> str:
    return str(getattr(spec.arg, "name", ""))


def _kind(spec: InputSpec, mutated: set[str | None]) -> Kind:
    if spec.target in mutated:
        return "cache"
    return "weight" if spec.kind == InputKind.PARAMETER else "buffer"


def _argument(node: torch.fx.Node, name: str, kind: Kind) -> Argument:
    value = node.meta["val"]
    if not isinstance(value, torch.Tensor):
        raise ElastixError(
            f"input {name} is a {type(value).__name__}",
            wanted="tensors of fixed shape",
            do="give concrete example inputs",
        )
    if any(isinstance(n, torch.SymInt) for n in value.shape):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ElastixError(
            f"input {name} has shape {tuple(value.shape)}", wanted="a fixed shape", do="give concrete example inputs"
        )
    return Argument(name, kind, tuple(int(n) for n in value.shape), _dtype(value))


def _results(
    program: ExportedProgram, names: Mapping[str, str], called: Sequence[str]
) -> tuple[tuple[Result, ...], tuple[Any, ...]]:
    """The results in order, and what the model returns; values that are no tensors (None, numbers) leave the graph."""
    output = next(node for node in program.graph.nodes if node.op == "output")
    specs = program.graph_signature.input_specs
    placeholders = {spec.target: spec.arg.name for spec in specs if isinstance(spec.arg, TensorArgument)}
    values: list[Any] = []
    results: list[Result] = []
    returns: list[Any] = []
    for spec, value in zip(program.graph_signature.output_specs, cast(Sequence[Any], output.args[0]), strict=True):
        if not isinstance(value, torch.fx.Node):
            returns.append(value)
            continue
        values.append(value)
        name = called[len(returns)] if len(returns) < len(called) else f"result{len(returns)}"
        results.append(_result(spec, value, placeholders, names, name))
        if spec.kind not in _MUTATIONS:
            returns.append(results[-1])
    output.args = (tuple(values),)
    return tuple(results), tuple(returns)


def _result(
    spec: OutputSpec, node: torch.fx.Node, placeholders: Mapping[str | None, str], names: Mapping[str, str], name: str
) -> Result:
    writes = ""
    if spec.kind in _MUTATIONS:
        target = spec.target or ""
        writes = names[target if spec.kind == OutputKind.USER_INPUT_MUTATION else placeholders[target]]
    value = node.meta["val"]
    return Result(writes or name, writes, tuple(int(n) for n in value.shape), _dtype(value))


_MUTATIONS = (OutputKind.BUFFER_MUTATION, OutputKind.USER_INPUT_MUTATION)


def _keep_user_frames(program: ExportedProgram) -> None:
    """Leave one frame in each node's trace, the innermost that is not torch's own: there the user wrote the op."""
    for node in program.graph.nodes:
        frames = _FRAME.findall(node.meta.get("stack_trace") or "")
        if not frames:
            continue
        users = [frame for frame in frames if not frame[0].startswith(_TORCH)]
        file, line = (users or frames)[-1]
        node.meta["stack_trace"] = f'File "{file}", line {line}, in forward'


def _import(graph: torch.fx.Graph) -> ModuleOp:
    importer = FxImporter(context=new_context())
    try:
        importer.import_stateless_graph(graph, func_name=ENTRY)
    except Exception as error:  # the importer raises NotImplementedError, ValueError, TypeError and its own
        raise CannotCompile(
            "a graph that torch-mlir cannot import",
            why=str(error).strip().split("\n")[0],
            do="write that op with others in the model",
        ) from error
    return importer.module.operation.opview


def annotate(module: ModuleOp, arguments: Sequence[Argument], results: Sequence[Result]) -> None:
    """Put names and kinds on the module's function (dialects/README.md)."""
    function = module.body.operations[0]
    with module.context:
        function.attributes["arg_attrs"] = _words({"elx.name": a.name, "elx.kind": a.kind} for a in arguments)
        function.attributes["res_attrs"] = _words(
            {"elx.writes": r.writes} if r.writes else {"elx.name": r.name} for r in results
        )


def _words(each: Iterable[Mapping[str, str]]) -> Attribute:
    return ArrayAttr.get([DictAttr.get({key: StringAttr.get(text) for key, text in words.items()}) for words in each])


def _dtype(value: torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _numpy(value: torch.Tensor) -> Array:
    return np.asarray(
        value.detach().cpu().float().numpy() if value.is_floating_point() else value.detach().cpu().numpy()
    )
