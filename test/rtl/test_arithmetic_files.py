"""The library's SystemVerilog as others take it: Verilator's lint, Yosys, a reader; and what README.md says of it."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from verilog_files import assert_lint_is_silent, assert_readable, assert_yosys_reads, write_files

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

MODULES: tuple[Callable[[], Module], ...] = (
    fp32_add.fp32_add,
    fp32_multiply.fp32_multiply,
    lambda: integer_to_fp32.integer_to_fp32(25, True),
    lambda: integer_to_fp32.integer_to_fp32(32, True),
    lambda: integer_to_fp32.integer_to_fp32(64, False),
    exponent_add.exponent_add,
    lambda: fixed_point.fp32_to_fixed(20),
    lambda: function_table.function_table(("silu", "exp2")),
    lambda: activation_factor.activation_factor("gelu_tanh"),
    lambda: activation_factor.activation_factor("relu"),
    exponential.exponential,
    reciprocals.reciprocals,
    quantizer.quantizer,
    quantization.quantization,
)
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


TOP = "all_arithmetic"


@cache
def files() -> dict[str, str]:
    """All modules in one design, so that each tool runs once."""
    top = Module(TOP, "Every module of the library, its ports passed through.")
    for make in MODULES:
        module = make()
        ports = {port: top.input(f"{module.name}_{port}", bits) for port, bits in module.inputs.items()}
        for port, value in top.instance(module.name, module, **ports).items():
            top.output(f"{module.name}_{port}", value)
    return to_systemverilog(top)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(files(), tmp_path)


def test_lint_has_nothing_to_say(folder: Path) -> None:
    assert_lint_is_silent(folder, TOP)


def test_yosys_reads_it(folder: Path) -> None:
    assert_yosys_reads(folder, TOP)


def test_every_file_says_what_it_is_and_is_readable(folder: Path) -> None:
    assert_readable(folder)


def test_the_readme_has_the_latencies() -> None:
    page = (Path(arithmetic.__file__).parent / "README.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if re.match(r"\| `\w+\.py`", line)]
    said = {row[1].strip(" `").removesuffix(".py"): int(row[6]) for row in rows}
    assert said == LATENCIES
