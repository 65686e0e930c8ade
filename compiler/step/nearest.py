"""A model that does not fit a board: which resource lacks, how much is wanted and there, and the nearest that fits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from elastix.compiler.arena import aligned
from elastix.compiler.boards import BOARDS, Board, board
from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.plan import default_format
from elastix.compiler.processor.parameters import COLUMNS
from elastix.compiler.processor.step.instructions import Instruction
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.area import area
from elastix.compiler.step.choose import BEATS, FIFOS, FILLED, VECTOR_LANES, supply_of, wants
from elastix.compiler.step.memory import CachePlace, StepMemory

SHORTEST: Final = 16
"""Rows of a cache; shorter ones are not proposed."""
CHANGED: Final = ("beat", "channels", "attention_channels", "vector_lanes", "attention_lanes", "lanes", "max_context")
"""Options whose values may be made smaller. Those that are not the user's are as small as they can be already."""


@dataclass(frozen=True)
class Draft:
    """A model's program for some processor, and what lies where in memory; memory_bytes: of all, with the program.
    bits: the most of a weight; planned: they are a plan's. in_parts: the program with weights in parts, if it has any,
    for processors on which that pays."""

    program: Sequence[Instruction]
    parameters: StepParameters
    memory: StepMemory
    memory_bytes: int
    bits: int
    planned: bool = False
    in_parts: Sequence[Instruction] = ()

    @property
    def cache_bytes(self) -> int:
        return sum(each.bytes for each in self.memory.caches)

    def bytes_at(self, bits: int, rows: int) -> int:
        """Of all, with `bits` a weight in the format of `--bits`, and caches of so many rows."""
        p = self.parameters
        size = self.memory_bytes
        if bits != self.bits:
            form = default_format(bits)
            for each in self.memory.image.layers:
                size += each.parts * replace(each.part, format=form).total_bytes - each.bytes
        shorter = CachePlace.of("", 0, p).bytes - CachePlace.of("", 0, replace(p, max_context=rows)).bytes
        tables = sum(each.bytes for each in self.memory.image.parameters if len(each.shape) > 1)  # a row a position
        return size - len(self.memory.caches) * shorter - tables * (p.max_context - rows) // p.max_context


def check_memory(draft: Draft, name: str) -> None:
    """Raises ElastixError, with what would fit, where the board has too little memory for the model."""
    there, rows = board(name), draft.parameters.max_context
    room = there.memory_bytes
    if draft.memory_bytes <= room:
        return
    fewer = range(draft.bits - 1, 0, -1) if not draft.planned else ()
    ways = _plan(draft, room) if draft.planned else []
    ways += [f"--bits {bits}" for bits in fewer if draft.bytes_at(bits, rows) <= room][:1]
    ways += [f"--max-context {shorter}" for shorter in _rows(draft, draft.bits, room)]
    if not ways:
        both = ((bits, shorter) for bits in fewer for shorter in _rows(draft, bits, room))
        ways = [f"--bits {bits} with --max-context {shorter}" for bits, shorter in both][:1]
    ways += _boards(draft.parameters, draft.memory_bytes, {}, there)
    weights = draft.memory.image.bytes
    raise ElastixError(
        f"a model of {draft.memory_bytes / 1e6:,.1f} MB, weights {weights / 1e6:,.1f} and caches "
        f"{draft.cache_bytes / 1e6:,.1f}, on {name}",
        wanted=f"at most {room / 1e6:,.1f} MB, the board's memory",
        do=" or ".join(ways) or "choose a smaller model",
    )


def _plan(draft: Draft, room: int) -> list[str]:
    """A plan of so many bits a weight, a hundredth less as layers end in pages that are not full."""
    image = draft.memory.image
    packed = sum(each.bytes for each in image.layers)
    bits = 0.99 * 8 * (room - draft.memory_bytes + packed) / image.weights
    return [f"a plan of elastix quantize --target-bits {bits:.2f}"] if bits >= 1.5 else []


def _rows(draft: Draft, bits: int, room: int) -> Iterator[int]:
    """The longest cache with which all fits, if one does; of more than eight rows a multiple of eight."""
    low, high = 0, draft.parameters.max_context
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if draft.bytes_at(bits, middle) <= room else (low, middle)
    if low >= SHORTEST:
        yield low // 8 * 8


def check_area(draft: Draft, name: str, fixed: Mapping[str, int]) -> None:
    """Raises ElastixError, with what would fit, where the board is too small for the smallest processor there can be.

    fixed: parameters that the user has chosen.
    """
    if lacking(smallest(draft.parameters, board(name), fixed), board(name)):
        raise too_large(draft, name, fixed)


def smallest(draft: StepParameters, there: Board, fixed: Mapping[str, int]) -> StepParameters:
    """The least of the processors that are thought of, with what is fixed."""
    attention = fixed.get("attention_lanes", 0)
    beat = fixed.get("beat") or min(each for each in BEATS if each // 8 >= attention)
    enough = supply_of(there, beat).latency + draft.max_burst + 16
    chosen = {
        "beat": beat,
        "channels": fixed.get("attention_channels", 1),
        "vector_lanes": VECTOR_LANES[0],
        "attention_lanes": max(1, min(beat // 8, draft.head_dim) // 4),
        "fifo_beats": next((each for each in FIFOS if each >= max(enough, draft.max_burst)), FIFOS[-1]),
    }
    return replace(draft, **{"attention_channels": 1, **chosen, **fixed})


def lacking(parameters: StepParameters, there: Board) -> dict[str, tuple[float, float]]:
    """Of each resource of which the board has too little: how much is wanted, and how much is there."""
    wanted = wants(area(parameters), there)
    return {name: (need, have) for name, (need, have) in wanted.items() if need > have}


def too_large(draft: Draft, name: str, fixed: Mapping[str, int]) -> ElastixError:
    """About the smallest processor with what is fixed."""
    there = board(name)
    least = smallest(draft.parameters, there, fixed)
    lacks = lacking(least, there) or wants(area(least), there)
    shown = [*("beat", "channels", "vector_lanes"), *(each for each in fixed if "attention" in each), "lanes"]
    ways = _options(draft.parameters, there, fixed) + _boards(least, draft.memory_bytes, fixed, there)
    return ElastixError(
        f"{_amounts({each: need for each, (need, _) in lacks.items()})} on {name}, for the smallest processor for this "
        f"model ({_spelled({each: getattr(least, each) for each in shown})} --max-context {least.max_context})",
        wanted=f"at most {_amounts({each: have for each, (_, have) in lacks.items()})}"
        + (f"; {100 * FILLED:.0f} % of the board's LUTs are taken at most" if "LUTs" in lacks else ""),
        do=" or ".join(ways) or "choose a smaller model",
    )


def _amounts(of: Mapping[str, float]) -> str:
    *others, last = (f"{amount:,.0f} {resource}" for resource, amount in of.items())
    return " and ".join([", ".join(others), last] if others else [last])


def _spelled(options: Mapping[str, int]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())


def _options(draft: StepParameters, there: Board, fixed: Mapping[str, int]) -> list[str]:
    """Single options that make it fit, each with the largest value that does; else several together, if they do."""
    choices = {name: _smaller(draft, name, fixed) for name in CHANGED}
    choices = {name: values for name, values in choices.items() if values}

    def fits(changed: Mapping[str, int]) -> bool:
        kept = {name: min(value, changed.get(name, value)) for name, value in fixed.items()}
        p = _with(draft, {name: value for name, value in changed.items() if name not in fixed})
        most = {"attention_lanes": min(kept.get("beat", BEATS[0]) // 8, p.head_dim)}
        if "channels" in kept:
            most["attention_channels"] = kept["channels"]
        kept |= {name: min(kept[name], limit) for name, limit in most.items() if name in kept}
        return not lacking(smallest(p, there, kept), there)

    alone = [next(({name: value} for value in values if fits({name: value})), None) for name, values in choices.items()]
    if found := [_spelled(each) for each in alone if each is not None]:
        return found
    together = {name: values[-1] for name, values in choices.items()}
    if not choices or not fits(together):
        return []
    for name, values in reversed(choices.items()):
        now = fixed.get(name, getattr(draft, name))
        together[name] = next(each for each in (now, *values) if fits({**together, name: each}))
    changed = {name: value for name, value in together.items() if value != fixed.get(name, getattr(draft, name))}
    return [_spelled(changed)]


def _smaller(draft: StepParameters, name: str, fixed: Mapping[str, int]) -> list[int]:
    """Values of an option that are less than what it has, the largest first."""
    least = {"max_context": SHORTEST, "beat": BEATS[0]}.get(name, 1)
    if name not in fixed and name not in ("lanes", "max_context"):
        return []
    values: list[int] = []
    value = fixed.get(name, getattr(draft, name))
    while (value := 1 << ((value - 1).bit_length() - 1) if value > 1 else 0) >= least:
        values.append(value)
    return values


def _with(draft: StepParameters, changed: Mapping[str, int]) -> StepParameters:
    """The draft with other lanes or rows, and with what vector memory then holds, rather too much: heads' scores, of
    which two are there at a time, three where tokens overlap, and each token's own elements."""
    p = replace(draft, **changed)

    def scores(of: StepParameters) -> int:
        return min(1 + of.lanes, 3) * of.group * of.max_context

    own = max((draft.vector_elements - scores(draft)) // draft.lanes, 3 * COLUMNS * p.max_tiles)
    return replace(p, vector_elements=aligned(scores(p) + p.lanes * own))


def _boards(p: StepParameters, memory_bytes: int, fixed: Mapping[str, int], but: Board) -> list[str]:
    """The smallest other board that has all that is wanted."""
    some = [
        (each.luts, name)
        for name, each in BOARDS.items()
        if each is not but
        and each.memory_bytes >= memory_bytes
        and each.channels >= max(fixed.get("channels", 1), fixed.get("attention_channels", 1))
        and not lacking(smallest(p, each, fixed), each)
    ]
    return [f"--board {min(some)[1]}"] if some else []
