"""The emulator of the step processor: whole decode steps, bit for bit as the rules say, at the speed of the host."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.assembly import to_text
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction, decode
from elastix.compiler.processor.step.parameters import FEATURES, StepParameters
from elastix.runtime import _runtime
from elastix.runtime.step_trace import PLACES, TracedInstruction, Write

KINDS = ("silu", "gelu", "gelu_tanh", "relu")
"""Activations in the order of elastix.h."""


@dataclass(frozen=True)
class StepResult:
    """What a run gives back besides what it left in memory.

    arg_max: of each token, by the last LINEAR that kept one; overflow: whether a result saturated (C6); instructions:
    how many the program has, END included.
    """

    arg_max: tuple[int, ...]
    overflow: bool
    instructions: int


class StepEmulator:
    """The step processor in C++, over a flat, contiguous, writable memory of uint8.

    Caches lie in the memory, so runs continue each other; whoever changes weights there calls `invalidate`. The
    processor's own memories start as zeros and keep what they hold. Raises ElastixError for parameters out of range or
    another kind of memory.
    """

    def __init__(self, parameters: StepParameters, memory: NDArray[np.uint8]) -> None:
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous or not memory.flags.writeable:
            raise ElastixError(f"memory of type {memory.dtype}, {memory.ndim} dimensions", wanted="flat writable uint8")
        self.parameters, self.memory = parameters, memory
        self._step = _runtime.StepEmulator(
            beat=parameters.beat,
            activation_bits=parameters.activation_bits,
            lanes=parameters.lanes,
            channels=parameters.channels,
            max_tiles=parameters.max_tiles,
            vector_elements=parameters.vector_elements,
            constant_elements=parameters.constant_elements,
            max_context=parameters.max_context,
            head_dim=parameters.head_dim,
            kv_heads=parameters.kv_heads,
            group=parameters.group,
            vector_lanes=parameters.vector_lanes,
            attention_channels=parameters.attention_channels,
            activation=KINDS.index(parameters.activations[0]) if parameters.activations else -1,
            features=sum(1 << FEATURES.index(feature) for feature in set(parameters.features)),
        )

    def run(self, program_address: int, token_ids: Sequence[int], position: int) -> StepResult:
        """Carry out the program over these tokens, the first at `position`.

        Raises ElastixError naming the instruction that is none or asks for what there is not, by index and text; also
        for too many tokens, a context overrun, a token id outside the table.
        """
        self._raise(self._step.run(self.memory, program_address, list(token_ids), position), program_address)
        return self._result(len(token_ids))

    def run_traced(
        self, program_address: int, token_ids: Sequence[int], position: int
    ) -> Generator[TracedInstruction, None, StepResult]:
        """The same run, one instruction for each item taken; the generator's value is the result. Raises as `run`."""
        self._raise(self._step.begin(self.memory, program_address, list(token_ids), position), program_address)
        while self._step.more:
            self._raise(self._step.advance(), program_address)
            at = self._step.address
            yield TracedInstruction(
                self._step.at,
                decode(self.memory[at : at + INSTRUCTION_BYTES].tobytes()),
                tuple(
                    Write(PLACES[place][0].format(number=number, head=head), first, values)
                    for place, number, head, first, values in self._step.writes()
                ),
            )
        return self._result(len(token_ids))

    def invalidate(self) -> None:
        """Say that weights in memory have changed: what was decoded from them is forgotten."""
        self._step.invalidate()

    def _result(self, tokens: int) -> StepResult:
        arg_max = tuple(self._step.arg_max(lane) for lane in range(tokens))
        return StepResult(arg_max, self._step.overflow, self._step.at + 1)

    def _raise(self, stopped: tuple[int, str, str] | None, program_address: int) -> None:
        if stopped is None:
            return
        index, found, wanted = stopped
        if index >= 0:
            text = self._text(program_address + index * INSTRUCTION_BYTES)
            found = f"instruction {index}{text}: {found}"
        raise ElastixError(found, wanted=wanted)

    def _text(self, address: int) -> str:
        """The instruction's text in brackets, nothing for what is none."""
        instruction: Instruction
        try:
            instruction = decode(self.memory[address : address + INSTRUCTION_BYTES].tobytes())
        except ElastixError:
            return ""
        return f" ({to_text(instruction)})"
