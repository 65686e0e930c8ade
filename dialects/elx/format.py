"""`#elx.format<bits, group, scale, zero>`: how the weights of one layer are written."""

from collections.abc import Iterator
from typing import cast

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import (
    Attribute,
    Codec,
    IntegerAttr,
    IntegerType,
    OpView,
    ParametricAttribute,
    StringAttr,
    add_codec,
)
from elastix.compiler.numbers.formats import Format
from elastix.dialects.elx.dialect import Elx


class FormatAttr(ParametricAttribute, dialect=Elx, name="format"):
    """A weight format as an attribute; in Python it is a `numbers.formats.Format`."""

    bits: IntegerAttr
    group: IntegerAttr
    scale: StringAttr
    zero: StringAttr


def to_mlir(format: Format) -> FormatAttr:
    """`#elx.format<…>` in the current context."""
    i64 = IntegerType.get_signless(64)
    return FormatAttr.get(
        IntegerAttr.get(i64, format.bits),
        IntegerAttr.get(i64, format.group),
        StringAttr.get(format.scale),
        StringAttr.get(format.zero),
    )


def from_mlir(attribute: FormatAttr) -> Format:
    """The format an attribute spells. Raises ElastixError if there is no such format."""
    return Format(
        IntegerAttr(attribute.bits).value,
        IntegerAttr(attribute.group).value,
        StringAttr(attribute.scale).value,
        StringAttr(attribute.zero).value,
    )


def wrong_format(op: OpView) -> Iterator[str]:
    """What is wrong with the `format` of an op; nothing if it has none."""
    if "format" in op.attributes:
        attribute = op.attributes["format"]
        try:
            from_mlir(cast(FormatAttr, attribute))
        except ElastixError as error:
            yield f"format has {error.found}, wanted {error.wanted}"


def _fits(attribute: Attribute) -> bool:
    return isinstance(attribute, FormatAttr)


add_codec(Format, Codec("#elx.format<bits, group, scale, zero>", _fits, to_mlir, from_mlir))
