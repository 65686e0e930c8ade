"""Linear layers and embeddings with a weight format become the integer ops that every engine computes bit for bit."""

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import Block, InsertionPoint, IntegerAttr, ModuleOp, RefusedOp, Value, compiler_pass
from elastix.dialects.elx import EmbeddingOp, LinearOp, QuantizedEmbeddingOp, QuantizedLinearOp, QuantizeOp
from elastix.dialects.elx.format import Format, FormatAttr, from_mlir
from elastix.passes.s3_precision.assign_precision import ACTIVATION_BITS_ATTRIBUTE
from elastix.passes.s3_precision.weights import WeightReader, weight_name, weight_readers

QuantizedRows = dict[tuple[Block, Value, int], QuantizeOp]
"""What was quantized already, by block, tensor and bits: q, k and v share one upload."""


@compiler_pass
def quantize_linears(module: ModuleOp) -> None:
    """Replace `elx.linear` by `elx.quantize` and `elx.quantized_linear`, `elx.embedding` by `elx.quantized_embedding`.

    Linear layers of one block that read the same tensor at the same number of bits share its `elx.quantize`: at the
    layer's own `activation_bits`, or else the module's. Ops without a format stay. Refuses a
    format on a weight that is no stored argument, two formats on one weight, and a module that does not say how many
    bits activations have (`elx.activation_bits`, which assign-precision sets).
    """
    readers = [op for op in weight_readers(module) if "format" in op.attributes]
    if not readers:
        return
    bits = _activation_bits(module)
    formats: dict[str, Format] = {}
    for op in readers:
        name, form = weight_name(op), _format(op)
        if not name:
            raise RefusedOp(op, "a format on a weight that is computed", wanted="an argument that the store holds")
        if formats.setdefault(name, form) != form:
            raise RefusedOp(op, f"{name} in format {form}", wanted=f"{formats[name]}, as where it is read first")
    quantized: QuantizedRows = {}
    for op in readers:
        with InsertionPoint(op), op.location:
            result = _integer_op(op, bits, quantized)
        op.results[0].replace_all_uses_with(result)
        op.operation.erase()


def _activation_bits(module: ModuleOp) -> int:
    attributes = module.operation.attributes
    if ACTIVATION_BITS_ATTRIBUTE not in attributes:
        raise ElastixError(
            f"a module without {ACTIVATION_BITS_ATTRIBUTE}", wanted="8 to 12", do="run assign-precision before"
        )
    return IntegerAttr(attributes[ACTIVATION_BITS_ATTRIBUTE]).value


def _format(op: WeightReader) -> Format:
    return from_mlir(FormatAttr(op.attributes["format"]))


def _integer_op(op: WeightReader, bits: int, quantized: QuantizedRows) -> Value:
    form = _format(op)
    if isinstance(op, EmbeddingOp):
        return QuantizedEmbeddingOp(ids=op.ids, table=op.table, format=form).result
    x = _quantize(op, bits, quantized)
    return QuantizedLinearOp(x=x.quantized, exponent=x.exponent, weight=op.weight, bias=op.bias, format=form).result


def _quantize(op: LinearOp, bits: int, quantized: QuantizedRows) -> QuantizeOp:
    bits = bits if op.activation_bits is None else op.activation_bits
    place = (op.operation.block, op.x, bits)
    if place not in quantized:
        quantized[place] = QuantizeOp(x=op.x, activation_bits=bits)
    return quantized[place]
