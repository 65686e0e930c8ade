# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false
"""ONNX files, through torch-mlir's ONNX importer and then its conversion to the torch dialect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnx.version_converter
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from torch_mlir.extras import onnx_importer

from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.importer.exported import ENTRY, annotate
from elastix.compiler.importer.imported import Argument, Imported, Result
from elastix.compiler.importer.store import Array, ArrayStore, NamedStore
from elastix.compiler.importer.torch_ops import OperatorOp
from elastix.compiler.ir import ModuleOp, PassFailed, StringAttr, new_context, run_passes

_DO = "export the model with other ops"
_OPSET = 17  # the operator set that torch-mlir's conversions of older ops are written for
_TO_TORCH = "builtin.module(func.func(convert-torch-onnx-to-torch),canonicalize,cse)"


def import_onnx(path: Path) -> Imported:
    """The main graph of an ONNX file; dimensions that the file leaves open become 1.

    Floating initializers become weight arguments under their own names; integer ones (shapes, axes) stay constants.
    Raises ElastixError if the file is missing or not ONNX, CannotCompile for an op that torch-mlir does not know.
    """
    model = _infer(_fold_constants(_fix_shapes(_load(path))))
    graph = model.graph
    _check_outputs(graph, path)
    weights = {i.name: numpy_helper.to_array(i) for i in graph.initializer if _is_floating(i)}
    kept = [i for i in graph.initializer if i.name not in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    inputs = [i for i in graph.input if i.name not in weights and i.name not in {k.name for k in kept}]
    added = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, values.shape)
        for name, values in weights.items()
    ]
    del graph.input[:]
    graph.input.extend([*added, *inputs])
    module = _to_torch(model)
    arguments = (
        *(Argument(name, "weight", tuple(values.shape), "float32") for name, values in weights.items()),
        *(Argument(i.name, "input", *_type(i)) for i in inputs),
    )
    results = tuple(Result(o.name, "", *_type(o)) for o in graph.output)
    annotate(module, arguments, results)
    values = ArrayStore(weights, str(path))
    store = NamedStore({name: (values, name) for name in weights}, str(path))
    return Imported(module, ENTRY, store, arguments, results)


def _load(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ElastixError(f"no file {path}", wanted="an ONNX file", do="check the path")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
        model = onnx.version_converter.convert_version(model, _OPSET)
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ElastixError(
            f"{path} is not a valid ONNX file: {reason}", wanted="a complete ONNX file", do="export it again"
        ) from error
    return model


def _fix_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = model.graph
    for value in graph.input:
        for dimension in value.type.tensor_type.shape.dim:
            if not dimension.dim_value:
                dimension.dim_value = 1
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    graph.name = ENTRY
    del graph.value_info[:]
    inferred = _infer(model)
    shapes = {value.name: _type(value)[0] for value in [*inferred.graph.value_info, *inferred.graph.input]}
    for node in inferred.graph.node:
        if node.op_type in ("Conv", "MaxPool", "AveragePool") and node.input[0] in shapes:
            _write_out_padding(node, shapes)
    return inferred


def _infer(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def _check_outputs(graph: onnx.GraphProto, path: Path) -> None:
    """Raises CannotCompile for an output whose shape depends on values, naming the op that gives it."""
    for value in graph.output:
        kind = value.type.tensor_type
        if not kind.HasField("shape") or not all(each.HasField("dim_value") for each in kind.shape.dim):
            op = next((node.op_type for node in graph.node if value.name in node.output), "an output")
            why = f"the shape of its result {value.name} depends on values; wanted: shapes that are known"
            raise CannotCompile(f"onnx.{op}", where=path.name, why=why)


def _write_out_padding(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """`auto_pad = SAME_…` as numbers, which keeps every later shape known."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    mode = attributes.get("auto_pad", b"NOTSET")
    if mode not in (b"SAME_UPPER", b"SAME_LOWER"):
        return
    sizes = shapes[node.input[0]][2:]
    kernel = attributes.get("kernel_shape") or shapes[node.input[1]][2:]
    strides = attributes.get("strides") or [1] * len(sizes)
    dilations = attributes.get("dilations") or [1] * len(sizes)
    totals = [
        max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    pads = small + large if mode == b"SAME_UPPER" else large + small
    kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute("pads", pads)])


def _fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Nodes that read initializers alone become initializers, so that a reshaped weight is one argument."""
    graph = model.graph
    known: dict[str, Array] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    left: list[onnx.NodeProto] = []
    for node in graph.node:
        if not node.input or any(name not in known for name in node.input if name):
            left.append(node)
            continue
        outputs = _evaluate(node, known, model)
        known.update(zip(node.output, outputs, strict=True))
        graph.initializer.extend(numpy_helper.from_array(v, n) for v, n in zip(outputs, node.output, strict=True))
    del graph.node[:]
    graph.node.extend(left)
    used = {name for node in left for name in node.input} | {o.name for o in graph.output}
    live = [i for i in graph.initializer if i.name in used]
    gone = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in gone]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(live)
    graph.input.extend(inputs)
    return model


def _evaluate(node: onnx.NodeProto, known: dict[str, Array], model: onnx.ModelProto) -> list[Array]:
    evaluator = ReferenceEvaluator(node, opsets={o.domain: o.version for o in model.opset_import})
    outputs = cast(Sequence[Any], evaluator.run(None, {name: known[name] for name in node.input if name}))
    return [np.asarray(value) for value in outputs]


def _to_torch(model: onnx.ModelProto) -> ModuleOp:
    context = new_context()
    try:
        info = onnx_importer.ModelInfo(model)
        module = info.create_module(context=context)
        onnx_importer.NodeImporter.define_function(info.main_graph, module.operation).import_all()
    except onnx_importer.OnnxImportError as error:
        raise CannotCompile("an ONNX graph", why=str(error).split("\n")[0], do=_DO) from error
    opened = cast(ModuleOp, module.operation.opview)
    try:
        run_passes(opened, _TO_TORCH)
    except PassFailed as error:
        first = error.diagnostics[0] if error.diagnostics else error
        raise CannotCompile("an ONNX graph", why=str(first).split("%")[0].strip(), do=_DO) from error
    for op in opened.body.operations[0].regions[0].blocks[0].operations:
        if isinstance(op, OperatorOp):
            name = cast(StringAttr, op.attributes["name"]).value
            raise CannotCompile(name, why="torch-mlir has no conversion for it", do=_DO)
    return opened


def _is_floating(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == onnx.TensorProto.FLOAT


def _type(value: onnx.ValueInfoProto) -> tuple[tuple[int, ...], str]:
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim), str(kind)
