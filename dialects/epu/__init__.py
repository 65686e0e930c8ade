"""`epu`: how a model runs on this processor: its parameters, and its instructions with their addresses."""

from elastix.dialects.epu.ops import (
    Epu as Epu,
)
from elastix.dialects.epu.ops import (
    LinearOp as LinearOp,
)
from elastix.dialects.epu.ops import (
    ProcessorOp as ProcessorOp,
)
from elastix.dialects.epu.ops import (
    ProgramOp as ProgramOp,
)
