"""The ops of `elx` that read a large weight: in float, and in the quantized form that the processor computes."""

from collections.abc import Iterator
from math import prod

from elastix.compiler.ir import Op, Result, Type, Value, inferred, integer, shape_of, tensor
from elastix.dialects import rules
from elastix.dialects.elx.dialect import Elx
from elastix.dialects.elx.format import Format, wrong_format


class EmbeddingOp(Op, dialect=Elx, name="embedding"):
    """Row ids of table.

    ids: … of i64; table: V × K; result: … × K.
    """

    ids: Value
    table: Value
    result: Result = inferred()

    def infer(self) -> Type:
        return tensor((*shape_of(self.ids), shape_of(self.table)[1]))

    def wrong(self) -> Iterator[str]:
        yield from rules.tensor("ids", self.ids, ("…",), element="i64")
        yield from rules.tensor("table", self.table, ("V", "K"))


class LinearOp(Op, dialect=Elx, name="linear"):
    """x · weightᵀ + bias, every row of x; `format` says at which precision the weight is stored.

    x: … × K; weight: N × K; bias: N; result: … × N; activation_bits: of x as it will be quantized, 8 … 12, where a plan
    says fewer than the module.
    """

    x: Value
    weight: Value
    bias: Value | None = None
    format: Format | None = None
    activation_bits: int | None = None
    result: Result = inferred()

    def infer(self) -> Type:
        return tensor((*shape_of(self.x)[:-1], shape_of(self.weight)[0]))

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(rules.tensor("x", self.x, ("…", "K"))))
        if not broken:
            yield from _weight_and_bias(self.weight, self.bias, shape_of(self.x)[-1])
        yield from wrong_format(self)
        if self.activation_bits is not None and self.activation_bits not in range(8, 13):
            yield f"activation_bits is {self.activation_bits}, wanted 8 to 12"


def _weight_and_bias(weight: Value, bias: Value | None, columns: int) -> Iterator[str]:
    yield from (broken := list(rules.tensor("weight", weight, ("N", columns))))
    if not broken:
        yield from rules.tensor("bias", bias, (shape_of(weight)[0],))
        if not prod(shape_of(weight)):
            yield f"weight is {weight.type}, wanted at least one row and one column"


class QuantizeOp(Op, dialect=Elx, name="quantize"):
    """Rule C3: each row of x as integers of `activation_bits` bits and one power of two.

    x: … × K; quantized: … × K of i16; exponent: … of i32.
    """

    x: Value
    activation_bits: int
    quantized: Result = inferred()
    exponent: Result = inferred()

    def infer(self) -> tuple[Type, Type]:
        sizes = shape_of(self.x)
        return tensor(sizes, integer(16)), tensor(sizes[:-1], integer(32))

    def wrong(self) -> Iterator[str]:
        if self.activation_bits not in range(8, 13):
            yield f"activation_bits is {self.activation_bits}, wanted 8 to 12"
        yield from rules.tensor("x", self.x, ("…", "K"))


class QuantizedLinearOp(Op, dialect=Elx, name="quantized_linear"):
    """Rules C1, C2, C7 to C10: the linear op over quantized activations, which every engine computes bit for bit.

    x: … × K of i16; exponent: … of i32; weight: N × K; bias: N; result: … × N.
    """

    x: Value
    exponent: Value
    weight: Value
    bias: Value | None = None
    format: Format
    result: Result = inferred()

    def infer(self) -> Type:
        return tensor((*shape_of(self.x)[:-1], shape_of(self.weight)[0]))

    def wrong(self) -> Iterator[str]:
        yield from (broken := list(rules.tensor("x", self.x, ("…", "K"), element="i16")))
        if not broken:
            sizes = shape_of(self.x)
            yield from rules.tensor("exponent", self.exponent, sizes[:-1], element="i32")
            yield from _weight_and_bias(self.weight, self.bias, sizes[-1])
        yield from wrong_format(self)


class QuantizedEmbeddingOp(Op, dialect=Elx, name="quantized_embedding"):
    """Rule C11: rows read out of the packed image of a table.

    ids: … of i64; table: V × K; result: … × K.
    """

    ids: Value
    table: Value
    format: Format
    result: Result = inferred()

    def infer(self) -> Type:
        return tensor((*shape_of(self.ids), shape_of(self.table)[1]))

    def wrong(self) -> Iterator[str]:
        yield from rules.tensor("ids", self.ids, ("…",), element="i64")
        yield from rules.tensor("table", self.table, ("V", "K"))
        yield from wrong_format(self)
