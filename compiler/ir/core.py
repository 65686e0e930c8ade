"""The raw classes of MLIR's bindings that the project uses; `core.pyi` beside this file gives their types."""

from torch_mlir.dialects.builtin import ModuleOp as ModuleOp
from torch_mlir.ir import (
    ArrayAttr as ArrayAttr,
)
from torch_mlir.ir import (
    Attribute as Attribute,
)
from torch_mlir.ir import (
    BF16Type as BF16Type,
)
from torch_mlir.ir import (
    Block as Block,
)
from torch_mlir.ir import (
    BlockArgument as BlockArgument,
)
from torch_mlir.ir import (
    BoolAttr as BoolAttr,
)
from torch_mlir.ir import (
    CallSiteLoc as CallSiteLoc,
)
from torch_mlir.ir import (
    Context as Context,
)
from torch_mlir.ir import (
    DenseElementsAttr as DenseElementsAttr,
)
from torch_mlir.ir import (
    DenseI32ArrayAttr as DenseI32ArrayAttr,
)
from torch_mlir.ir import (
    DenseI64ArrayAttr as DenseI64ArrayAttr,
)
from torch_mlir.ir import (
    DenseResourceElementsAttr as DenseResourceElementsAttr,
)
from torch_mlir.ir import (
    DiagnosticInfo as DiagnosticInfo,
)
from torch_mlir.ir import (
    DictAttr as DictAttr,
)
from torch_mlir.ir import (
    F16Type as F16Type,
)
from torch_mlir.ir import (
    F32Type as F32Type,
)
from torch_mlir.ir import (
    F64Type as F64Type,
)
from torch_mlir.ir import (
    FileLineColLoc as FileLineColLoc,
)
from torch_mlir.ir import (
    FlatSymbolRefAttr as FlatSymbolRefAttr,
)
from torch_mlir.ir import (
    FloatAttr as FloatAttr,
)
from torch_mlir.ir import (
    FunctionType as FunctionType,
)
from torch_mlir.ir import (
    FusedLoc as FusedLoc,
)
from torch_mlir.ir import (
    IndexType as IndexType,
)
from torch_mlir.ir import (
    InsertionPoint as InsertionPoint,
)
from torch_mlir.ir import (
    IntegerAttr as IntegerAttr,
)
from torch_mlir.ir import (
    IntegerType as IntegerType,
)
from torch_mlir.ir import (
    Location as Location,
)
from torch_mlir.ir import (
    MLIRError as MLIRError,
)
from torch_mlir.ir import (
    Module as Module,
)
from torch_mlir.ir import (
    NameLoc as NameLoc,
)
from torch_mlir.ir import (
    Operation as Operation,
)
from torch_mlir.ir import (
    OpOperand as OpOperand,
)
from torch_mlir.ir import (
    OpResult as OpResult,
)
from torch_mlir.ir import (
    OpView as OpView,
)
from torch_mlir.ir import (
    RankedTensorType as RankedTensorType,
)
from torch_mlir.ir import (
    Region as Region,
)
from torch_mlir.ir import (
    StringAttr as StringAttr,
)
from torch_mlir.ir import (
    SymbolTable as SymbolTable,
)
from torch_mlir.ir import (
    Type as Type,
)
from torch_mlir.ir import (
    TypeAttr as TypeAttr,
)
from torch_mlir.ir import (
    UnitAttr as UnitAttr,
)
from torch_mlir.ir import (
    UnknownLoc as UnknownLoc,
)
from torch_mlir.ir import (
    Value as Value,
)
from torch_mlir.ir import (
    WalkOrder as WalkOrder,
)
from torch_mlir.ir import (
    WalkResult as WalkResult,
)
