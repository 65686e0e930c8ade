"""Which part of the stream the next beat is: header word, or tile of a plane of a group."""

from elastix.compiler.circuit import Module, Register, Signal, mux, select
from elastix.compiler.processor.header_slots import SLOT_BITS, SLOTS, lookup
from elastix.compiler.processor.parameters import MAX_GROUP_TILES, ProcessorParameters, index_bits
from elastix.compiler.processor.pipeline import delay_event

SETUP_CYCLES = 4


def block_sequencer(parameters: ProcessorParameters) -> Module:
    """Counts through header words, groups, planes and tiles; the outputs describe the beat that `take` accepts.

    `room`: the results of one more block have a place; without it the last beat of a block waits (`stall_output`).
    Configuration ports are stable from `start` on; the first beat is taken SETUP_CYCLES later at the earliest. `idle`:
    the last beat is taken, so that `start` may come. `clear`: nothing is taken until `start`, which may come with it.
    """
    m = Module("block_sequencer", "Which part of the stream the next beat is.")
    clear, start = m.input("clear"), m.input("start")
    x_ready, w_valid, room = m.input("x_ready"), m.input("w_valid"), m.input("room")
    t = parameters.tile_count_bits
    bits, scale_format = m.input("bits", 4), m.input("scale_format", 2)
    tiles, group_tiles = m.input("tiles", t), m.input("group_tiles", 4)
    blocks, header_words = m.input("blocks", 32), m.input("header_words", 16)

    running, in_header = m.state("running", 1, reset=0), m.state("in_header", 1, reset=0)
    groups = _Groups(m, parameters, bits, tiles, group_tiles)
    last_beat = m.named("last_beat", ~in_header & groups.last_of_group & ~groups.more_groups)
    ready = m.named("ready", running & x_ready & (room | ~last_beat))
    take = m.named("take", ready & w_valid)
    take_data, take_header = m.named("take_data", take & ~in_header), m.named("take_header", take & in_header)
    end_block = m.named("end_block", take & last_beat)

    header_index = m.state("header_index", 16)
    last_index = m.register("last_header_index", header_words - 1)
    last_header = m.named("last_header", header_index == last_index)
    begin_data = m.named("begin_data", take_header & last_header)
    new_block = m.named("new_block", start | end_block)
    header_index.next(mux(new_block, 0, header_index + 1), enable=new_block | take_header)
    at_row_scale = m.named("at_row_scale", header_index == 0)
    in_header.next(new_block | (in_header & ~begin_data))
    end_group = m.named("end_group", take_data & groups.last_of_group)
    groups.advance(begin_data, take_data, end_group)

    blocks_left = m.state("blocks_left", 32)
    blocks_left.next(mux(start, blocks, blocks_left - 1), enable=new_block)
    last_block = m.register("last_block", blocks_left == 1)
    some_blocks = m.register("some_blocks", blocks != 0)
    armed = m.register("armed", start, reset=0)
    restart = m.named("restart", start | clear)
    started = delay_event(m, "armed", armed, SETUP_CYCLES - 2, restart)[-1]
    ended = m.named("ended", end_block & last_block)
    running.next(~restart & ((started & some_blocks) | (running & ~ended)))
    busy = m.state("busy", 1, reset=0)
    busy.next(start | (busy & ~ended & ~(started & ~some_blocks) & ~clear))
    m.output("idle", ~busy)

    word, slot = _scale_place(m, parameters, scale_format, begin_data, end_group)
    m.output("w_ready", ready)
    m.output("stall_output", running & x_ready & w_valid & ~ready)
    m.output("row_scale_beat", take_header & at_row_scale)
    m.output("header_beat", take_header)
    m.output("header_word", header_index[0 : parameters.header_index_bits])
    m.output("data_beat", take_data)
    m.output("tile", groups.tile[0 : parameters.tile_index_bits])
    m.output("plane", groups.plane)
    m.output("first_of_plane", groups.first_of_plane)
    m.output("first_of_group", groups.first_of_plane & groups.first_plane)
    m.output("last_of_group", end_group)
    m.output("last_of_block", end_block)
    m.output("scale_word", word)
    m.output("scale_slot", slot)
    return m


class _Groups:
    """The counters of one block's groups.

    `rest_after`: tiles after the next group, negative if that one is short; then its length is `rest`, what follows
    the current group.
    """

    def __init__(
        self, m: Module, parameters: ProcessorParameters, bits: Signal, tiles: Signal, group_tiles: Signal
    ) -> None:
        self.m, t = m, parameters.tile_count_bits
        self.wide = max(t, 4) + 1
        self.group_tiles = m.named("whole_group", group_tiles.zext(self.wide))
        count = index_bits(MAX_GROUP_TILES)
        self.tile, self.base = m.state("tile_now", t), m.state("group_base", t)
        self.tiles_left, self.group_last = m.state("tiles_left", count), m.state("group_last_tile", count)
        self.plane, self.planes_left = m.state("plane_now", 3), m.state("planes_left", 3)
        self.rest, self.rest_after = m.state("rest", count), m.state("rest_after", self.wide)
        self.more_groups = m.state("more_groups", 1)
        self.first_of_plane: Register = m.state("at_plane_start", 1)
        self.first_plane: Register = m.state("in_first_plane", 1)
        self.last_of_plane = m.named("last_of_plane", self.tiles_left == 0)
        self.last_of_group = m.named("group_ends", self.last_of_plane & (self.planes_left == 0))
        # What the first group of a block starts from: functions of the configuration, registered to be quick.
        whole = m.named("row_tiles", tiles.zext(self.wide))
        self.last_plane = m.register("last_plane", mux(bits[3], 7, bits[0:3] - 1))
        self.first_length = m.register("first_length", mux(whole < self.group_tiles, whole, self.group_tiles))
        self.rest_first = m.register("rest_of_first", whole - self.first_length)
        self.rest_second = m.register("rest_of_second", self.rest_first - self.group_tiles)
        self.group_tiles_less_1 = m.register("group_tiles_less_1", (group_tiles - 1)[0:count])

    def advance(self, begin: Signal, take: Signal, end_group: Signal) -> None:
        """Registers: `begin` at the last header word, `take` at each beat of data, `end_group` at a group's last."""
        m, count = self.m, self.tiles_left.width
        moved = m.named("moved", begin | take)
        stay_in_group = m.named("stay_in_group", self.last_of_plane & (self.planes_left != 0))
        tile_after = m.named("tile_after", self.tile + 1)
        self.tile.next(mux(begin, 0, mux(stay_in_group, self.base, tile_after)), enable=moved)
        next_group = m.named("next_group", begin | end_group)
        self.base.next(mux(begin, 0, tile_after), enable=next_group)

        next_is_whole = m.named("next_is_whole", ~self.rest_after[-1])
        next_last = mux(next_is_whole, self.group_tiles_less_1, self.rest - 1)
        group_last = m.named("next_group_last", mux(begin, (self.first_length - 1)[0:count], next_last))
        self.group_last.next(group_last, enable=next_group)
        reload = mux(next_group, group_last, self.group_last)
        new_plane = m.named("new_plane", begin | self.last_of_plane)
        self.tiles_left.next(mux(new_plane, reload, self.tiles_left - 1), enable=moved)

        next_plane = m.named("next_plane", begin | (take & self.last_of_plane))
        self.plane.next(mux(next_group, 0, self.plane + 1), enable=next_plane)
        self.planes_left.next(mux(next_group, self.last_plane, self.planes_left - 1), enable=next_plane)
        self.first_of_plane.next(new_plane, enable=moved)
        self.first_plane.next(next_group, enable=next_plane)

        rest = mux(begin, self.rest_first[0:count], self.rest_after[0:count])
        self.rest.next(rest, enable=next_group)
        self.rest_after.next(mux(begin, self.rest_second, self.rest_after - self.group_tiles), enable=next_group)
        more_after = ~self.rest_after[-1] & self.rest_after.any()
        self.more_groups.next(mux(begin, self.rest_first.any(), more_after), enable=next_group)


def _scale_place(
    m: Module, parameters: ProcessorParameters, scale_format: Signal, begin: Signal, end_group: Signal
) -> tuple[Signal, Signal]:
    """Word of the header, and slot in it, of the current group's entry."""
    word, slot = m.state("scale_word_now", parameters.header_index_bits), m.state("scale_slot_now", SLOT_BITS)
    first = m.register("first_slot", lookup(m, scale_format, [slots.first for slots in SLOTS], SLOT_BITS))
    ends = [lookup(m, slot, [int(n in slots.last) for n in range(1 << SLOT_BITS)], 1) for slots in SLOTS]
    full = m.named("word_done", select(scale_format, ends))
    slot.next(mux(begin, first, mux(full, 0, slot + 1)), enable=begin | end_group)
    word.next(mux(begin, 0, word + 1), enable=begin | (end_group & full))
    return word, slot
