"""Which processor for a model on a board: candidates by the models of cycles and area, and the best that fits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Final

from elastix.compiler.arena import aligned
from elastix.compiler.boards import USABLE, Board
from elastix.compiler.processor.step.instructions import Instruction, Opcode
from elastix.compiler.processor.step.parameters import VECTOR_LANES, StepParameters
from elastix.compiler.step.area import Cells, block_rams, cells_of
from elastix.compiler.step.cycles_stream import Supply
from elastix.compiler.step.parts import pays
from elastix.compiler.step.repetition import Estimate, Repeated

BEATS: Final = (64, 128, 256, 512)
CHANNELS: Final = (1, 2, 4, 8, 16, 32)
WIDE: Final = 4096
"""Bits of weights a cycle from which on processors with more vector lanes are looked at, instead of those with one."""
FIFOS: Final = (64, 256, 1024)
FREE: Final = ("beat", "channels", "vector_lanes", "attention_lanes", "attention_channels", "fifo_beats")
"""Parameters that are chosen, where the user does not say."""
FILLED: Final = 0.8
"""Share of a board's LUTs that a processor may take; the rest is for a memory controller, and for routing (assumed)."""
AS_FAST: Final = 0.99
"""Of two processors as fast as this the smaller one is taken."""
_LUTS_OF: Final = {"ecp5": 1.0, "gowin": 1.0, "ultrascale+": 0.51}
"""LUTs of a family for one of ECP5's; that of UltraScale+ from the matrix engine in both, Gowin's assumed."""
_CONTROLLER_CYCLES: Final = 16
_LITTLE, _MUCH = 0.01, 0.1
"""Of the weights of a channel: so many beats of caches may lie on one channel alone, and so many may not."""


@dataclass(frozen=True)
class Candidate:
    """A processor, and what the models say of it. position: of the token. lacks: what the board has too little of."""

    parameters: StepParameters
    estimate: Estimate
    cells: Cells
    luts: float
    tokens_per_second: float
    position: int
    lacks: tuple[str, ...]

    def wants(self, board: Board) -> dict[str, tuple[float, float]]:
        """Of each resource how much is wanted, and how much the board has for it."""
        return wants(self.cells, board)

    def row(self) -> dict[str, Any]:
        """Figures for a table."""
        p = self.parameters
        return {
            **{name: getattr(p, name) for name in FREE},
            "tokens_per_second": round(self.tokens_per_second, 2),
            "efficiency": round(self.estimate.efficiency, 4),
            "rho": round(self.estimate.rho, 3),
            "luts": round(self.luts),
            "multipliers": round(self.cells.multipliers),
            "block_rams": round(self.cells.block_rams),
            "lacks": ", ".join(self.lacks),
        }


def supply_of(board: Board, beat: int) -> Supply:
    """What a channel of the board gives a processor with this beat."""
    rate = USABLE * board.channel_rate / (board.core_hz * beat / 8)
    latency = _CONTROLLER_CYCLES + board.latency * 1e-9 * board.core_hz
    return Supply(rate, latency, latency, shared=board.channels == 1)


def candidates(
    program: Sequence[Instruction],
    draft: StepParameters,
    board: Board,
    fixed: Mapping[str, int],
    in_parts: Sequence[Instruction] = (),
) -> list[Candidate]:
    """All of them, the fastest first. draft: what the program was made for, with the sizes of its memories.

    in_parts: as in Draft.
    """
    position, whole = draft.max_context // 2, Repeated.of(program)
    parted = Repeated.of(in_parts) if in_parts else whole
    sizes = {name: aligned(getattr(draft, name), VECTOR_LANES[-1]) for name in ("vector_elements", "constant_elements")}
    draft = replace(draft, **sizes)
    areas = _Areas(draft)
    found: list[Candidate] = []
    for beat in _beats(fixed):
        here = replace(draft, beat=beat, attention_lanes=1, fifo_beats=max(draft.fifo_beats, draft.max_burst))
        cached = _cached(program, here, position)
        for changed in _shapes(here, board, fixed, cached):
            parameters = replace(here, **changed)
            repeated = parted if pays(parameters) else whole
            estimate = repeated.estimate(parameters, position, supply_of(board, beat))
            found.append(_judged(parameters, estimate, areas.of(parameters), board, position))
    return sorted(found, key=lambda each: (-each.tokens_per_second, each.luts))


def _beats(fixed: Mapping[str, int]) -> Sequence[int]:
    """Beats with as many bytes as attention is to take, if there are any."""
    lanes = fixed.get("attention_lanes", 1)
    return _choices("beat", [beat for beat in BEATS if beat // 8 >= lanes] or BEATS, fixed)


def _choices(name: str, values: Sequence[int], fixed: Mapping[str, int]) -> Sequence[int]:
    return (fixed[name],) if name in fixed else values


def _cached(program: Sequence[Instruction], p: StepParameters, position: int) -> float:
    """Beats of keys and values for each beat of weights, of all channels together."""
    weights = sum(
        -(-each.values["rows"] // p.rows) * each.values["block_beats"]
        for each in program
        if each.opcode is Opcode.LINEAR
    )
    return sum(each.opcode is Opcode.SCORES for each in program) * 2 * position * p.row_beats / weights


def _dealt(channels: int, cached: float) -> tuple[int, ...]:
    """Channels that may hold caches: one, or as many as can where those of one would be much beside its weights."""
    alone, most = cached * (channels - 1), 1 << (channels.bit_length() - 1)
    return tuple(dict.fromkeys((1, most) if alone < _MUCH else (most,))) if alone > _LITTLE else (1,)


def _shapes(here: StepParameters, board: Board, fixed: Mapping[str, int], cached: float) -> Iterator[dict[str, int]]:
    """What changes beside the beat. Attention takes a beat a cycle, or a quarter of one. cached: that of `_cached`."""
    most = min(here.beat // 8, here.head_dim)
    latency = supply_of(board, here.beat).latency
    # A FIFO that never starves is deep enough for a burst and the way to memory; deeper ones hide stalls.
    enough = [each for each in FIFOS if each >= latency + here.max_burst + 16][:2]
    there = [each for each in CHANNELS if fixed.get("attention_channels", 1) <= each <= board.channels]
    for channels in _choices("channels", there, fixed):
        lanes_here = VECTOR_LANES[1:] if channels * here.beat >= WIDE else VECTOR_LANES[:-1]
        some = [each for each in lanes_here if each <= here.head_dim]
        names = ("vector_lanes", "attention_lanes", "attention_channels", "fifo_beats")
        values = (some, sorted({most, max(1, most // 4)}), _dealt(channels, cached), enough or FIFOS[-1:])
        choices = (_choices(name, each, fixed) for name, each in zip(names, values, strict=True))
        for chosen in product(*choices):
            yield {"channels": channels, **dict(zip(names, chosen, strict=True))}


class _Areas:
    """Areas of candidates, from those of a few: what a parameter adds is taken to be the same beside others."""

    def __init__(self, draft: StepParameters) -> None:
        self.draft, self.known = draft, dict[StepParameters, Cells]()

    def of(self, p: StepParameters) -> Cells:
        """Of the whole processor."""
        base = replace(
            self.draft,
            beat=p.beat,
            channels=1,
            vector_lanes=2,
            attention_lanes=p.attention_lanes,
            attention_channels=1,
        )
        cells = self._built(base)
        if p.channels > 1:
            two = self._built(replace(base, channels=2))
            cells = cells.plus(two.minus(cells), p.channels - 1)
            if p.attention_channels > 1:
                dealt = self._built(replace(base, channels=2, attention_channels=2)).minus(two)
                cells = cells.plus(dealt, p.attention_channels - 1)
        other = replace(base, beat=256, attention_lanes=min(8, self.draft.head_dim))
        cells = cells.plus(self._built(replace(other, vector_lanes=p.vector_lanes)).minus(self._built(other)))
        fifo = block_rams(p.fifo_beats, p.beat + 1) - block_rams(self.draft.fifo_beats, p.beat + 1)
        return replace(cells, block_rams=cells.block_rams + fifo * p.channels)

    def _built(self, p: StepParameters) -> Cells:
        if p not in self.known:
            from elastix.compiler.processor.step import top

            self.known[p] = cells_of(top.build(p))
        return self.known[p]


def wants(cells: Cells, board: Board) -> dict[str, tuple[float, float]]:
    """Of each resource how much cells take on a board's family, and how much the board has for them."""
    return {
        "LUTs": (cells.slices * _LUTS_OF[board.family], FILLED * board.luts),
        "registers": (cells.registers, board.registers),
        "multipliers": (cells.multipliers, board.multipliers),
        "block RAM bits": (cells.block_ram_bits, board.block_ram_bits),
    }


def _judged(p: StepParameters, estimate: Estimate, cells: Cells, board: Board, position: int) -> Candidate:
    wanted = wants(cells, board)
    lacks = tuple(name for name, (need, there) in wanted.items() if need > there)
    return Candidate(p, estimate, cells, wanted["LUTs"][0], board.core_hz / estimate.cycles, position, lacks)


def best(found: Sequence[Candidate], objective: str) -> Candidate | None:
    """The fastest that fits, or the smallest; None if none fits."""
    fitting = [each for each in found if not each.lacks]
    if not fitting:
        return None
    if objective == "area":
        return min(fitting, key=lambda each: (each.luts, -each.tokens_per_second))
    enough = AS_FAST * max(each.tokens_per_second for each in fitting)
    return min((each for each in fitting if each.tokens_per_second >= enough), key=lambda each: each.luts)


def chosen_parameters(candidate: Candidate) -> dict[str, int]:
    """What `choose-step-processor` is told."""
    return {name: value for name, value in asdict(candidate.parameters).items() if name in FREE}
