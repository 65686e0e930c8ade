"""Every linear layer and embedding table gets the format in which its weights will be stored."""

from pathlib import Path
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import IntegerAttr, ModuleOp, compiler_pass, integer, remark
from elastix.compiler.numbers.formats import ACTIVATION_BITS
from elastix.compiler.numbers.plan import Override, load_plan, uniform
from elastix.dialects.elx import LinearOp
from elastix.dialects.elx.format import to_mlir
from elastix.passes.s3_precision.weights import by_position, weight_name, weight_readers

ACTIVATION_BITS_ATTRIBUTE: Final = "elx.activation_bits"
"""On the module: A, for the pass that quantizes."""


@compiler_pass
def assign_precision(
    module: ModuleOp, *, bits: int = 8, plan: str = "", activation_bits: int = 11, positions: bool = True
) -> None:
    """Set `format` on every `elx.linear` and `elx.embedding` whose weight is an argument of its function.

    A weight that several ops read has one name, hence one format. Linear layers whose activations the plan gives fewer
    bits than A get `activation_bits` too. Refuses bits outside 1 … 8 and a plan that does not read well, names a layer
    that is not there or wants more activation bits than A, with the plan's line.

    bits: of every weight, 1 … 8, where no plan says otherwise.
    plan: path of a YAML file or a plan folder, described in compiler/numbers/plan.py.
    activation_bits: A, 8 … 12, noted on the module.
    positions: false leaves tables of learned positions in fp32.
    """
    if activation_bits not in ACTIVATION_BITS:
        raise ElastixError(f"activations of {activation_bits} bits", wanted="8 to 12 bits")
    chosen = load_plan(Path(plan)) if plan else uniform(bits)
    readers = weight_readers(module)
    names = [weight_name(reader) for reader in readers]
    chosen.check(sorted({name for name in names if name}))
    for reader, name in zip(readers, names, strict=True):
        if name and not positions and by_position(reader):
            remark(reader, "keeps its table in fp32: rows are looked up by position")
        elif name:
            line = chosen.line_of(name)
            reader.attributes["format"] = to_mlir(line.format)
            fewer = _fewer(line, activation_bits)
            if isinstance(reader, LinearOp) and fewer is not None:
                reader.attributes["activation_bits"] = IntegerAttr.get(integer(64), fewer)
        else:
            remark(reader, "keeps its weight in fp32: it is computed, not an argument of the function")
    module.operation.attributes[ACTIVATION_BITS_ATTRIBUTE] = IntegerAttr.get(integer(64), activation_bits)


def _fewer(line: Override, activation_bits: int) -> int | None:
    """The bits that a line gives to activations, if they are fewer than the processor's."""
    bits = line.activation_bits
    if bits is not None and bits > activation_bits:
        raise ElastixError(
            f"{line.where}: activations of {bits} bits",
            wanted=f"at most {activation_bits}, as the processor has",
            do=f"say --activation-bits {bits}, or fewer here",
        )
    return None if bits == activation_bits else bits
