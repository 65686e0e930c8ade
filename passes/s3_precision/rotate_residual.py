"""The residual stream is rotated by an orthogonal matrix, which the weights around it take up."""

from dataclasses import dataclass, field

from elastix.compiler.importer.torch_values import defining
from elastix.compiler.ir import ModuleOp, OpView, RefusedOp, Value, compiler_pass, ops_of, shape_of
from elastix.dialects.elx import EmbeddingOp, LinearOp, ResidualOp, RmsNormOp
from elastix.passes.s2_fuse.weight_arguments import stored_argument
from elastix.passes.s3_precision.fold_norm_weights import is_plain
from elastix.passes.s3_precision.weights import (
    BIAS,
    WEIGHT,
    WeightReader,
    drop_unread_weights,
    is_stored,
    keeps_rows,
    no_format,
    see,
    weight_readers,
)

_COMMUTES = "what commutes with a rotation"


@dataclass
class _Streams:
    """Rotated values, and the results of the ops that write them, and of the linear layers that read them or norms.

    Results stand for their ops, whose hash would change with their operands.
    """

    values: set[Value] = field(default_factory=set[Value])
    writers: set[Value] = field(default_factory=set[Value])
    readers: set[Value] = field(default_factory=set[Value])

    def add(self, value: Value) -> None:
        """Rotate `value` and, as they must agree, all that is added to it. Raises RefusedOp."""
        todo = [value]
        while todo:
            value = todo.pop()
            if value in self.values:
                continue
            self.values.add(value)
            todo += self._sources(value)
            for use in value.uses:
                todo += self._behind(use.owner.operation.opview, value)

    def _sources(self, value: Value) -> list[Value]:
        op = defining(value)
        match op:
            case ResidualOp():
                return [op.a, op.b]
            case EmbeddingOp() if stored_argument(op.table) is not None:
                self.writers.add(op.result)
            case LinearOp() if is_stored(op):
                self.writers.add(op.result)
            case OpView() if keeps_rows(op):
                return [op.operands[0]]
            case OpView():
                raise RefusedOp(op, "writes into the residual stream", wanted="stored weights, which can be rotated")
            case None:
                reader = next(use.owner.operation.opview for use in value.uses)
                raise RefusedOp(
                    reader, "reads the residual stream from an argument", wanted="one that begins inside the function"
                )
        return []

    def _behind(self, op: OpView, value: Value) -> list[Value]:
        """What one reader of a rotated value makes that is rotated as well."""
        match op:
            case ResidualOp():
                return [op.result]
            case RmsNormOp() if is_plain(op):
                self._read_norm(op.result)
            case RmsNormOp():
                raise RefusedOp(
                    op, "reads the residual stream with a weight of its own", wanted="ones", do="run fold-norm-weights"
                )
            case LinearOp() if is_stored(op) and op.x == value:
                self.readers.add(op.result)
            case OpView() if keeps_rows(op):
                return [op.results[0]]
            case _:
                raise RefusedOp(op, "reads the residual stream", wanted=_COMMUTES)
        return []

    def _read_norm(self, normed: Value) -> None:
        for use in normed.uses:
            op = use.owner.operation.opview
            if isinstance(op, LinearOp) and is_stored(op) and op.x == normed:
                self.readers.add(op.result)
            elif keeps_rows(op):
                self._read_norm(op.results[0])
            else:
                raise RefusedOp(op, "reads a norm of the residual stream", wanted="a linear layer with stored weights")


@compiler_pass
def rotate_residual(module: ModuleOp) -> None:
    """Rotate every residual stream by H, folded into the weights around it; nothing changes at run time.

    A stream is what sums (`elx.residual`) tie together. Embeddings and linear layers that write into it get their
    results rotated, W becoming Hᵀ · W (`w.T@{H576}.T`; tables `w@{H576}`, biases `b@{H576}`); those that read it, or an
    rms_norm of it whose weight is ones, get W · H (`w@{H576}`). H, by compiler/importer/hadamard.py, is orthogonal, so
    a row and its rotation have one norm. A tied embedding and head become two views of one stored tensor.

    Run fold-norm-weights before. Refuses a stream that anything else reads or writes, a norm with a weight of its own,
    and a weight that has its format already.
    Sources: SliceGPT (Ashkboos et al. 2024) for the invariance, QuaRot (Ashkboos et al. 2024) for Hadamard matrices.
    """
    streams = _Streams()
    for op in ops_of(module, ResidualOp):
        streams.add(op.result)
    for op in weight_readers(module):
        if op.result in streams.readers or op.result in streams.writers:
            no_format(op)
        if isinstance(op, LinearOp) and op.result in streams.readers:
            see(op, WEIGHT, f"@{{H{shape_of(op.x)[-1]}}}")
        if op.result in streams.writers:
            _write_rotated(op)
    drop_unread_weights(module)


def _write_rotated(op: WeightReader) -> None:
    view = f"@{{H{shape_of(op.result)[-1]}}}"
    if isinstance(op, EmbeddingOp):
        see(op, WEIGHT, view)
        return
    see(op, WEIGHT, f".T{view}.T")
    if op.bias is not None:
        see(op, BIAS, view)
