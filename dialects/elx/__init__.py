"""`elx`: what a model computes, in fused tensor ops, and at which precision."""

from elastix.dialects.elx.cache_ops import (
    HadamardOp as HadamardOp,
)
from elastix.dialects.elx.cache_ops import (
    QuantizedAttentionOp as QuantizedAttentionOp,
)
from elastix.dialects.elx.cache_ops import (
    QuantizedCacheUpdateOp as QuantizedCacheUpdateOp,
)
from elastix.dialects.elx.format import Format as Format
from elastix.dialects.elx.format import FormatAttr as FormatAttr
from elastix.dialects.elx.linear_ops import (
    EmbeddingOp as EmbeddingOp,
)
from elastix.dialects.elx.linear_ops import (
    LinearOp as LinearOp,
)
from elastix.dialects.elx.linear_ops import (
    QuantizedEmbeddingOp as QuantizedEmbeddingOp,
)
from elastix.dialects.elx.linear_ops import (
    QuantizedLinearOp as QuantizedLinearOp,
)
from elastix.dialects.elx.linear_ops import (
    QuantizeOp as QuantizeOp,
)
from elastix.dialects.elx.ops import (
    ActivationOp as ActivationOp,
)
from elastix.dialects.elx.ops import (
    AttentionOp as AttentionOp,
)
from elastix.dialects.elx.ops import (
    CacheUpdateOp as CacheUpdateOp,
)
from elastix.dialects.elx.ops import (
    Elx as Elx,
)
from elastix.dialects.elx.ops import (
    GatedActivationOp as GatedActivationOp,
)
from elastix.dialects.elx.ops import (
    LayerNormOp as LayerNormOp,
)
from elastix.dialects.elx.ops import (
    ReshapeOp as ReshapeOp,
)
from elastix.dialects.elx.ops import (
    ResidualOp as ResidualOp,
)
from elastix.dialects.elx.ops import (
    RmsNormOp as RmsNormOp,
)
from elastix.dialects.elx.ops import (
    RopeOp as RopeOp,
)
from elastix.dialects.elx.ops import (
    TransposeOp as TransposeOp,
)
