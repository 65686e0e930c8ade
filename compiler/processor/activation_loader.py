"""Activation images of 64-byte slots, as tiles with their sum."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import COLUMNS, ProcessorParameters

SLOT_BITS = 512
VALUE_BITS = 16


def activation_loader(parameters: ProcessorParameters) -> Module:
    """Turns activation images into tiles with their sum, for every engine's buffer.

    Takes `tokens` images of tiles + 1 slots, a beat whenever `in_valid`, from the cycle after `start` on.

    x_* and e_* write the engines' buffers, a tile or an exponent at a time. `x_ready` (level, until the next start):
    all are written. `out_of_range` (pulse): an activation was no A-bit integer.
    """
    p = parameters
    m = Module("activation_loader", activation_loader.__doc__, asdict(p))
    beats_per_slot = SLOT_BITS // p.beat
    start, cancel = m.input("start"), m.input("cancel")
    tiles, tokens = m.input("tiles", p.tile_count_bits), m.input("tokens", 4)
    in_valid, data = m.input("in_valid"), m.input("in_data", p.beat)

    # Where the beat that comes next belongs: slot 0 of a token is its exponent, slot t + 1 is tile t.
    loading = m.state("loading", 1, reset=0)
    take = m.named("take", in_valid & loading)
    slot, lane = m.state("slot", p.tile_count_bits, reset=0), m.state("lane", p.lane_bits, reset=0)
    first_beat, last_beat = _beat_of_slot(m, start, take, beats_per_slot)
    last_slot = m.named("last_slot", slot == tiles)
    last_lane = m.named("last_lane", lane.zext(5) + 1 == tokens.zext(5))
    end_slot = m.named("end_slot", take & last_beat)
    end_image = m.named("end_image", end_slot & last_slot)
    slot.next(mux(start | last_slot, 0, slot + 1), enable=start | end_slot)
    lane.next(mux(start, 0, lane + 1), enable=start | end_image)
    loading.next(start | (loading & ~cancel & ~(end_image & last_lane)))

    is_tile = m.named("is_tile", slot.any())
    values = [data[at : at + VALUE_BITS] for at in range(0, p.beat, VALUE_BITS)]
    narrow = [value[0 : p.activation_bits] for value in values]
    outside = [value[p.activation_bits - 1 : VALUE_BITS] for value in values]
    fits = [~high.any() | high.all() for high in outside]
    m.output("out_of_range", m.register("out_of_range_q", take & is_tile & ~concat(*fits).all(), reset=0))
    m.output("e_write", m.register("e_write_q", take & first_beat & ~is_tile, reset=0))
    m.output("e_lane", m.register("e_lane_q", lane))
    m.output("e_data", m.register("e_data_q", values[0]))

    # Sums in three steps: of four values, of a beat, of the slot's beats. The values keep pace.
    wide = [value.sext(p.sum_bits) for value in narrow]
    quads = [m.register(f"quad_{i}", _sum(wide[4 * i : 4 * i + 4])) for i in range(len(wide) // 4)]
    part = m.register("part", _sum(quads))
    slices = m.delay("values", concat(*reversed(narrow)), 2)
    complete = m.delay("complete", end_slot & is_tile, 2, reset=0)
    total, tile = part, slices
    if beats_per_slot > 1:
        taken = m.delay("tile_beat", take & is_tile, 2, reset=0)
        first = m.delay("first", first_beat, 2)
        running = m.state("running_sum", p.sum_bits)
        total = m.named("total", part + mux(first, 0, running))
        running.next(total, enable=taken)
        earlier = m.state("earlier_values", COLUMNS * p.activation_bits - slices.width)
        tile = concat(slices, earlier)
        earlier.next(tile[slices.width : tile.width], enable=taken)
    m.output("x_write", m.register("x_write_q", complete, reset=0))
    m.output("x_lane", m.register("x_lane_q", m.delay("tile_lane", lane, 2)))
    m.output("x_tile", m.register("x_tile_q", m.delay("tile_index", (slot - 1)[0 : p.tile_index_bits], 2)))
    m.output("x_data", m.register("x_data_q", tile))
    m.output("x_sum", m.register("x_sum_q", total))

    all_taken = m.delay("all_taken", end_image & last_lane, 3, reset=0)
    ready = m.state("ready", 1, reset=0)
    ready.next(~start & ~cancel & (ready | all_taken))
    m.output("x_ready", ready)
    return m


def _beat_of_slot(m: Module, start: Signal, take: Signal, beats_per_slot: int) -> tuple[Signal, Signal]:
    """(the next beat is its slot's first, its last)."""
    if beats_per_slot == 1:
        return m.constant(1, 1), m.constant(1, 1)
    beat = m.state("beat_of_slot", (beats_per_slot - 1).bit_length(), reset=0)
    beat.next(mux(start, 0, beat + 1), enable=start | take)
    return beat == 0, beat == beats_per_slot - 1


def _sum(terms: list[Signal]) -> Signal:
    """A balanced tree of additions."""
    while len(terms) > 1:
        terms = [a + b for a, b in zip(terms[0::2], terms[1::2], strict=True)]
    return terms[0]
