"""The vector engine among units that give it words, beside the rules on the same instructions."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simulated import Simulated
from vector_sources import Load, Source, VisitorPass, bits_of, packed

from elastix.compiler.numbers.fp32 import Float32, add, flush, multiply
from elastix.compiler.numbers.functions import activation
from elastix.compiler.numbers.step_oracle_state import Place, Run, State
from elastix.compiler.numbers.step_oracle_vector import vector
from elastix.compiler.processor.step.instructions import Instruction, Maximum, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import SCALAR_REGISTERS, StepParameters
from elastix.compiler.processor.step.vector_engine import vector_engine
from elastix.compiler.processor.step.vector_timing import Timing

PLENTY = 20_000
"""Cycles after which nothing more is expected to happen."""
AFTER = 40  # words of which only integers were wanted are still on their way when their instruction is done
COLUMNS = 32
PULSES = ("done_vector", "visitor_written_matrix", "visitor_written_attention", "x_write", "e_write")


@cache
def engine(parameters: StepParameters) -> Simulated:
    return Simulated(vector_engine(parameters))


def vector_instruction(**values: int) -> Instruction:
    return Instruction(Opcode.VECTOR, values)


@dataclass
class Bench:
    """The engine and, in `run`, what the rules say its instructions leave behind."""

    parameters: StepParameters
    position: int = 3
    seed: int = 0
    found: dict[Place, NDArray[Any]] = field(default_factory=dict[Place, NDArray[Any]])
    results: list[int] = field(default_factory=list[int])
    overflow: bool = False
    cycles: int = 0
    starts: list[int] = field(default_factory=list[int])
    ends: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        p = self.parameters
        self.random, self.dut = Random(self.seed), engine(p)
        self.dut.set(**{name: 0 for name, (_, _, output) in self.dut.model.ports.items() if not output})
        self.dut.reset()
        self.start_anew()

    def start_anew(self) -> None:
        """Memories and scalar registers are zeros, value scales anything."""
        p = self.parameters
        self.run = Run(p, (), self.position, State(p, np.zeros(1 << 14, np.uint8)))
        places = self.run.state.arrays
        self.found = {place: array.copy() for place, array in places.items() if place is not Place.MEMORY}
        self.overflow = False
        scales = Random(self.seed + 1)
        places[Place.VALUE_SCALE][:] = [scales.randrange(0x3000, 0x4800) for _ in places[Place.VALUE_SCALE]]
        self._scale_data = [0, 0]
        self._told = {"matrix": 0, "attention": 0}
        for place in (Place.VECTOR, Place.CONSTANT):
            self.load([Load(np.zeros(len(places[place]), np.float32), 0, place is Place.CONSTANT)])
        zero = {"operation": Operation.COPY, "target": Target.NONE, "count": 1, "maximum": Maximum.MAGNITUDE}
        self.carry_out([vector_instruction(**zero, max_register=register) for register in range(SCALAR_REGISTERS)])

    # what happens

    def load(self, loads: Sequence[Load]) -> None:
        """The loader brings values, and nothing else happens."""
        self.carry_out(loads=loads)

    def carry_out(
        self,
        program: Sequence[Instruction] = (),
        *,
        matrix: Sequence[VisitorPass] = (),
        attention: Sequence[VisitorPass] = (),
        loads: Sequence[Load] = (),
        chance: float = 1.0,
        clear_at: int = -1,
        interleaved: bool = False,
        expected: bool = True,
    ) -> None:
        """All at once, in the engine and by the rules; what is given at once must not depend on each other, but for
        the waits of the program, which count its own instructions.

        chance: that a unit has a word. interleaved: words of the matrix unit's passes come in turn. clear_at: the cycle
        of a clear, with which all ends. expected: the rules carry it out too.
        """
        lanes, dut = self.parameters.vector_lanes, self.dut
        if expected:
            self._expect(program, [*matrix, *attention], loads)
        by_pass = [each.words(lanes) for each in matrix]
        in_turn = [word for words in zip_longest(*by_pass) for word in words if word is not None]
        sources = {
            "matrix": Source("matrix", in_turn if interleaved else [w for each in by_pass for w in each], chance),
            "attention": Source("attention", [w for each in attention for w in each.words(lanes)], chance),
            "load": Source("load", [w for each in loads for w in each.words(lanes)], chance),
        }
        waiting, done, under_way = list(program), 0, list[Instruction]()
        self._told = {"matrix": 0, "attention": 0}
        self.starts, self.ends, after = [], [], 0
        for cycle in range(PLENTY):
            begin = bool(waiting) and done >= waiting[0]["wait_vector"]
            if begin:
                number = int.from_bytes(waiting[0].encode(), "little")
                dut.set(instruction=number, position=self.position + waiting[0]["lane"])
            dut.set(begin=int(begin), clear=int(cycle == clear_at), scale_data=self._scale_data[0])
            for source in sources.values():
                source.drive(dut, self.random)
            dut.settle()
            if begin and dut.get("taken"):
                under_way.append(waiting.pop(0))
                self.starts.append(cycle)
            if dut.get("done_vector"):
                done += 1
                self.ends.append(cycle)
            for source in sources.values():
                source.see(dut)
            self._see(under_way)
            dut.set(clk=1)
            dut.evaluate()
            self.cycles = cycle
            if cycle == clear_at:
                dut.set(begin=0, clear=0, **{f"{unit}_valid": 0 for unit in sources})
                dut.settle()
                assert not any(dut.get(name) for name in PULSES)
                return
            told = self._told["matrix"] == len(matrix) and self._told["attention"] == len(attention)
            if done == len(program) and told and not sources["load"].words:
                after += 1
            if after > AFTER:
                break
        else:
            raise AssertionError(f"{done} of {len(program)} done, visitors told {self._told}, {sources}")
        assert done == len(program) and not under_way[len(program) :]

    def _see(self, under_way: Sequence[Instruction]) -> None:
        p, dut = self.parameters, self.dut
        self.overflow |= bool(dut.get("overflow"))
        for unit in self._told:
            self._told[unit] += dut.get(f"visitor_written_{unit}")
        wanted = [0] * p.vector_lanes
        if "attention" in p.features:
            scales = self.run.state.arrays[Place.VALUE_SCALE]
            base = dut.get("scale_bank") * p.max_context
            first = dut.get("scale_word") * p.vector_lanes
            wanted = [
                int(scales[base + first + lane]) if first + lane < p.max_context else 0
                for lane in range(p.vector_lanes)
            ]
        self._scale_data = [self._scale_data[1], packed(wanted, 16)]
        if dut.get("x_write"):
            data, total = dut.get("x_data"), dut.get_signed("x_sum")
            a = p.activation_bits
            codes = [(data >> a * column) % (1 << a) for column in range(COLUMNS)]
            codes = [code - (1 << a) if code >> (a - 1) else code for code in codes]
            assert sum(codes) == total
            first = (dut.get("x_lane") * p.max_tiles + dut.get("x_tile")) * COLUMNS
            self.found[Place.ACTIVATIONS][first : first + COLUMNS] = codes
        if dut.get("e_write"):
            self.found[Place.ACTIVATION_EXPONENT][dut.get("e_lane")] = dut.get_signed("e_data")
        if dut.get("quantized_valid"):
            self._see_quantized(under_way)
        timing = Timing(p)
        if self.register(f"pipeline/alive_{timing.result}") >> p.vector_lanes:
            mask = self.register(f"pipeline/alive_{timing.result}")
            for lane in range(p.vector_lanes):
                if mask >> lane & 1:
                    self.results.append(self.register(f"pipeline/lane_{lane}/result_q"))

    def _see_quantized(self, under_way: Sequence[Instruction]) -> None:
        p, dut = self.parameters, self.dut
        target, bank, head = (dut.get(f"quantized_{name}") for name in ("target", "bank", "head"))
        index, mask, data = (dut.get(f"quantized_{name}") for name in ("index", "mask", "data"))
        lane = dut.get("quantized_lane")
        row = lane * p.kv_heads + head
        place, first, exponent_place, exponent_at = {
            Target.QUERY: (Place.QUERY, bank * p.group * p.head_dim, Place.QUERY_EXPONENT, bank),
            Target.PROBABILITY: (
                Place.PROBABILITY,
                (bank * p.group + head) * p.max_context,
                Place.PROBABILITY_EXPONENT,
                bank,
            ),
            Target.KEY: (Place.CURRENT_KEY, row * p.head_dim, Place.CURRENT_KEY_SCALE, row),
            Target.VALUE: (Place.CURRENT_VALUE, row * p.head_dim, Place.CURRENT_VALUE_SCALE, row),
        }[Target(target)]
        for each in range(p.vector_lanes):
            if mask >> each & 1:
                code = data >> 16 * each & 0xFFFF
                self.found[place][first + index + each] = code - (code >> 15 << 16)
        if dut.get("quantized_last"):
            signed = target in (Target.QUERY, Target.PROBABILITY)
            value = dut.get_signed("quantized_exponent") if signed else dut.get("quantized_exponent")
            self.found[exponent_place][exponent_at] = value
            if not signed:
                rows, scales = dut.get("quantized_rows"), dut.get("quantized_scales")
                assert dut.get("quantized_row") == self.position + lane
                assert any(each["rows"] == rows and each["scales"] == scales for each in under_way)

    def register(self, path: str) -> int:
        address, width = self.dut.model.registers[path]
        return int.from_bytes(ctypes.string_at(address, (width + 7) // 8), "little")

    # what should happen

    def _expect(self, program: Sequence[Instruction], visitors: Sequence[VisitorPass], loads: Sequence[Load]) -> None:
        state = self.run.state
        for load in loads:
            state.write(Place.CONSTANT if load.constant else Place.VECTOR, load.to, load.data)
        for each in visitors:
            results = self._visited(each)
            state.write(Place.VECTOR, each.to, results)
            self.run.track(each.maximum, each.max_register, results[: each.tracked])
        for each in program:
            vector(self.run, each, each["lane"])

    def _visited(self, each: VisitorPass) -> Float32:
        state, n, flags = self.run.state, len(each.data), self.run.flags
        match each.operation:
            case Operation.ADD:
                return add(each.data, state.read(Place.VECTOR, each.source, n), flags)
            case Operation.ADD_CONSTANT:
                return add(each.data, state.read(Place.CONSTANT, each.source, n), flags)
            case Operation.MULTIPLY:
                return multiply(each.data, state.read(Place.VECTOR, each.source, n), flags)
            case Operation.ACTIVATE:
                return activation(self.parameters.activations[0], each.data, flags)
            case _:
                return flush(each.data)

    # what is found

    def check(self) -> None:
        """Memories, scalars, integers and the overflow flag are what the rules say."""
        p, arrays = self.parameters, self.run.state.arrays
        for place, array in self.found.items():
            if place not in (Place.VECTOR, Place.CONSTANT, Place.SCALAR, Place.VALUE_SCALE, Place.ARG_MAX):
                assert array.tolist() == arrays[place].tolist(), place
        overflow = self.overflow
        found = self._read([{"operation": Operation.COPY, "count": p.vector_elements}])
        assert_same(found, arrays[Place.VECTOR], "vector memory")
        # −0 + c and 1 × s are c and s.
        unit = p.alignment
        self.carry_out(loads=[Load(np.full(unit, -0.0, np.float32), 0)], expected=False)
        add = {"operation": Operation.ADD_CONSTANT, "count": unit}
        found = self._read([add | {"c": first} for first in range(0, p.constant_elements, unit)])
        assert_same(found, arrays[Place.CONSTANT], "constant memory")
        self.carry_out(loads=[Load(np.ones(8, np.float32), 0)], expected=False)
        scale = {"operation": Operation.SCALE_BY, "count": 1}
        found = self._read([scale | {"scalar_register": register} for register in range(SCALAR_REGISTERS)])
        assert_same(found, arrays[Place.SCALAR], "scalar registers")
        self.carry_out(loads=[Load(arrays[Place.VECTOR][:unit], 0)], expected=False)
        assert overflow == self.run.flags.overflow

    def _read(self, passes: Sequence[dict[str, int]]) -> list[int]:
        """The results of passes that are written nowhere."""
        self.results = []
        self.carry_out([vector_instruction(target=Target.NONE, **fields) for fields in passes], expected=False)
        return self.results


def assert_same(found: Sequence[int], wanted: Float32, what: str) -> None:
    found_bits, wanted_bits = np.array(found, np.uint32), bits_of(wanted)
    assert len(found_bits) == len(wanted_bits), what
    differ = np.flatnonzero(found_bits != wanted_bits)
    assert not len(differ), (
        f"{what}: {len(differ)} differ, first at {differ[0]}: {found_bits[differ[0]]:08x}, "
        f"wanted {wanted_bits[differ[0]]:08x}; {differ[:20].tolist()}"
    )
