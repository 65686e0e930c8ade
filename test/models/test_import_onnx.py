"""ONNX files: dense layers on the processor, and what is said of files that cannot be read."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.importer.files import import_file
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import compile_module


def write_dense(path: Path, *, transposed: bool, op: str = "Gemm") -> onnx.ModelProto:
    """y = relu(x · W + b), W stored as K x N or N x K; the batch is left open."""
    random = np.random.default_rng(3)
    shape = (8, 40) if transposed else (40, 8)
    weight = numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), "w")
    bias = numpy_helper.from_array(random.standard_normal(8).astype(np.float32), "b")
    nodes = [
        helper.make_node(op, ["x", "w", "b"], ["h"], **({"transB": 1} if transposed else {})),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 40])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 8])
    graph = helper.make_graph(nodes, "dense", [x], [y], [weight, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    onnx.save(model, str(path))
    return model


@pytest.mark.parametrize("transposed", [False, True])
def test_a_dense_layer(tmp_path: Path, transposed: bool) -> None:
    model = write_dense(tmp_path / "net.onnx", transposed=transposed)
    imported = import_file(tmp_path / "net.onnx")
    assert [(a.name, a.kind) for a in imported.arguments] == [("w", "weight"), ("b", "weight"), ("x", "input")]
    program = compile_module(imported, CompileOptions(bits=8))
    assert len(program.manifest.layers) == 1
    x = np.random.default_rng(4).standard_normal((1, 40)).astype(np.float32)
    (found,) = program.run({"x": x}).values()
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert 0 < np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ElastixError, match=r"no file .*absent.onnx"):
        import_file(tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(ElastixError, match=r"bad.onnx is not a valid ONNX file"):
        import_file(tmp_path / "bad.onnx")
    write_dense(tmp_path / "net.onnx", transposed=False)
    data = (tmp_path / "net.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(data[:-40])
    with pytest.raises(ElastixError, match=r"net.onnx is not a valid ONNX file"):
        import_file(tmp_path / "net.onnx")


def test_an_op_that_torch_mlir_does_not_know_is_named(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain="com.example")
    graph = helper.make_graph([node], "odd", [x], [y])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), str(tmp_path / "odd.onnx"))
    with pytest.raises(CannotCompile, match="Frobnicate"):
        import_file(tmp_path / "odd.onnx")


def test_a_result_whose_shape_depends_on_values_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    node = helper.make_node("NonZero", ["x"], ["y"])
    inputs = [value("x", onnx.TensorProto.FLOAT, [4, 4])]
    graph = helper.make_graph([node], "g", inputs, [value("y", onnx.TensorProto.INT64, [2, "n"])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "net.onnx")
    with pytest.raises(CannotCompile, match=r"net\.onnx: cannot compile onnx\.NonZero: the shape of its result y"):
        import_file(tmp_path / "net.onnx")
