"""The processor that a model gets on a board, and what the user is told where none fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from elastix.compiler.boards import board
from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.instructions import Instruction
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.step.choose import Candidate, best, candidates, supply_of
from elastix.compiler.step.cycles import Prediction, predict
from elastix.compiler.step.cycles_stream import Supply
from elastix.compiler.step.nearest import Draft, check_area, check_memory, too_large
from elastix.runtime.memory_model import IDEAL

SHOWN: Final = 12
"""Candidates in a table."""


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
    check_memory(draft, name)
    for option in ("channels", "attention_channels"):
        if fixed.get(option, 1) > there.channels:
            raise ElastixError(
                f"--{option.replace('_', '-')} {fixed[option]} on {name}",
                wanted=f"at most {there.channels}, as it has memory channels",
            )
    check_area(draft, name, fixed)
    found = candidates(draft.program, draft.parameters, there, fixed, draft.in_parts)
    chosen = best(found, objective)
    if chosen is None:
        raise too_large(draft, name, fixed)
    return Choice(name, objective, chosen, tuple(found))


def expected(program: Sequence[Instruction], parameters: StepParameters, choice: Choice | None) -> Prediction:
    """A token in the middle of the context, on the board or behind a memory that always has the next beat."""
    position = parameters.max_context // 2
    memory: Supply = Supply.of(IDEAL, parameters.beat)
    if choice is not None:
        memory = supply_of(board(choice.board), parameters.beat)
    return predict(program, parameters, position, 1, memory)
