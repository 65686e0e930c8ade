"""The generated SystemVerilog as others take it: Verilator's lint, Yosys, a reader."""

from pathlib import Path

import pytest
from verilog_files import assert_lint_is_silent, assert_readable, assert_yosys_reads, write_files

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
    return write_files(to_systemverilog(build(request.param)), tmp_path)


def test_lint_has_nothing_to_say(folder: Path) -> None:
    assert_lint_is_silent(folder, NAME)


def test_yosys_reads_it(folder: Path) -> None:
    assert_yosys_reads(folder, NAME)


def test_every_file_says_what_it_is_and_is_readable(folder: Path) -> None:
    assert_readable(folder)


def test_the_same_parameters_give_the_same_bytes() -> None:
    first, second = (to_systemverilog(build(PARAMETERS[0])) for _ in range(2))
    assert first == second
