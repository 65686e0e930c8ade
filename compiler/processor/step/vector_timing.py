"""When each part of the vector engine sees a word: clocks since the cycle in which the word was issued.

An instruction is taken at least a cycle after the last word of the one before was issued, and its first word is issued
1 + `wait` cycles after that.
"""

from dataclasses import dataclass
from functools import cached_property

from elastix.compiler.processor.arithmetic import (
    activation_factor,
    exponent_add,
    exponential,
    fixed_point,
    fp32_add,
    fp32_multiply,
    integer_to_fp32,
    quantization,
    quantizer,
    reciprocals,
)
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.vector_memory import READ_LATENCY

ADDRESS = 1
"""Its fields stand in registers; its first operands are asked for."""
READ = ADDRESS + READ_LATENCY
"""They, the scalar register's value and visitors' data are there."""
OPERANDS = READ + 1
"""The first multiplier, the activation, the exponential and the quantizer see them."""
PRODUCT = OPERANDS + fp32_multiply.LATENCY
INTEGERS = OPERANDS + quantizer.LATENCY
"""What was quantized is there; a cycle later, with masked elements 0, it goes out."""
SCALAR_AFTER_TAKING = 3
"""Cycles after an instruction is taken that its scalar is there: its register's number, block RAM, a register."""


@dataclass(frozen=True)
class Timing:
    """What depends on the parameters."""

    parameters: StepParameters

    @property
    def attention(self) -> bool:
        """Exponentials are generated."""
        return "attention" in self.parameters.features

    @cached_property
    def factors(self) -> int:
        """Everything that the second multiplier may take is there."""
        latencies = [fp32_multiply.LATENCY]
        latencies += [activation_factor.LATENCY] if self.parameters.activations else []
        latencies += [exponential.LATENCY + 1] if self.attention else []  # a register after its last gates
        return OPERANDS + max(latencies)

    @property
    def late_address(self) -> int:
        """The operands that arrive at `factors` are asked for."""
        return self.factors - READ_LATENCY

    @property
    def second_product(self) -> int:
        """The second product is there."""
        return self.factors + 1 + fp32_multiply.LATENCY

    @property
    def sum(self) -> int:
        """The sum is there."""
        return self.second_product + 1 + fp32_add.LATENCY

    @property
    def result(self) -> int:
        """The result is written."""
        return self.sum + 1

    @property
    def levels(self) -> int:
        """Cycles for a tree over the lanes."""
        return (self.parameters.vector_lanes - 1).bit_length()

    @property
    def maximum_written(self) -> int:
        """A maximum is written to its scalar register: keys, the tree over the lanes, what the register held."""
        return self.result + 2 + self.levels

    # Reductions: terms are registered, added over the lanes, added up.

    @property
    def squares(self) -> int:
        """Terms of SQUARES and MEAN are there: integers without what is masked, products, a register."""
        return INTEGERS + 3

    @property
    def probabilities(self) -> int:
        """Terms of EXPONENTIAL are there."""
        return OPERANDS + exponential.LATENCY + 2

    @property
    def squares_finished(self) -> int:
        """The result of SQUARES or MEAN may be written; C7, × k, C9, + ε and the root come after the sum."""
        finish = (integer_to_fp32, fp32_multiply, exponent_add, fp32_add, reciprocals)
        return self._finished(self.squares + 1 + self.levels + sum(each.LATENCY for each in finish))

    @property
    def exponential_finished(self) -> int:
        """The reciprocal of EXPONENTIAL's sum may be written."""
        finish = (integer_to_fp32, reciprocals, exponent_add)
        return self._finished(self.probabilities + 1 + self.levels + sum(each.LATENCY for each in finish))

    def _finished(self, cycle: int) -> int:
        # The cycle is kept free of maxima by issuing nothing at the right time, which has to be told two cycles before.
        return max(cycle, self.maximum_written + 3)

    # What an instruction waits, so that what it was given is ready for its first word, and not too early for the word
    # before.

    @property
    def exponential_wait(self) -> int:
        """The fixed-point maximum, from its scalar register."""
        ready = SCALAR_AFTER_TAKING + fixed_point.LATENCY
        return max(0, ready - (1 + OPERANDS + exponential.MAXIMUM_DELAY))

    @property
    def quantizing_wait(self) -> int:
        """The scale; what goes out with the integers changes when the first word is issued; terms come in order."""
        ready = SCALAR_AFTER_TAKING + quantization.LATENCY + 1 - (1 + OPERANDS)
        after_terms = self.probabilities - self.squares - 1 if self.attention else 0
        return max(0, ready, INTEGERS - 1, after_terms)
