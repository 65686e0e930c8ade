"""MLIR as the rest of the project sees it: typed, single-threaded, and the only importer of the raw bindings."""

from elastix.compiler.ir.attributes import Codec as Codec
from elastix.compiler.ir.attributes import Symbol as Symbol
from elastix.compiler.ir.attributes import add_codec as add_codec
from elastix.compiler.ir.context import (
    build_at as build_at,
)
from elastix.compiler.ir.context import (
    new_context as new_context,
)
from elastix.compiler.ir.context import (
    new_module as new_module,
)
from elastix.compiler.ir.context import (
    parse as parse,
)
from elastix.compiler.ir.context import (
    parse_file as parse_file,
)
from elastix.compiler.ir.context import (
    text_of as text_of,
)
from elastix.compiler.ir.core import *  # noqa: F403
from elastix.compiler.ir.diagnostics import (
    Diagnostic as Diagnostic,
)
from elastix.compiler.ir.diagnostics import (
    InvalidIR as InvalidIR,
)
from elastix.compiler.ir.diagnostics import (
    RefusedOp as RefusedOp,
)
from elastix.compiler.ir.diagnostics import (
    at as at,
)
from elastix.compiler.ir.diagnostics import (
    collect as collect,
)
from elastix.compiler.ir.diagnostics import (
    place as place,
)
from elastix.compiler.ir.diagnostics import (
    remark as remark,
)
from elastix.compiler.ir.diagnostics import (
    warn as warn,
)
from elastix.compiler.ir.jit import Compiled as Compiled
from elastix.compiler.ir.machinery import (
    Dialect as Dialect,
)
from elastix.compiler.ir.machinery import (
    IsolatedTrait as IsolatedTrait,
)
from elastix.compiler.ir.machinery import (
    NoTerminatorTrait as NoTerminatorTrait,
)
from elastix.compiler.ir.machinery import (
    ParametricAttribute as ParametricAttribute,
)
from elastix.compiler.ir.machinery import (
    TerminatorTrait as TerminatorTrait,
)
from elastix.compiler.ir.ops import Op as Op
from elastix.compiler.ir.ops import Result as Result
from elastix.compiler.ir.ops import inferred as inferred
from elastix.compiler.ir.passes import Option as Option
from elastix.compiler.ir.passes import Pass as Pass
from elastix.compiler.ir.passes import compiler_pass as compiler_pass
from elastix.compiler.ir.patterns import (
    CHANGED as CHANGED,
)
from elastix.compiler.ir.patterns import (
    Pattern as Pattern,
)
from elastix.compiler.ir.patterns import (
    Replacement as Replacement,
)
from elastix.compiler.ir.patterns import (
    pattern as pattern,
)
from elastix.compiler.ir.patterns import (
    rewrite_until_stable as rewrite_until_stable,
)
from elastix.compiler.ir.registry import all_passes as all_passes
from elastix.compiler.ir.registry import stages as stages
from elastix.compiler.ir.runner import PassFailed as PassFailed
from elastix.compiler.ir.runner import Watcher as Watcher
from elastix.compiler.ir.runner import run_passes as run_passes
from elastix.compiler.ir.types import (
    element_of as element_of,
)
from elastix.compiler.ir.types import (
    f32 as f32,
)
from elastix.compiler.ir.types import (
    integer as integer,
)
from elastix.compiler.ir.types import (
    pointer as pointer,
)
from elastix.compiler.ir.types import (
    shape_of as shape_of,
)
from elastix.compiler.ir.types import (
    tensor as tensor,
)
