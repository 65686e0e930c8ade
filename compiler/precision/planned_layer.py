"""A layer of a plan as people see it."""

from dataclasses import dataclass

from elastix.compiler.numbers.formats import Format


@dataclass(frozen=True)
class PlannedLayer:
    """A layer's line in a plan, and what it costs.

    name: of the weight, as compiling names it; rows, columns: N and K; bytes: read for one token, 0 for a table of
    which one row is looked up; error: share of its output's energy that is lost; kl: what that is expected to cost, in
    nats; why: for people; activation_bits: None as the processor has; cost: nats for a squared error of 1 of its
    output, on which the KL expected on other texts rests.
    """

    name: str
    format: Format
    rows: int
    columns: int
    bytes: int
    error: float
    kl: float
    why: str = ""
    activation_bits: int | None = None
    cost: float = 0.0
