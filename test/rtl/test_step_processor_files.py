"""The step processor's SystemVerilog as others take it: Verilator's lint, Yosys."""

from pathlib import Path

import pytest
from verilog_files import assert_lint_is_silent, assert_readable, assert_yosys_reads, write_files

from elastix.compiler.circuit import to_systemverilog
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.top import NAME, build

PARAMETERS = {
    "one of everything": StepParameters(beat=64, max_burst=16, fifo_beats=64),
    "linear layers alone": StepParameters(
        beat=64, lanes=2, channels=2, max_burst=16, fifo_beats=64, vector_lanes=1, activations=(), features=()
    ),
    "three channels": StepParameters(beat=256, channels=3, lanes=3, kv_heads=2, group=2, vector_lanes=8),
    "more vector lanes than rows of a block": StepParameters(beat=128, head_dim=16, group=2, vector_lanes=16),
    "caches on four channels of six": StepParameters(
        beat=64, channels=6, attention_channels=4, lanes=2, kv_heads=2, group=2, head_dim=16, max_context=100
    ),
    "no CRC": StepParameters(
        beat=512, kv_heads=2, group=3, vector_lanes=2, crc=False, features=("attention", "rotate")
    ),
}


@pytest.fixture(params=PARAMETERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_files(to_systemverilog(build(PARAMETERS[request.param])), tmp_path)


def test_lint_has_nothing_to_say(folder: Path) -> None:
    assert_lint_is_silent(folder, NAME)


def test_yosys_reads_it(folder: Path) -> None:
    assert_yosys_reads(folder, NAME)


def test_every_file_says_what_it_is_and_is_readable(folder: Path) -> None:
    assert_readable(folder)
