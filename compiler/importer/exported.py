# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
"""The one import path: torch.export, functional decomposition, torch-mlir's importer, then names and kinds."""

import re
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
from elastix.compiler.importer.imported import Argument, Kind, Result
from elastix.compiler.importer.store import Array
from elastix.compiler.ir import ArrayAttr, Attribute, DictAttr, ModuleOp, StringAttr, new_context

ENTRY = "step"
_FRAME = re.compile(r'File "([^"]+)", line ([0-9]+),')
_TORCH = str(torch.__path__[0])


@dataclass(frozen=True)
class Exported:
    """The torch-dialect module, its arguments and results in order, and the values of constants that the trace made."""

    module: ModuleOp
    entry: str
    arguments: tuple[Argument, ...]
    results: tuple[Result, ...]
    constants: Mapping[str, Array]


def export(
    model: torch.nn.Module,
    inputs: Sequence[Any],
    *,
    input_names: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
) -> Exported:
    """Trace `model` on example inputs as one stateless function named `step`.

    input_names: names of the inputs, in order; torch's own where there is none.
    rename: names of parameters and buffers, where they are to differ from those in `model`.
    Raises CannotCompile with the user's line when the model cannot be traced or an op is not known to torch-mlir.
    """
    program = _trace(model, tuple(inputs))
    kept = _arguments(program, model, input_names, rename or {})
    _keep_user_frames(program)
    module = _import(program.graph)
    arguments = tuple(argument for _, argument in kept)
    results = _results(program, {node.name: argument.name for node, argument in kept})
    annotate(module, arguments, results)
    constants = {
        name: _numpy(value)
        for name, value in program.constants.items()
        if isinstance(value, torch.Tensor) and not value.is_meta
    }
    return Exported(module, ENTRY, arguments, results, constants)


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _last_user_frame(error: BaseException) -> str:
    where, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith(_TORCH) and file != __file__:
            where = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _arguments(
    program: ExportedProgram, model: torch.nn.Module, input_names: Sequence[str], rename: Mapping[str, str]
) -> list[tuple[torch.fx.Node, Argument]]:
    """The placeholders that stay, and what they are; tied tensors become one, unread weights and buffers go."""
    mutated = {spec.target for spec in program.graph_signature.output_specs if spec.kind in _MUTATIONS}
    tensors: dict[str, torch.Tensor] = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    specs = [(spec, nodes[_name(spec)]) for spec in program.graph_signature.input_specs]
    first: dict[int, torch.fx.Node] = {}
    for spec, node in specs:
        tensor = tensors.get(spec.target or "")
        if tensor is not None and spec.kind != InputKind.USER_INPUT:
            node.replace_all_uses_with(first.setdefault(id(tensor), node))  # pyright: ignore[reportUnknownMemberType]
    kept: list[tuple[torch.fx.Node, Argument]] = []
    user_inputs = 0
    for spec, node in specs:
        target = spec.target or ""
        if spec.kind == InputKind.USER_INPUT:
            name = input_names[user_inputs] if user_inputs < len(input_names) else node.name
            user_inputs += 1
            kind = "cache" if node.name in mutated else "input"
        else:
            name, kind = rename.get(target, target), _kind(spec, mutated)
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


def _results(program: ExportedProgram, names: Mapping[str, str]) -> tuple[Result, ...]:
    """The results in order; those that are no tensors (None, numbers) leave the graph."""
    output = next(node for node in program.graph.nodes if node.op == "output")
    specs = program.graph_signature.output_specs
    placeholders = {
        spec.target: spec.arg.name
        for spec in program.graph_signature.input_specs
        if isinstance(spec.arg, TensorArgument)
    }
    values: list[Any] = []
    results: list[Result] = []
    for spec, value in zip(specs, output.args[0], strict=True):  # pyright: ignore[reportArgumentType]
        if not isinstance(value, torch.fx.Node):
            continue
        values.append(value)
        results.append(_result(spec, value, placeholders, names, len(results)))
    output.args = (tuple(values),)
    return tuple(results)


def _result(
    spec: OutputSpec, node: torch.fx.Node, placeholders: Mapping[str | None, str], names: Mapping[str, str], index: int
) -> Result:
    writes = ""
    if spec.kind in _MUTATIONS:
        target = spec.target or ""
        writes = names[target if spec.kind == OutputKind.USER_INPUT_MUTATION else placeholders[target]]
    value = node.meta["val"]
    return Result(writes or f"result{index}", writes, tuple(int(n) for n in value.shape), _dtype(value))


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
        function.attributes["res_attrs"] = _words({"elx.writes": r.writes} if r.writes else {} for r in results)


def _words(each: Iterable[Mapping[str, str]]) -> Attribute:
    return ArrayAttr.get([DictAttr.get({key: StringAttr.get(text) for key, text in words.items()}) for words in each])


def _dtype(value: torch.Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _numpy(value: torch.Tensor) -> Array:
    return np.asarray(
        value.detach().cpu().float().numpy() if value.is_floating_point() else value.detach().cpu().numpy()
    )
