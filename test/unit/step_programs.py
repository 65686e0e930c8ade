"""Small programs for a step processor: memory by hand, instructions one after the other, runs that check themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.numbers.cache import quantize_rows
from elastix.compiler.numbers.formats import Geometry
from elastix.compiler.numbers.pack import QuantizedRows, pack_layer, place_segments
from elastix.compiler.numbers.step_oracle import Results, run
from elastix.compiler.numbers.step_oracle_accesses import accesses
from elastix.compiler.numbers.step_oracle_hazards import check_hazards
from elastix.compiler.numbers.step_oracle_state import Place, Span, State, Write
from elastix.compiler.processor.step.instructions import UNIT_OF, Instruction, Opcode, Unit
from elastix.compiler.processor.step.parameters import StepParameters

PARAMETERS = StepParameters(
    beat=64,
    lanes=2,
    channels=2,
    max_tiles=4,
    vector_elements=2048,
    constant_elements=512,
    max_context=24,
    head_dim=8,
    kv_heads=2,
    group=2,
    attention_lanes=4,
)


class Program:
    """A memory of 64 KB that fills up, and instructions of which each waits for all before it."""

    def __init__(self, parameters: StepParameters = PARAMETERS, size: int = 1 << 16) -> None:
        self.parameters = parameters
        self.memory = np.zeros(size, np.uint8)
        self.free = 64
        self.instructions: list[Instruction] = []

    def place(self, content: NDArray[Any] | bytes, alignment: int = 64) -> int:
        """Bytes to memory; their address."""
        raw = np.frombuffer(content if isinstance(content, bytes) else content.tobytes(), np.uint8)
        at = -(-self.free // alignment) * alignment
        self.memory[at : at + len(raw)] = raw
        self.free = at + len(raw)
        return at

    def place_layer(self, rows: QuantizedRows) -> dict[str, int]:
        """A layer to memory; the fields of LINEAR and EMBED that say where and how it is."""
        form = rows.format
        geometry = Geometry(form, rows.rows, rows.columns, self.parameters.beat, self.parameters.channels)
        at = self.place(bytes(geometry.total_bytes), 4096)
        for offset, segment in place_segments(pack_layer(rows, geometry), geometry):
            self.memory[at + offset : at + offset + len(segment)] = np.frombuffer(segment, np.uint8)
        return {
            "bits": form.bits,
            "scale_format": form.scale_code,
            "c9": form.c9,
            "row_blocks": geometry.row_blocks,
            "tiles": geometry.tiles,
            "group_tiles": form.group_tiles,
            "header_words": geometry.header_words,
            "weights": at,
            "block_beats": geometry.block_beats,
            "channel_stride": geometry.channel_stride,
        }

    def place_cache(self, rows: NDArray[np.float32]) -> tuple[int, int, NDArray[np.float64]]:
        """A cache with rows already in it: where, bytes to the scales, and the values that it holds."""
        p = self.parameters
        kept = quantize_rows(rows, 8)
        codes = np.zeros((p.max_context, p.row_bytes), np.uint8)
        codes[: len(rows), : p.head_dim] = kept.codes()
        scales = np.zeros((p.max_context, 2), np.uint8)
        scales[: len(rows)] = kept.scales.astype("<u2")[:, None].view(np.uint8)
        at = self.place(bytes(64 * self.channel_stride * p.attention_channels))
        for first, whole in ((at, codes), (at + self.scales, scales)):
            for t, row in enumerate(whole):
                here = self.row_at(first, t, whole.shape[1])
                self.memory[here : here + len(row)] = row
        return at, self.scales, kept.values().astype(np.float64)

    @property
    def scales(self) -> int:
        """Bytes from a cache's rows to their scales."""
        return -(-self.parameters.channel_rows * self.parameters.row_bytes // 64) * 64

    @property
    def channel_stride(self) -> int:
        """Units of 64 bytes from a channel's part of a cache to the next's; one more than it takes."""
        return (self.scales + 2 * self.parameters.channel_rows + 63) // 64 + 1

    def row_at(self, first: int, t: int, size: int) -> int:
        """Where row t of `size` bytes is of those that begin at `first`."""
        channel, row = self.parameters.row_place(t)
        return first + 64 * self.channel_stride * channel + row * size

    def cached(self, first: int, size: int) -> NDArray[np.uint8]:
        """All rows of `size` bytes in order, wherever they lie."""
        places = [self.row_at(first, t, size) for t in range(self.parameters.max_context)]
        return np.stack([self.memory[at : at + size] for at in places])

    def add(self, opcode: Opcode, **fields: int) -> int:
        """One more instruction, waiting for all before it but for waits that are given; its number."""
        units = [UNIT_OF.get(each.opcode) for each in self.instructions]
        waits = {f"wait_{unit.name.lower()}": units.count(unit) for unit in Unit}
        self.instructions.append(Instruction(opcode, waits | fields))
        return len(self.instructions) - 1

    def load(self, values: NDArray[np.float32], target: int, to: int, **fields: int) -> None:
        """LOAD of values that are placed for it."""
        address = self.place(values.astype("<f4"))
        self.add(Opcode.LOAD, target=target, count=values.size, address=address, to=to, **fields)

    def run(self, token_ids: Sequence[int] = (0,), position: int = 0) -> Results:
        """Finish the program, prove its order, and carry it out; accesses are those that its fields say."""
        self.add(Opcode.END)
        check_hazards(self.instructions, self.parameters, tokens=len(token_ids), position=position)
        at = self.place(b"".join(each.encode() for each in self.instructions))
        state = State(self.parameters, self.memory)

        def compare(_: int, instruction: Instruction, writes: Sequence[Write]) -> None:
            reads, written = accesses(instruction, self.parameters, len(token_ids), position)
            if instruction.opcode is Opcode.EMBED:
                reads, state.reads[:] = [], []  # a row of the table, where the fields name all of it
            assert sorted(map(spot, state.reads)) == sorted(map(spot, reads))
            assert sorted((w.place, w.first, len(w.values)) for w in writes) == sorted(spot(s)[:3] for s in written)

        return run(self.memory, at, token_ids, position, self.parameters, state=state, hook=compare)


def spot(span: Span) -> tuple[Place, int, int, bool]:
    return span.place, span.first, span.count, span.padding


def vector_memory(results: Results, first: int, count: int) -> NDArray[np.float32]:
    """Elements of vector memory after a run."""
    return results.state.arrays[Place.VECTOR][first : first + count]


def scalar(results: Results, register: int) -> np.float32:
    """A scalar register after a run."""
    return results.state.arrays[Place.SCALAR][register]
