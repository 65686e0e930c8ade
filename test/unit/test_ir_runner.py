"""Running passes: order, checks before the first, verification after each, and what a failure leaves behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import (
    ModuleOp,
    PassFailed,
    RefusedOp,
    StringAttr,
    all_passes,
    collect,
    compiler_pass,
    new_context,
    parse,
    remark,
    run_passes,
)
from elastix.compiler.ir.diagnostics import Diagnostic
from elastix.compiler.ir.runner import COMMON_MLIR_PASSES, ready

TEXT = """func.func @f(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = "elx.activation"(%x) {kind = "relu"} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %1 = "elx.activation"(%x) {kind = "relu"} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %2 = "elx.residual"(%0, %1) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %2 : tensor<2x4xf32>
}
"""


def first(module: ModuleOp):
    return module.body.operations[0].regions[0].blocks[0].operations[0]


@compiler_pass
def mark(module: ModuleOp, *, text: str = "here") -> None:
    """Mark the first op."""
    first(module).attributes["mark"] = StringAttr.get(text)
    remark(first(module), "marked")


@compiler_pass
def break_it(module: ModuleOp) -> None:
    """Leave an op that does not verify."""
    first(module).attributes["kind"] = StringAttr.get("tanh")


@compiler_pass
def refuse(module: ModuleOp) -> None:
    """Refuse the first op."""
    raise RefusedOp(first(module), "found", wanted="wanted", do="do this")


class Names:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def before(self, name: str, module: ModuleOp) -> None:
        self.seen.append(f"<{name}")

    def after(self, name: str, module: ModuleOp, seconds: float) -> None:
        assert seconds > 0
        self.seen.append(f"{name}>")


def test_ours_and_mlirs_in_order():
    module, names = parse(TEXT), Names()
    run_passes(module, [mark.with_options(text="a"), "func.func(cse),canonicalize", mark], watchers=[names])
    assert names.seen == [
        "<mark{text=a}",
        "mark{text=a}>",
        "<func.func(cse)",
        "func.func(cse)>",
        "<canonicalize",
        "canonicalize>",
        "<mark",
        "mark>",
    ]
    assert str(first(module).attributes["mark"]) == '"here"'


def test_remarks_go_to_who_collects():
    said: list[Diagnostic] = []
    with collect(said.append):
        run_passes(parse(TEXT), [mark])
    assert [(each.severity, each.message, each.line) for each in said] == [("remark", "marked", 2)]


def test_ir_that_does_not_verify(tmp_path: Path):
    with pytest.raises(PassFailed) as failure:
        run_passes(parse(TEXT), [mark, break_it], reproducers=tmp_path)
    assert "kind is 'tanh', wanted silu or gelu or gelu_tanh or relu" in str(failure.value)
    assert "pass break-it: left IR that does not verify" in str(failure.value)


def test_a_refusal_names_the_op_and_its_line(tmp_path: Path):
    with pytest.raises(PassFailed) as failure:
        run_passes(parse(TEXT, name="net.mlir"), [refuse], reproducers=tmp_path)
    assert failure.value.diagnostics[0].message == "'elx.activation' op found; wanted: wanted; do this"
    assert failure.value.diagnostics[0].line == 2


def test_the_reproducer_holds_the_ir_before_the_pass(tmp_path: Path):
    with pytest.raises(PassFailed) as failure:
        run_passes(parse(TEXT), [mark, break_it], reproducers=tmp_path)
    path = failure.value.reproducer
    assert path and str(path) in str(failure.value)
    command, _, ir = path.read_text().partition("\n")
    assert command == f"// elastix-opt {path} --pass-pipeline='builtin.module(break-it)'"
    assert 'mark = "here"' in ir and '"relu"' in ir and "tanh" not in ir
    parse(ir)


def test_the_reproducers_command_reproduces(tmp_path: Path):
    bad = tmp_path / "bad.mlir"
    bad.write_text("func.func @f(%x: f32) -> f32 {\n  return %x : f32\n}\n")
    arguments = [str(bad), "-p", "canonicalize,convert-func-to-llvm,convert-elementwise-to-linalg{}", "--reproducers"]
    command = [sys.executable, "-m", "elastix.tools.opt"]
    ran = subprocess.run([*command, *arguments, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    failing = tmp_path / "failing.mlir"
    failing.write_text("func.func @f(%x: memref<2xf32, 3>) {\n  return\n}\n")
    one_shot = "canonicalize,func.func(torch-decompose-complex-ops),torch-verify-backend-contract-no-decompositions"
    failing.write_text("func.func @f(%x: !torch.tensor) -> !torch.tensor {\n  return %x : !torch.tensor\n}\n")
    first_run = subprocess.run(
        [*command, str(failing), "-p", one_shot, "--reproducers", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert first_run.returncode == 1
    path = next(tmp_path.glob("elastix-*.mlir"))
    line = path.read_text().splitlines()[0]
    pipeline = line.partition("--pass-pipeline=")[2].strip("'")
    again = subprocess.run(
        [*command, str(path), f"--pass-pipeline={pipeline}", "--reproducers", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert (
        first_run.stderr.splitlines()[0].partition("error: ")[2] == again.stderr.splitlines()[0].partition("error: ")[2]
    )


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (
            "canonicalise",
            "no pass is called 'canonicalise'; wanted: one of `elastix-opt --list`, or of MLIR's; "
            "did you mean canonicalize?",
        ),
        ("fuse-rms-nrm", "did you mean fuse-rms-norm?"),
        ("fuse-rms-norm{wide=3}", "pass fuse-rms-norm has no option 'wide'"),
        ("func.func(fuse-rms-norm)", "pass fuse-rms-norm inside func.func(…); wanted: it inside builtin.module(…)"),
        (
            "canonicalize{wide=3}",
            "MLIR does not take 'canonicalize{wide=3}': <Pass-Options-Parser>: no such option wide",
        ),
    ],
)
def test_a_wrong_pipeline_runs_nothing(pipeline: str, message: str):
    module = parse(TEXT)
    with pytest.raises(ElastixError) as error:
        run_passes(module, [mark, pipeline])
    assert message in str(error.value)
    assert "mark" not in first(module).attributes


def test_the_names_offered_are_mlirs():
    with new_context():
        assert len(ready(",".join(COMMON_MLIR_PASSES))) == len(COMMON_MLIR_PASSES)


def test_every_pass_is_found_by_name():
    with new_context():
        assert [each.name for each in ready(",".join(all_passes()))] == list(all_passes())
