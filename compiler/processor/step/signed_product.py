"""A registered product of two signed integers, as one multiplier block takes it."""

from functools import cache

from elastix.compiler.circuit import Module


@cache
def signed_product(left: int, right: int) -> Module:
    """`product`: a cycle after `a` and `b`, signed integers of `left` and `right` bits, their product, a bit shorter
    than both together: not both factors are the least that they can be.

    In Verilog it is a signed product: where sign bits are repeated instead, synthesis makes a wider one of unsigned
    numbers.
    """
    name, width = f"signed_product_{left}x{right}", left + right - 1
    head = f"""hw.module @{name}(in %clk : !seq.clock, in %a : i{left}, in %b : i{right}, out product : i{width})"""
    factors = " * ".join(f"{width}'($signed({{{{{operand}}}}}))" for operand in (0, 1))
    verilog = f"""{head}
    attributes {{comment = "A product of signed integers of {left} and {right} bits."}} {{
  %next = sv.verbatim.expr "{factors}"(%a, %b) : (i{left}, i{right}) -> i{width}
  %result = seq.compreg name "product_q" %next, %clk : i{width}
  hw.output %result : i{width}
}}
"""
    simulation = f"""{head} {{
  %sign_a = comb.extract %a from {left - 1} : (i{left}) -> i1
  %sign_b = comb.extract %b from {right - 1} : (i{right}) -> i1
  %high_a = comb.replicate %sign_a : (i1) -> i{right - 1}
  %high_b = comb.replicate %sign_b : (i1) -> i{left - 1}
  %wide_a = comb.concat %high_a, %a : i{right - 1}, i{left}
  %wide_b = comb.concat %high_b, %b : i{left - 1}, i{right}
  %next = comb.mul bin %wide_a, %wide_b : i{width}
  %result = seq.compreg name "product_q" %next, %clk : i{width}
  hw.output %result : i{width}
}}
"""
    return Module.from_text(name, {"a": left, "b": right}, {"product": width}, verilog=verilog, simulation=simulation)
