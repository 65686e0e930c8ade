"""`elastix-opt` in this process: its options, and one clear error for everything that is wrong."""

from pathlib import Path

import pytest

from elastix.compiler.ir import all_passes
from elastix.tools.opt import main

TEXT = """module {
  func.func @f(%a: i32) -> i32 {
    %0 = arith.addi %a, %a : i32
    %1 = arith.addi %a, %a : i32
    %2 = arith.muli %0, %1 : i32
    return %2 : i32
  }
}
"""


@pytest.fixture
def net(tmp_path: Path) -> str:
    path = tmp_path / "net.mlir"
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "canonicalise"], "error: no pass is called 'canonicalise'; "),
        (["-p", "canonicalise"], "; did you mean canonicalize?"),
        (["-p", "fuse-rms-nrm"], "did you mean fuse-rms-norm?"),
        (["-p", "assign-precision{bitz=3}"], "error: pass assign-precision has no option 'bitz'; "),
        (["-p", "assign-precision{bitz=3}"], "did you mean bits?"),
        (["-p", "assign-precision{bits=many}"], "error: option bits=many; wanted: a value of type int"),
        (["-p", "cse,,cse"], "error: ',cse' at column 5 of the pipeline; wanted: the name of a pass"),
        (["-p", "func.func(assign-precision)"], "error: pass assign-precision inside func.func(…); wanted: "),
        (["--help", "fuse-rms-nrm"], "error: no pass of the project is called 'fuse-rms-nrm'; "),
        (["-o", "/no/such/folder/x"], "error: cannot read or write /no/such/folder/x: No such file or directory"),
    ],
)
def test_one_clear_error(net: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main([net, *arguments]) == 1
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("arguments", [["--passs"], ["-p", "cse", "--pass-pipeline", "cse"], ["a", "b"]])
def test_wrong_arguments(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("elastix-opt: error: ")


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "absent.mlir")]) == 1
    assert capsys.readouterr().err == f"error: cannot read or write {tmp_path}/absent.mlir: No such file or directory\n"


def test_a_file_that_does_not_parse_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "broken.mlir"
    path.write_text("func.func @f() -> f32 {\n  return %x : f32\n}\n")
    assert main([str(path), "-o", str(tmp_path / "out.mlir")]) == 1
    assert capsys.readouterr().err == f"{path}:2:10: error: use of undeclared SSA value name\n"
    assert not (tmp_path / "out.mlir").exists()


def test_a_file_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "picture.mlir"
    path.write_bytes(b"module\xff\xfe")
    assert main([str(path)]) == 1
    assert capsys.readouterr().err == "error: byte 6 is not UTF-8; wanted: MLIR text or bytecode\n"


def test_a_piece_that_fails_fails_the_run_but_not_the_others(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
):
    path = tmp_path / "net.mlir"
    path.write_text(
        "func.func private @one()\n// -----\nfunc.func @two() { return %x }\n// -----\nfunc.func private @three()\n"
    )
    assert main([str(path), "--split-input-file"]) == 1
    out, err = capsysbinary.readouterr()
    assert b"@one" in out and b"@three" in out and out.count(b"// -----") == 1
    assert b"net.mlir:3:" in err


def test_locations_and_generic_form(net: str, capsysbinary: pytest.CaptureFixture[bytes]):
    assert main([net, "--mlir-print-debuginfo", "--mlir-print-op-generic"]) == 0
    out = capsysbinary.readouterr().out.decode()
    assert f'"{net}":3:10' in out and '"func.func"()' in out


def test_print_after_all_and_timing(net: str, capsysbinary: pytest.CaptureFixture[bytes]):
    assert main([net, "-p", "canonicalize,cse", "--mlir-print-ir-after-all", "--timing"]) == 0
    err = capsysbinary.readouterr().err.decode()
    assert "// -----// IR Dump After canonicalize //----- //" in err
    assert [line.split()[-1] for line in err.splitlines()[-3:]] == ["canonicalize", "cse", "total"]


def test_the_list_names_every_pass_in_order(capsys: pytest.CaptureFixture[str]):
    assert main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == list(all_passes())


def test_help_of_every_pass(capsys: pytest.CaptureFixture[str]):
    for name, each in all_passes().items():
        assert main(["--help", name]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name}\n") and all(f"{option.name}: " in out for option in each.options)
    assert main(["--help"]) == 0
    assert "usage: elastix-opt" in capsys.readouterr().out
