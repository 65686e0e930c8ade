"""The weight of a norm that only linear layers read moves into their columns, its bias into their biases."""

from elastix.compiler.importer.torch_values import set_operand
from elastix.compiler.ir import (
    BlockArgument,
    ModuleOp,
    Value,
    build_at,
    compiler_pass,
    ops_of,
    remark,
    shape_of,
    tensor,
)
from elastix.compiler.ir.core import InsertionPoint
from elastix.dialects.elx import LayerNormOp, LinearOp, RmsNormOp
from elastix.passes.s2_fuse.weight_arguments import name_of, stored_argument, weight_named
from elastix.passes.s3_precision.weights import BIAS, WEIGHT, drop_unread_weights, is_stored, keeps_rows, no_format, see

Norm = RmsNormOp | LayerNormOp


@compiler_pass
def fold_norm_weights(module: ModuleOp) -> None:
    """Give the weight of a norm, and its bias, to the linear layers that read it; the norm keeps ones, and zeros.

    W · (n ⊙ x + b) = (W · diag(n)) · x + W · b, hence the weight becomes `w*{norm.weight}` and the bias `w@{norm.bias}`
    (compiler/importer/views.py). A norm whose result anything else reads stays as it is, with a remark: its weight
    can be given to none of its readers alone. Refuses a linear layer that has its format already.
    Source: SliceGPT (Ashkboos et al. 2024), section 3.1.
    """
    for norm in [op for op in ops_of(module) if isinstance(op, Norm)]:
        if is_plain(norm):
            continue
        readers = _linear_readers(norm.result)
        if not readers or not all(stored_argument(each) is not None for each in norm.operands[WEIGHT:]):
            remark(norm, "keeps its weight: not all that read it are linear layers with stored weights")
            continue
        for reader in readers:
            no_format(reader)
            _fold(norm, reader)
        width = shape_of(norm.weight)[0]
        _set(norm, WEIGHT, f"ones{width}")
        if isinstance(norm, LayerNormOp):
            _set(norm, BIAS, f"zeros{width}")
    drop_unread_weights(module)


def is_plain(norm: Norm) -> bool:
    """Whether a norm's weight was folded, so that all it does is to scale whole rows."""
    weight = stored_argument(norm.weight)
    return weight is not None and name_of(weight) == f"ones{shape_of(norm.weight)[0]}"


def _set(norm: Norm, place: int, name: str) -> None:
    argument = norm.operands[place]
    assert isinstance(argument, BlockArgument)
    set_operand(norm, place, weight_named(argument.owner, name, argument.type))


def _linear_readers(value: Value) -> list[LinearOp]:
    """The linear layers that read `value`, through reshapes that keep rows; none if anything else reads it."""
    found: list[LinearOp] = []
    for use in reversed(list(value.uses)):  # the last use comes first
        op = use.owner.operation.opview
        if isinstance(op, LinearOp) and is_stored(op):
            found.append(op)
        elif keeps_rows(op) and (behind := _linear_readers(op.results[0])):
            found += behind
        else:
            return []
    return found


def _fold(norm: Norm, reader: LinearOp) -> None:
    weight = stored_argument(reader.weight)
    assert weight is not None
    if isinstance(norm, LayerNormOp):
        product = f"{name_of(weight)}@{{{_name(norm.bias)}}}"
        if reader.bias is None:
            bias = weight_named(weight.owner, product, tensor(shape_of(weight)[:1]))
            with build_at(InsertionPoint(reader), reader.location):
                biased = LinearOp(x=reader.x, weight=reader.weight, bias=bias)
            reader.result.replace_all_uses_with(biased.result)
            reader.operation.erase()
            reader = biased
        else:
            see(reader, BIAS, f"+{{{product}}}")
    see(reader, WEIGHT, f"*{{{_name(norm.weight)}}}")


def _name(value: Value) -> str:
    argument = stored_argument(value)
    return "" if argument is None else name_of(argument)
