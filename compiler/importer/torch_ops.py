"""The torch ops that the passes read and write; `torch_ops.pyi` beside this file gives their types."""

from torch_mlir.dialects.torch import (
    Aten_AssertTensorMetadataOp as Aten_AssertTensorMetadataOp,
)
from torch_mlir.dialects.torch import (
    Aten_SoftmaxOp as Aten_SoftmaxOp,
)
from torch_mlir.dialects.torch import (
    Aten_ToCopyOp as Aten_ToCopyOp,
)
from torch_mlir.dialects.torch import (
    Aten_UnsafeViewOp as Aten_UnsafeViewOp,
)
from torch_mlir.dialects.torch import (
    AtenAddmmOp as AtenAddmmOp,
)
from torch_mlir.dialects.torch import (
    AtenAddScalarOp as AtenAddScalarOp,
)
from torch_mlir.dialects.torch import (
    AtenAddTensorOp as AtenAddTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenAliasOp as AtenAliasOp,
)
from torch_mlir.dialects.torch import (
    AtenArangeOp as AtenArangeOp,
)
from torch_mlir.dialects.torch import (
    AtenArangeStartOp as AtenArangeStartOp,
)
from torch_mlir.dialects.torch import (
    AtenArangeStartStepOp as AtenArangeStartStepOp,
)
from torch_mlir.dialects.torch import (
    AtenBitwiseAndTensorOp as AtenBitwiseAndTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenBmmOp as AtenBmmOp,
)
from torch_mlir.dialects.torch import (
    AtenCatOp as AtenCatOp,
)
from torch_mlir.dialects.torch import (
    AtenChunkOp as AtenChunkOp,
)
from torch_mlir.dialects.torch import (
    AtenCloneOp as AtenCloneOp,
)
from torch_mlir.dialects.torch import (
    AtenContiguousOp as AtenContiguousOp,
)
from torch_mlir.dialects.torch import (
    AtenCosOp as AtenCosOp,
)
from torch_mlir.dialects.torch import (
    AtenDetachOp as AtenDetachOp,
)
from torch_mlir.dialects.torch import (
    AtenDivScalarOp as AtenDivScalarOp,
)
from torch_mlir.dialects.torch import (
    AtenDivTensorOp as AtenDivTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenDropoutOp as AtenDropoutOp,
)
from torch_mlir.dialects.torch import (
    AtenEmbeddingOp as AtenEmbeddingOp,
)
from torch_mlir.dialects.torch import (
    AtenExpandOp as AtenExpandOp,
)
from torch_mlir.dialects.torch import (
    AtenFlattenUsingIntsOp as AtenFlattenUsingIntsOp,
)
from torch_mlir.dialects.torch import (
    AtenGeluOp as AtenGeluOp,
)
from torch_mlir.dialects.torch import (
    AtenGeScalarOp as AtenGeScalarOp,
)
from torch_mlir.dialects.torch import (
    AtenGeTensorOp as AtenGeTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenGtTensorOp as AtenGtTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenIndexPutOp as AtenIndexPutOp,
)
from torch_mlir.dialects.torch import (
    AtenLayerNormOp as AtenLayerNormOp,
)
from torch_mlir.dialects.torch import (
    AtenLeTensorOp as AtenLeTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenLiftFreshCopyOp as AtenLiftFreshCopyOp,
)
from torch_mlir.dialects.torch import (
    AtenLinearOp as AtenLinearOp,
)
from torch_mlir.dialects.torch import (
    AtenLogicalAndOp as AtenLogicalAndOp,
)
from torch_mlir.dialects.torch import (
    AtenLtTensorOp as AtenLtTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenMatmulOp as AtenMatmulOp,
)
from torch_mlir.dialects.torch import (
    AtenMeanDimOp as AtenMeanDimOp,
)
from torch_mlir.dialects.torch import (
    AtenMmOp as AtenMmOp,
)
from torch_mlir.dialects.torch import (
    AtenMulScalarOp as AtenMulScalarOp,
)
from torch_mlir.dialects.torch import (
    AtenMulTensorOp as AtenMulTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenNativeBatchNormOp as AtenNativeBatchNormOp,
)
from torch_mlir.dialects.torch import (
    AtenNativeLayerNormOp as AtenNativeLayerNormOp,
)
from torch_mlir.dialects.torch import (
    AtenNegOp as AtenNegOp,
)
from torch_mlir.dialects.torch import (
    AtenNumpyTOp as AtenNumpyTOp,
)
from torch_mlir.dialects.torch import (
    AtenPermuteOp as AtenPermuteOp,
)
from torch_mlir.dialects.torch import (
    AtenPowTensorScalarOp as AtenPowTensorScalarOp,
)
from torch_mlir.dialects.torch import (
    AtenReluOp as AtenReluOp,
)
from torch_mlir.dialects.torch import (
    AtenReshapeOp as AtenReshapeOp,
)
from torch_mlir.dialects.torch import (
    AtenRmsNormOp as AtenRmsNormOp,
)
from torch_mlir.dialects.torch import (
    AtenRsqrtOp as AtenRsqrtOp,
)
from torch_mlir.dialects.torch import (
    AtenScaledDotProductAttentionOp as AtenScaledDotProductAttentionOp,
)
from torch_mlir.dialects.torch import (
    AtenSigmoidOp as AtenSigmoidOp,
)
from torch_mlir.dialects.torch import (
    AtenSiluOp as AtenSiluOp,
)
from torch_mlir.dialects.torch import (
    AtenSinOp as AtenSinOp,
)
from torch_mlir.dialects.torch import (
    AtenSliceTensorOp as AtenSliceTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenSoftmaxIntOp as AtenSoftmaxIntOp,
)
from torch_mlir.dialects.torch import (
    AtenSplitTensorOp as AtenSplitTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenSplitWithSizesOp as AtenSplitWithSizesOp,
)
from torch_mlir.dialects.torch import (
    AtenSqueezeDimOp as AtenSqueezeDimOp,
)
from torch_mlir.dialects.torch import (
    AtenSqueezeOp as AtenSqueezeOp,
)
from torch_mlir.dialects.torch import (
    AtenSubTensorOp as AtenSubTensorOp,
)
from torch_mlir.dialects.torch import (
    AtenTanhOp as AtenTanhOp,
)
from torch_mlir.dialects.torch import (
    AtenToDtypeOp as AtenToDtypeOp,
)
from torch_mlir.dialects.torch import (
    AtenTOp as AtenTOp,
)
from torch_mlir.dialects.torch import (
    AtenTransposeIntOp as AtenTransposeIntOp,
)
from torch_mlir.dialects.torch import (
    AtenTypeAsOp as AtenTypeAsOp,
)
from torch_mlir.dialects.torch import (
    AtenUnsqueezeOp as AtenUnsqueezeOp,
)
from torch_mlir.dialects.torch import (
    AtenViewOp as AtenViewOp,
)
from torch_mlir.dialects.torch import (
    AtenWhereScalarOp as AtenWhereScalarOp,
)
from torch_mlir.dialects.torch import (
    AtenWhereScalarOtherOp as AtenWhereScalarOtherOp,
)
from torch_mlir.dialects.torch import (
    AtenWhereScalarSelfOp as AtenWhereScalarSelfOp,
)
from torch_mlir.dialects.torch import (
    AtenWhereSelfOp as AtenWhereSelfOp,
)
from torch_mlir.dialects.torch import (
    ConstantBoolOp as ConstantBoolOp,
)
from torch_mlir.dialects.torch import (
    ConstantFloatOp as ConstantFloatOp,
)
from torch_mlir.dialects.torch import (
    ConstantIntOp as ConstantIntOp,
)
from torch_mlir.dialects.torch import (
    ConstantNoneOp as ConstantNoneOp,
)
from torch_mlir.dialects.torch import (
    ConstantStrOp as ConstantStrOp,
)
from torch_mlir.dialects.torch import (
    OperatorOp as OperatorOp,
)
from torch_mlir.dialects.torch import (
    PrimListConstructOp as PrimListConstructOp,
)
from torch_mlir.dialects.torch import (
    PrimListUnpackOp as PrimListUnpackOp,
)
from torch_mlir.dialects.torch import (
    ValueTensorLiteralOp as ValueTensorLiteralOp,
)
