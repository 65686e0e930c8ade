"""The finished sums of a block, handed to the converter one a cycle while the next block streams."""

from elastix.compiler.circuit import Memory, Module, concat, mux
from elastix.compiler.processor.parameters import ProcessorParameters, index_bits

ROW_SCALES_KEPT = 8


def result_drain(parameters: ProcessorParameters) -> Module:
    """`load` takes lanes × R sums (lane 0 row 0 lowest); R × `tokens` cycles follow with `sum`, `row_scale`, `lane`.

    `scale_write` stores the row scales of a block when its first header word passes; a block is at most
    ROW_SCALES_KEPT − 2 blocks behind that, since a block is at least two beats long, its sums 15
    cycles behind it.
    Loads are at least rows × tokens cycles apart.
    """
    m = Module("result_drain", "Finished sums, one a cycle.")
    rows, lanes, width = parameters.rows, parameters.lanes, parameters.accumulator_bits
    start, load, tokens = m.input("start"), m.input("load"), m.input("tokens", index_bits(lanes + 1))
    sums = m.input("sums", lanes * rows * width)
    scale_write, row_scales = m.input("scale_write"), m.input("row_scales", rows * 16)

    pointer = index_bits(ROW_SCALES_KEPT)
    newest, oldest = m.state("newest", pointer), m.state("oldest", pointer)
    newest.next(mux(start, 0, newest + 1), enable=start | scale_write)
    oldest.next(mux(start, 0, oldest + 1), enable=start | load)
    kept = Memory(m, "row_scale_ring", ROW_SCALES_KEPT, rows * 16)
    kept.write(newest, row_scales, scale_write)
    stored = kept.read(oldest)

    left = m.state("left", tokens.width + index_bits(rows), reset=0)
    row, lane = m.state("row", index_bits(rows)), m.state("lane_now", parameters.lane_bits)
    busy = m.named("busy", left != 0)
    total = concat(tokens, m.constant(0, index_bits(rows)))
    left.next(mux(start, 0, mux(load, total, mux(busy, left - 1, 0))))
    last_row = m.named("last_row", row == rows - 1)
    row.next(mux(load | last_row, 0, row + 1), enable=load | busy)
    lane.next(mux(load, 0, lane + 1), enable=load | (busy & last_row))

    chain = [m.state(f"sum_{index}", width) for index in range(lanes * rows)]
    for index, place in enumerate(chain):
        loaded = sums[index * width : (index + 1) * width]
        follower = chain[index + 1] if index + 1 < len(chain) else loaded
        place.next(mux(load, loaded, follower))
    scales = [m.state(f"row_scale_{index}", 16) for index in range(rows)]
    for index, place in enumerate(scales):
        place.next(mux(load, stored[16 * index : 16 * (index + 1)], scales[(index + 1) % rows]))
    m.output("valid", busy)
    m.output("sum", chain[0])
    m.output("row_scale", scales[0])
    if lanes > 1:
        m.output("lane", lane)
    return m
