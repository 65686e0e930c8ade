"""What a step processor takes on an FPGA: cells of ECP5, counted in the circuit that would be generated.

Registers, multipliers and memories follow from the circuit; LUTs are estimated by a cost for each kind of operation,
fitted to Yosys' counts for modules of three processors (`synth_ecp5`). Other families are scaled from ECP5.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Final

from elastix.compiler.circuit import Module
from elastix.compiler.processor.step import top
from elastix.compiler.processor.step.parameters import StepParameters

LUT_COSTS: Final[Mapping[str, float]] = {
    "mux": 0.745,
    "mux constant": 0.332,
    "gate": 0.087,
    "equal": 0.275,
    "equal constant": 0.5,
    "compare": 1.5,
    "compare constant": 0.331,
    "parity": 0.075,
    "enable": 2.49,
}
"""LUT4s for a bit of each kind of operation (`enable`: for a register with one). `constant`: one operand is. Fitted by
least squares to Yosys' LUT4s of 48 modules, and made a tenth less: so much goes when modules become one."""
CARRIED: Final = 0.8
"""Of the carries that additions and comparisons would take: some bits are constant."""
KEPT: Final = 0.965
"""Of the registers: some hold constants, or the same as others."""
BLOCK_RAM_BITS: Final = 18 * 1024
BLOCK_RAM_WIDTHS: Final = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
"""Bits of a word and words of a block RAM."""
LUT_RAM_WORDS, LUT_RAM_BITS = 16, 4


@dataclass(frozen=True)
class Cells:
    """Cells of ECP5. luts: LUT4; carries: CCU2C, two bits each; registers; multipliers: 18 × 18; block_rams: DP16KD;
    lut_rams: 16 words of 4 bits."""

    luts: float = 0
    carries: float = 0
    registers: float = 0
    multipliers: float = 0
    block_rams: float = 0
    lut_rams: float = 0

    def minus(self, other: "Cells") -> "Cells":
        """What this has more; less where it is negative."""
        return self.plus(other, -1)

    def plus(self, other: "Cells", times: float = 1) -> "Cells":
        """This and so many of another."""
        return Cells(*(getattr(self, each.name) + times * getattr(other, each.name) for each in fields(self)))

    @property
    def block_ram_bits(self) -> float:
        """Bits of the block RAMs taken, whole ones."""
        return self.block_rams * BLOCK_RAM_BITS

    @property
    def slices(self) -> float:
        """TRELLIS_COMB of nextpnr: what takes a LUT's place. A carry takes two, a LUT RAM four; constants and the ends
        of carry chains take some more."""
        return 1.1 * (self.luts + 2 * self.carries + 4 * self.lut_rams)


def area(parameters: StepParameters) -> Cells:
    """Of the whole processor."""
    return cells_of(top.build(parameters))


def cells_of(module: Module) -> Cells:
    """Of a module with all below it."""
    known: dict[str, Cells] = {}
    for each in module.hierarchy():
        total = own_cells(each.name, each.text("verilog"))
        for below in each.instances:
            total = total.plus(known[below.name])
        known[each.name] = total
    return known[module.name]


@cache
def own_cells(name: str, text: str) -> Cells:
    """Of one module without those below it, from its text."""
    if memory := _MEMORY.match(name):
        kind, depth, width = memory[1], int(memory[2]), int(memory[3])
        return Cells(block_rams=block_rams(depth, width)) if kind == "ram" else _lut_ram(depth, width)
    counts = operations(text)
    luts = sum(LUT_COSTS.get(kind, 0.0) * bits for kind, bits in counts.items())
    return Cells(
        luts=luts,
        carries=CARRIED * counts["carry"] / 2,
        registers=KEPT * counts["register"],
        multipliers=counts["multiplier"],
        block_rams=counts["rom"],
    )


_MEMORY: Final = re.compile(r"(ram|register_file)_(\d+)x(\d+)$")
_CONSTANT: Final = re.compile(r"(%\w+) = hw\.constant (.*)")
_OPERATION: Final = re.compile(
    r'(?:%\w+ = )?(comb|seq)\.([\w.]+)(?: bin)?(?: name "\w+")?(?: (?=%)| (\w+) )(.*) : (?:.*-> )?i(\d+)$'
)
_ROM: Final = re.compile(r'"rom_style" = "\\"(\w+)\\"".* : !hw\.inout<uarray<(\d+)xi(\d+)>>')


def operations(text: str) -> Mapping[str, float]:
    """Bits of each kind of operation in a module's text."""
    counts: dict[str, float] = defaultdict(float)
    constants: set[str] = set()  # and what is one of two constants: its bits are an input, its inverse or nothing
    for line in text.splitlines():
        line = line.strip()
        if "sv.verbatim.expr" in line and "$signed" in line:
            counts["multiplier"] += 1
        elif found := _CONSTANT.match(line):
            constants.add(found[1])
        elif found := _ROM.search(line):
            _rom(counts, found[1], int(found[2]), int(found[3]))
        elif found := _OPERATION.match(line):
            operands = re.findall(r"%\w+", found[4])
            if found[2] == "mux" and constants.issuperset(operands[-2:]):
                constants.add(line.partition(" = ")[0])
                continue
            _count(counts, found[2], found[3] or "", operands, constants, int(found[5]))
    return counts


def _count(
    counts: dict[str, float], name: str, predicate: str, operands: list[str], constants: set[str], bits: int
) -> None:
    fixed = sum(each in constants for each in operands)
    match name:
        case "compreg" | "compreg.ce":
            counts["register"] += bits
            if name == "compreg.ce":
                counts["enable"] += 1
        case "mux":
            counts["mux constant" if fixed else "mux"] += bits
        case "and" | "or" | "xor":
            counts["gate"] += 0 if fixed else bits
        case "icmp" if predicate in ("eq", "ne"):
            counts["equal constant" if fixed else "equal"] += bits
        case "icmp":
            counts["compare constant" if fixed else "compare"] += bits
            counts["carry"] += bits
        case "add" | "sub":
            counts["add constant" if fixed else "add"] += bits
            counts["carry"] += bits + 2
        case "mul":
            counts["multiplier"] += 1
            counts["product"] += bits
        case "parity":
            counts["parity"] += bits
        case "shl" | "shru" | "shrs" if not fixed:
            counts["shift"] += bits * (bits - 1).bit_length()
        case _:
            pass


def _rom(counts: dict[str, float], style: str, words: int, bits: int) -> None:
    if style == "block":
        counts["rom"] += block_rams(words, bits)
    else:
        counts["table"] += words * bits / 16


def block_rams(depth: int, width: int) -> int:
    """Block RAMs that a memory takes, all in one shape."""
    return min(-(-width // bits) * -(-depth // words) for bits, words in BLOCK_RAM_WIDTHS)


def _lut_ram(depth: int, width: int) -> Cells:
    """With the muxes behind several of 16 words."""
    banks = -(-depth // LUT_RAM_WORDS)
    return Cells(luts=width * (banks - 1) + (banks if banks > 1 else 0), lut_rams=banks * -(-width // LUT_RAM_BITS))
