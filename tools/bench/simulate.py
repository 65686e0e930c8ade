"""How fast the RTL runs here: in process and under Verilator, the same launches in the same run."""

import argparse
import time
from typing import Any

import numpy as np

from elastix.compiler.errors import ElastixError
from elastix.runtime import verilator
from elastix.runtime.memory_model import memory_model
from elastix.runtime.simulate import ArcEngine, ProcessorEngine, VerilatorEngine
from elastix.tools.bench import bits

NAME = "simulate"
HELP = "simulated kHz of the generated processor in process and under Verilator, harness included"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The layer, the processor, how often."""
    bits.add_arguments(parser)
    parser.add_argument("--bits", type=int, default=4, dest="width", help="bits of the weights (4)")
    parser.add_argument("--memory", default="ideal", metavar="NAME", help="memory model (ideal)")
    parser.add_argument("--launches", type=int, default=10, help="launches timed of each engine, taken in turn (10)")
    parser.add_argument("--no-verilator", action="store_true", help="RTL in process only")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """kHz of each engine (median, range over launches), seconds to build; ElastixError if their results differ.

    ratio_rtl_to_verilator: of the two launches of each turn, absent without Verilator.
    """
    work = bits.layer(arguments, arguments.width)
    kinds: dict[str, type[ProcessorEngine]] = {"rtl": ArcEngine}
    if not arguments.no_verilator:
        kinds["verilator"] = VerilatorEngine
    engines: dict[str, ProcessorEngine] = {}
    built: dict[str, float] = {}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    results: dict[str, tuple[bytes, int]] = {}
    try:
        for name, kind in kinds.items():
            begin = time.perf_counter()
            engines[name] = kind(bits.parameters(arguments), memory_model(arguments.memory))
            built[name] = round(time.perf_counter() - begin, 3)
        for _ in range(arguments.launches):
            for name, engine in engines.items():
                memory = work.memory.copy()
                counters = engine.run(memory, work.descriptor)
                rates[name].append(counters.hertz / 1e3)
                results[name] = memory.tobytes(), counters.cycles
    finally:
        for engine in engines.values():
            engine.close()
    if len(set(results.values())) != 1:
        raise ElastixError("results or cycles of RTL in process and Verilator that differ", wanted="equal ones")
    figures: dict[str, Any] = {
        "layer": f"{arguments.rows}x{arguments.columns}, {arguments.width} bits",
        "processor": repr(bits.parameters(arguments)),
        "memory": arguments.memory,
        "launches": arguments.launches,
        "cycles_a_launch": next(iter(results.values()))[1],
        "flags": {"rtl": "CIRCT arc, LLVM JIT opt level 3", "verilator": verilator.flags_text()},
        "seconds_to_build_or_load": built,
        "khz_median": {name: round(float(np.median(rate)), 1) for name, rate in rates.items()},
        "khz_range": {name: [round(min(rate), 1), round(max(rate), 1)] for name, rate in rates.items()},
    }
    if "verilator" in rates:
        ratios = np.divide(rates["rtl"], rates["verilator"]).round(3).tolist()
        figures["ratio_rtl_to_verilator"] = {"median": float(np.median(ratios)), "each": ratios}
    return figures
