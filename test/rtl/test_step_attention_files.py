"""The attention engine and the row writer as SystemVerilog: Verilator's lint, Yosys, a reader."""

from pathlib import Path

import pytest
from verilog_files import assert_lint_is_silent, assert_readable, assert_yosys_reads, write_files

from elastix.compiler.circuit import to_systemverilog
from elastix.compiler.processor.step.attention_engine import attention_engine
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.row_writer import row_writer

PARAMETERS = (
    StepParameters(beat=128, head_dim=8, group=2, attention_lanes=8, vector_lanes=2, kv_heads=4),
    StepParameters(beat=64, head_dim=64, group=3, attention_lanes=4, lanes=2, kv_heads=3, max_context=40),
    StepParameters(beat=256, attention_lanes=32, vector_lanes=1, max_context=100),
    StepParameters(beat=64, head_dim=8, attention_lanes=1, vector_lanes=8, lanes=3, max_context=5),
    StepParameters(beat=128, head_dim=16, attention_lanes=16, vector_lanes=16, group=4, lanes=2, max_context=70),
    StepParameters(
        beat=256, channels=4, attention_channels=4, vector_lanes=8, group=4, attention_lanes=32, max_context=2048
    ),
    StepParameters(beat=512, head_dim=256, group=4, attention_lanes=64, vector_lanes=8, max_context=2048, kv_heads=2),
)
MODULES = {"attention_engine": attention_engine, "row_writer": row_writer}


@pytest.fixture(params=PARAMETERS, ids=lambda p: f"D{p.beat}-Dh{p.head_dim}-L{p.vector_lanes}")
def parameters(request: pytest.FixtureRequest) -> StepParameters:
    return request.param


@pytest.mark.parametrize("name", MODULES)
def test_files_are_clean_and_readable(parameters: StepParameters, name: str, tmp_path: Path) -> None:
    folder = write_files(to_systemverilog(MODULES[name](parameters)), tmp_path)
    assert_readable(folder)
    assert_lint_is_silent(folder, name)
    assert_yosys_reads(folder, name)
