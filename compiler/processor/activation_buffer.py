"""The activations of one token: written tile by tile, read one tile a cycle, with the sums that all rows share."""

from elastix.compiler.circuit import Memory, Module, concat
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters

READ_LATENCY = 3


def activation_buffer(parameters: ProcessorParameters) -> Module:
    """READ_LATENCY cycles after `tile`: `x` (32 of A bits), `pairs` (x[2i] + x[2i+1], 16 of A+1 bits)
    and `x_sum` (their sum, A+5 bits)."""
    a, m = parameters.activation_bits, Module("activation_buffer", "The activations of one token, with shared sums.")
    write, write_tile = m.input("write"), m.input("write_tile", parameters.tile_index_bits)
    data, data_sum = m.input("data", parameters.tile_bits), m.input("data_sum", parameters.sum_bits)
    tile = m.input("tile", parameters.tile_index_bits)
    memory = Memory(m, "tiles", parameters.max_tiles, parameters.tile_bits + parameters.sum_bits)
    memory.write(write_tile, concat(data_sum, data), write)
    # Block RAM answers late in its cycle: a register stands between it and the adders.
    word = m.register("word", memory.read(tile))
    x = [m.register(f"x_{column}", word[a * column : a * (column + 1)]) for column in range(COLUMNS)]
    pairs = [
        m.register(
            f"pair_{pair}",
            word[2 * a * pair : 2 * a * pair + a].sext(a + 1) + word[2 * a * pair + a : 2 * a * (pair + 1)].sext(a + 1),
        )
        for pair in range(COLUMNS // 2)
    ]
    x_sum = word[parameters.tile_bits : parameters.tile_bits + parameters.sum_bits]
    m.output("x", concat(*reversed(x)))
    m.output("pairs", concat(*reversed(pairs)))
    m.output("x_sum", m.register("x_sum_q", x_sum))
    return m
