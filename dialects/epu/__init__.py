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
from elastix.dialects.epu.step_ops import (
    BufferOp as BufferOp,
)
from elastix.dialects.epu.step_ops import (
    Buffers as Buffers,
)
from elastix.dialects.epu.step_ops import (
    Fields as Fields,
)
from elastix.dialects.epu.step_ops import (
    InstructionOp as InstructionOp,
)
from elastix.dialects.epu.step_ops import (
    Names as Names,
)
from elastix.dialects.epu.step_ops import (
    StepProcessorOp as StepProcessorOp,
)
from elastix.dialects.epu.step_ops import (
    StepProgramOp as StepProgramOp,
)
