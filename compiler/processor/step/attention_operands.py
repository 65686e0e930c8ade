"""What is multiplied: codes of a row, and the queries or the row's weights."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux, select
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.step.attention_ports import (
    CODE_BITS,
    QUANTIZED_BITS,
    chunks_of,
    lanes_of,
    quantized_ports,
    row_bits,
)
from elastix.compiler.processor.step.current_rows import current_rows, slot_bits, slot_of
from elastix.compiler.processor.step.instructions import Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.probability_bank import probability_bank
from elastix.compiler.processor.step.query_bank import query_bank

LATENCY = 3
WORD_FIELDS = ("target", "data", "index", "bank", "head", "lane", "exponent")
"""What is looked at of a quantized word."""


def attention_operands(p: StepParameters) -> Module:
    """LATENCY cycles after a chunk is asked for: `x`, w integers of 16 bits for each query, and `z`, w codes.

    `values`: x are the weights of row `row`, the same for all w; else elements of chunk `chunk` of the queries; both
    of `bank`. `exponent`, a cycle after `exponent_of`: that of a bank (bit 0), of its weights where bit 1 is 1.
    `from_memory`: the codes are part `part` of the beat `data`; else chunk `own_chunk` of current row `own_slot`,
    whose codes are `codes` a cycle before, and whose scale is `own_scale` at once. quantized_*: words that are kept,
    from three cycles after they come on; `row_slot` says where a row goes.
    """
    m = Module("attention_operands", attention_operands.__doc__, asdict(p))
    word = {name: m.input(f"quantized_{name}", quantized_ports(p)[name]) for name in WORD_FIELDS}
    given, bank, values = m.input("quantized_valid"), m.input("bank"), m.input("values")
    kept = {name: m.register(f"kept_{name}", value) for name, value in word.items() if name not in ("target", "lane")}

    def write(name: str, *targets: Target) -> Signal:
        known = concat(*(word["target"] == target for target in targets)).any()
        return m.register(f"write_{name}", given & known, reset=0)

    write_query, write_weight = write("query", Target.QUERY), write("weight", Target.PROBABILITY)
    is_value = m.named("is_value", word["target"] == Target.VALUE)
    slot = m.register("kept_slot", slot_of(p, word["lane"], word["head"], is_value))
    m.output("row_slot", slot)
    m.unused(word["lane"])
    m.unused(word["head"])
    rows = _rows(m, p, kept, slot, write("row", Target.KEY, Target.VALUE))
    m.output("codes", rows["read_codes"])
    m.output("own_scale", rows["scale"])

    chunk, row = m.input("chunk", index_bits(chunks_of(p))), m.input("row", row_bits(p))
    queries = m.instance(
        "queries",
        query_bank(p),
        write=write_query,
        write_bank=kept["bank"],
        write_index=kept["index"],
        write_data=kept["data"],
        read_bank=bank,
        read_chunk=chunk,
    )["read_data"]
    weights = m.instance(
        "weights",
        probability_bank(p),
        write=write_weight,
        write_bank=kept["bank"],
        write_query=kept["head"],
        write_index=kept["index"],
        write_data=kept["data"],
        read_bank=bank,
        read_row=row,
    )["read_data"]
    exponents = Memory(m, "exponents", 4, 16, latency=0)
    exponents.write(concat(write_weight, kept["bank"]), kept["exponent"], write_query | write_weight)
    m.output("exponent", m.register("exponent_q", exponents.read(m.input("exponent_of", 2))))

    lanes, weights_now = lanes_of(p), delay_stages(m, "values", values, 2)[2]
    x = list[Signal]()
    for j in range(p.group):
        weight = weights[QUANTIZED_BITS * j : QUANTIZED_BITS * (j + 1)].replicate(lanes)
        query = queries[QUANTIZED_BITS * lanes * j : QUANTIZED_BITS * lanes * (j + 1)]
        x.append(m.register(f"x_{j}", mux(weights_now, weight, query)))
    m.output("x", concat(*reversed(x)))
    m.output("z", _codes(m, p, rows["read_codes"]))
    return m


def _rows(
    m: Module, p: StepParameters, kept: Mapping[str, Signal], slot: Signal, write: Signal
) -> Mapping[str, Signal]:
    codes = [kept["data"][QUANTIZED_BITS * k : QUANTIZED_BITS * k + CODE_BITS] for k in range(p.vector_lanes)]
    own_slot = m.input("own_slot", slot_bits(p))
    return m.instance(
        "own_rows",
        current_rows(p),
        write=write,
        write_slot=slot,
        write_index=kept["index"],
        write_data=concat(*reversed(codes)),
        write_scale=kept["exponent"],
        read_slot=own_slot,
        read_chunk=m.input("own_chunk", index_bits(chunks_of(p))),
        scale_slot=own_slot,
    )


def _codes(m: Module, p: StepParameters, own: Signal) -> Signal:
    """The chunk's codes, from the beat or the current rows."""
    width = CODE_BITS * lanes_of(p)
    data, from_memory = m.input("data", p.beat), m.input("from_memory")
    parts = [data[at : at + width] for at in range(0, min(p.beat, CODE_BITS * p.head_dim), width)]
    part = m.input("part", max(1, (len(parts) - 1).bit_length()))
    if len(parts) == 1:
        m.unused(part)
    m.unused(data)
    taken = delay_stages(m, "taken_codes", select(part, parts), 2)[2]
    return m.register("z_q", mux(delay_stages(m, "from_memory", from_memory, 2)[2], taken, own))
