"""The processor that a model gets on a board, and what the user is told where none fits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from elastix.compiler.boards import BOARDS, Board, board
from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.instructions import Instruction
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.choose import Candidate, best, candidates, supply_of
from elastix.compiler.step.cycles import Prediction, predict
from elastix.compiler.step.cycles_stream import Supply
from elastix.runtime.memory_model import IDEAL

SHOWN: Final = 12
"""Candidates in a table."""


@dataclass(frozen=True)
class Draft:
    """A model's program for some processor, and the bytes that it takes in memory: weights and constants, caches, all.
    bits: the most of a weight."""

    program: Sequence[Instruction]
    parameters: StepParameters
    weights_bytes: int
    cache_bytes: int
    memory_bytes: int
    bits: int


@dataclass(frozen=True)
class Choice:
    """board: its name. found: all candidates, the fastest first."""

    board: str
    objective: str
    chosen: Candidate
    found: tuple[Candidate, ...]

    def rows(self) -> list[dict[str, Any]]:
        """The chosen one, then the fastest of each beat and number of channels, as they fit."""
        kept = [self.chosen]
        seen = {_shape(self.chosen)}
        for each in sorted(self.found, key=lambda one: (bool(one.lacks), -one.tokens_per_second)):
            if _shape(each) not in seen and len(kept) < SHOWN:
                seen.add(_shape(each))
                kept.append(each)
        return [{"chosen": index == 0, **each.row()} for index, each in enumerate(kept)]


def _shape(each: Candidate) -> tuple[int, int, int]:
    return each.parameters.beat, each.parameters.channels, each.parameters.vector_lanes


def choose(draft: Draft, name: str, objective: str, fixed: dict[str, int]) -> Choice:
    """The best candidate. fixed: parameters that the user has chosen.

    Raises ElastixError, with what is lacking and what would fit, where the model or every candidate is too large.
    """
    there = board(name)
    _check_memory(draft, name, there)
    if fixed.get("channels", 1) > there.channels:
        raise ElastixError(
            f"--channels {fixed['channels']} on {name}", wanted=f"at most {there.channels}, as it has memory channels"
        )
    found = candidates(draft.program, draft.parameters, there, fixed)
    chosen = best(found, objective)
    if chosen is None:
        raise _too_large(min(found, key=lambda each: (len(each.lacks), each.luts)), name, there)
    return Choice(name, objective, chosen, tuple(found))


def _check_memory(draft: Draft, name: str, there: Board) -> None:
    if draft.memory_bytes <= there.memory_bytes:
        return
    others = draft.memory_bytes - draft.weights_bytes
    bits = int(draft.bits * (there.memory_bytes - others) / draft.weights_bytes)
    rows = draft.parameters.max_context
    shorter = int(rows * (there.memory_bytes - draft.memory_bytes + draft.cache_bytes) / max(1, draft.cache_bytes))
    ways = [f"--bits {bits}"] if 1 <= bits < draft.bits else []
    ways += [f"--max-context {shorter}"] if shorter >= 1 else []
    ways += _boards(lambda each: each.memory_bytes >= draft.memory_bytes, there)
    raise ElastixError(
        f"a model of {draft.memory_bytes / 1e6:,.1f} MB, weights {draft.weights_bytes / 1e6:,.1f} and caches "
        f"{draft.cache_bytes / 1e6:,.1f}, on {name}",
        wanted=f"at most {there.memory_bytes / 1e6:,.1f} MB of memory",
        do=" or ".join(ways) or "choose a smaller model",
    )


def _boards(fits: Callable[[Board], bool], but: Board) -> list[str]:
    """The smallest board that fits."""
    some = [(each.luts, name) for name, each in BOARDS.items() if each is not but and fits(each)]
    return [f"--board {min(some)[1]}"] if some else []


def _too_large(least: Candidate, name: str, there: Board) -> ElastixError:
    """About the smallest candidate, and the resource that it lacks most."""
    wants = least.wants(there)
    resource, (need, have) = max(wants.items(), key=lambda one: one[1][0] / one[1][1])

    def fits(other: Board) -> bool:
        return all(need <= have for need, have in least.wants(other).values())

    ways = ["--max-context, shorter"] if resource == "block RAM bits" else []
    ways += _boards(fits, there)
    p = least.parameters
    return ElastixError(
        f"{need:,.0f} {resource} on {name}, for the smallest processor for this model "
        f"(--beat {p.beat} --channels {p.channels} --vector-lanes {p.vector_lanes})",
        wanted=f"at most {have:,.0f}",
        do=" or ".join(ways) or "choose a smaller model",
    )


def expected(program: Sequence[Instruction], parameters: StepParameters, choice: Choice | None) -> Prediction:
    """A token in the middle of the context, on the board or behind a memory that always has the next beat."""
    position = parameters.max_context // 2
    memory: Supply = Supply.of(IDEAL, parameters.beat)
    if choice is not None:
        memory = supply_of(board(choice.board), parameters.beat)
    return predict(program, parameters, position, 1, memory)
