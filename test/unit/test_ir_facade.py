"""The facade: what its stubs promise is there, ops read and write Python values, and nothing heavy is imported."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from elastix.compiler import levels
from elastix.compiler.ir import (
    Compiled,
    InsertionPoint,
    InvalidIR,
    Location,
    Symbol,
    build_at,
    bytecode_of,
    core,
    machinery,
    new_context,
    new_module,
    parse,
    parse_file,
    tensor,
    text_of,
)
from elastix.compiler.numbers.formats import Format
from elastix.dialects import DIALECTS, elx, epu, host

LINEAR = """func.func @f(%x: tensor<2x64xf32>, %w: tensor<32x64xf32>) {
  return
}"""


@pytest.mark.parametrize("module", [core, machinery])
def test_the_stub_promises_only_what_is_there(module: object):
    """Every public class, method and property of the .pyi exists in the bindings."""
    source = Path(inspect.getfile(module)).with_suffix(".pyi")  # pyright: ignore
    for node in ast.parse(source.read_text()).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        there = getattr(module, node.name)
        for inner in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(inner, ast.FunctionDef):
                assert hasattr(there, inner.name), f"{node.name}.{inner.name}"


def test_building_an_op_infers_and_reads_back():
    module = parse(LINEAR)
    block = module.body.operations[0].regions[0].blocks[0]
    x, w = block.arguments
    with module.context, build_at(InsertionPoint(block.operations[0]), Location.unknown()):
        linear = elx.LinearOp(x=x, weight=w, format=Format(3, 96, "s6", "half_step"))
        plain = elx.LinearOp(x=x, weight=w)
        quantize = elx.QuantizeOp(x=x, activation_bits=9)
        shaped = elx.ReshapeOp(x=linear.result, type=tensor([64]))
        attention = host.AddressOp(region="argument", index=2, offset=64)
        program = epu.ProgramOp(sym_name="step", processor=Symbol("p"))
        assert linear.result.type == tensor([2, 32])
        assert linear.format == Format(3, 96, "s6", "half_step")
        assert (linear.bias, plain.format) == (None, None)
        assert [str(each.type) for each in quantize.results] == ["tensor<2x64xi16>", "tensor<2xi32>"]
        assert shaped.result.type == tensor([64])
        assert (attention.region, attention.index) == ("argument", 2)
        assert (program.processor, len(program.body.blocks)) == ("p", 0)
        module.operation.verify()


def test_optional_operands_by_segments():
    types = "%q: tensor<1x2x1x8xf32>, %k: tensor<1x2x4x8xf32>, %p: tensor<1xi64>, %m: tensor<1x1x1x4xf32>"
    module = parse(f"func.func @f({types}) {{\n  return\n}}")
    block = module.body.operations[0].regions[0].blocks[0]
    q, k, p, m = block.arguments
    with module.context, build_at(InsertionPoint(block.operations[0]), Location.unknown()):
        masked = elx.AttentionOp(q=q, k=k, v=k, mask=m, scale=0.5, causal=False)
        causal = elx.AttentionOp(q=q, k=k, v=k, positions=p, scale=0.5, causal=True)
    assert (masked.positions, masked.mask) == (None, m)
    assert (causal.positions, causal.mask, causal.causal, causal.scale) == (p, None, True, 0.5)


def test_every_op_has_one_line_of_contract():
    for dialect in DIALECTS:
        for op in dialect.operations:
            assert op.about.endswith((".", ".)")), op.OPERATION_NAME


def test_text_that_does_not_parse_says_the_line(tmp_path: Path):
    path = tmp_path / "net.mlir"
    path.write_text("module {\n  func.func @f() {\n    return %x : f32\n  }\n}\n")
    with pytest.raises(InvalidIR) as error:
        parse_file(path)
    assert str(error.value) == f"{path}:3:12: error: use of undeclared SSA value name"


def test_bytecode_and_back(tmp_path: Path):
    module = parse(LINEAR)
    path = tmp_path / "net.mlirbc"
    path.write_bytes(bytecode_of(module))
    assert text_of(parse_file(path)) == text_of(module)


def test_contexts_are_new_and_single_threaded():
    one, two = new_context(), new_context()
    assert one is not two
    with one:
        assert text_of(new_module()).split() == ["module", "{", "}"]


def test_compiled_code_runs():
    import ctypes

    module = parse(
        "llvm.func @twice(%p: !llvm.ptr) attributes {llvm.emit_c_interface} {\n"
        "  %0 = llvm.load %p : !llvm.ptr -> i64\n  %1 = llvm.add %0, %0 : i64\n"
        "  llvm.store %1, %p : i64, !llvm.ptr\n  llvm.return\n}"
    )
    compiled = Compiled(module)
    number = ctypes.c_int64(21)
    argument = ctypes.c_void_p(ctypes.addressof(number))
    packed = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(compiled.address("twice"))(packed)
    assert number.value == 42


def test_levels():
    text = """func.func @f(%x: tensor<?xf32>) -> f32 {
  %0 = arith.constant 1.0 : f32
  %1 = arith.addf %0, %0 : f32
  return %1 : f32
}"""
    with pytest.raises(InvalidIR) as error:
        levels.ELX.check(parse(text, name="net.mlir"))
    assert [(each.line, each.message) for each in error.value.diagnostics] == [
        (1, "'func.func' op has type tensor<?xf32>, which is not legal at level ELX, wanted a static shape"),
        (2, "'arith.constant' op has type f32, which is not legal at level ELX, wanted tensor or !torch."),
        (
            3,
            "'arith.addf' op is not legal at level ELX, wanted ops of func or elx or epu.processor or "
            "epu.step_processor or torch or torch_c "
            "or arith.constant",
        ),
        (4, "'func.return' op has type f32, which is not legal at level ELX, wanted tensor or !torch."),
    ]
    levels.ELX.check(parse(LINEAR))
    with pytest.raises(InvalidIR, match="not legal at level HOST"):
        levels.HOST.check(parse(LINEAR))


def test_nested_modules_have_a_level_of_their_own():
    nested = parse(
        "builtin.module {\n  builtin.module @torch_functions {\n    func.func @g(%x: !torch.vtensor<[2],f32>) {\n"
        '      return\n    }\n  }\n  func.func @f(%x: !llvm.ptr) {\n    "host.wait"() : () -> ()\n    return\n  }\n}'
    )
    levels.HOST.check(nested)
    with pytest.raises(InvalidIR, match="is inside a module, which is not legal at level TORCH"):
        levels.TORCH.check(nested)


def test_the_tools_import_no_torch():
    program = "import elastix.tools.opt, elastix.tools.show, sys; print('torch' in sys.modules, 'pycde' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("opt", ["--list"]),
        ("opt", ["NET", "-p", "canonicalize,drop-noise,fuse-residual,assign-precision,quantize-linears"]),
        ("show", ["NET"]),
    ],
)
def test_running_the_tools_imports_no_torch(tmp_path: Path, tool: str, words: list[str]):
    net = tmp_path / "net.mlir"
    net.write_text(LINEAR)
    arguments = [str(net) if word == "NET" else word for word in words]
    program = f"from elastix.tools.{tool} import main; import sys; code = main({arguments!r}); "
    report = "print(code, *(name in sys.modules for name in ('torch', 'pycde', 'transformers')))"
    ran = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    assert len(ran.stdout.splitlines()) > 1
    assert ran.stdout.splitlines()[-1] == "0 False False False"
