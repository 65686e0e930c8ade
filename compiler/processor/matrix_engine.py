"""One channel's engine: a stream of bit planes in, fp32 results out, one beat a cycle."""

from collections.abc import Mapping

from elastix.compiler.circuit import Module, Signal, concat, select
from elastix.compiler.processor import dot_tree, result_converter, row_unit, scale_decoder
from elastix.compiler.processor.activation_buffer import READ_LATENCY, activation_buffer
from elastix.compiler.processor.block_sequencer import block_sequencer
from elastix.compiler.processor.parameters import COLUMNS, MAX_BITS, ProcessorParameters, index_bits
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.result_collector import result_collector
from elastix.compiler.processor.result_drain import result_drain
from elastix.compiler.processor.scale_decoder import FINE_BITS

# Cycles after a beat is taken: weights meet activations; planes are added; group sums; products; row sums.
MEET = READ_LATENCY
ADD = MEET + row_unit.ADD_AT
GROUP = MEET + row_unit.GROUP_SUM_AT
PRODUCT = MEET + row_unit.PRODUCT_AT
ROW = MEET + row_unit.LATENCY
CONFIGURATION = MEET + 3
"""Cycles after `start`: what came before it has met its scales and zero points, and nothing that comes after it."""


def matrix_engine(parameters: ProcessorParameters) -> Module:
    """The ports of README.md. Nothing waits after a beat is taken: room for a block's results is reserved before."""
    m = Module("matrix_engine", "Stream of bit planes in, fp32 results out.")
    forget, start = m.input("clear"), m.input("start")
    tokens = _Configuration(m, parameters, start)
    write = {name: m.input(name, width) for name, width in _write_ports(parameters).items()}
    x_ready, w_valid, w_data = m.input("x_ready"), m.input("w_valid"), m.input("w_data", parameters.beat)
    y_ready = m.input("y_ready")

    room = m.wire("room", 1)
    beat = m.instance(
        "sequencer",
        block_sequencer(parameters),
        clear=forget,
        start=start,
        x_ready=x_ready,
        w_valid=w_valid,
        room=room,
        **tokens.sequence,
    )
    block_ends = delay_event(m, "end_block", beat["last_of_block"], ROW, forget)
    clear = m.register("clear_sums", forget | block_ends[ROW - 1], reset=0)
    weights = delay_stages(m, "weights", w_data, MEET)[MEET]
    controls = _RowControls(m, parameters, beat, weights, forget, clear, tokens)
    sums = list[Signal]()
    for lane in range(parameters.lanes):
        tile = _activations(m, parameters, lane, write, beat["tile"])
        sums += controls.rows(lane, tile)
    drain = m.instance(
        "drain",
        result_drain(parameters),
        start=forget,
        load=block_ends[ROW],
        tokens=tokens.tokens[0 : index_bits(parameters.lanes + 1)],
        sums=concat(*reversed(sums)),
        scale_write=controls.row_scale_write,
        row_scales=concat(*(weights[COLUMNS * r : COLUMNS * r + 16] for r in reversed(range(parameters.rows)))),
    )
    exponents = [
        m.register(f"exponent_{lane}", write["e_data"], enable=write["e_write"] & (write["e_lane"] == lane))
        for lane in range(parameters.lanes)
    ]
    converted = m.instance(
        "converter",
        result_converter.result_converter(parameters),
        clear=forget,
        valid=drain["valid"],
        sum=drain["sum"],
        row_scale=drain["row_scale"],
        exponent=select(drain["lane"], exponents) if parameters.lanes > 1 else exponents[0],
    )
    collected = m.instance(
        "collector",
        result_collector(parameters),
        start=forget,
        tokens=tokens.tokens,
        push=converted["result_valid"],
        result=converted["result"],
        end_block=beat["last_of_block"],
        y_ready=y_ready,
    )
    room.assign(collected["room"])
    overflow = m.state("overflow_seen", 1, reset=0)
    overflow.next(~forget & (overflow | converted["overflow"]))
    m.output("w_ready", beat["w_ready"])
    m.output("idle", beat["idle"])
    for port in ("y_valid", "y_data", "y_lane", "y_block", "y_last"):
        m.output(port, collected[port])
    m.output("overflow", overflow)
    m.output("stall_output", beat["stall_output"])
    return m


class _Configuration:
    """The configuration ports, stable from `start` on; what scales and zero points are read by changes later."""

    def __init__(self, m: Module, parameters: ProcessorParameters, start: Signal) -> None:
        t = parameters.tile_count_bits
        bits, scale_format = m.input("bits", 4), m.input("scale_format", 2)
        tiles, group_tiles = m.input("tiles", t), m.input("group_tiles", 4)
        c9, self.blocks = m.input("c9", 9), m.input("blocks", 32)
        header_words, self.tokens = m.input("header_words", 16), m.input("tokens", 4)
        switch = delay_stages(m, "start", start, CONFIGURATION - 1)[-1]
        self.bits = m.register("bits_of_scales", bits[0:3], enable=switch)
        self.scale_format = m.register("format_of_scales", scale_format, enable=switch)
        self.c9 = m.register("c9_of_scales", c9, enable=switch)
        self.sequence = {
            "bits": bits,
            "scale_format": scale_format,
            "tiles": tiles,
            "group_tiles": group_tiles,
            "blocks": self.blocks,
            "header_words": header_words,
        }


def _write_ports(parameters: ProcessorParameters) -> dict[str, int]:
    return {
        "x_write": 1,
        "x_lane": parameters.lane_bits,
        "x_tile": parameters.tile_index_bits,
        "x_data": parameters.tile_bits,
        "x_sum": parameters.sum_bits,
        "e_write": 1,
        "e_lane": parameters.lane_bits,
        "e_data": 16,
    }


def _activations(
    m: Module, parameters: ProcessorParameters, lane: int, write: Mapping[str, Signal], tile: Signal
) -> Mapping[str, Signal]:
    return m.instance(
        f"activations_{lane}",
        activation_buffer(parameters),
        write=write["x_write"] & (write["x_lane"] == lane),
        write_tile=write["x_tile"],
        data=write["x_data"],
        data_sum=write["x_sum"],
        tile=tile,
    )


class _RowControls:
    """What every row needs besides activations, each at its own cycle of the pipeline."""

    def __init__(
        self,
        m: Module,
        parameters: ProcessorParameters,
        beat: Mapping[str, Signal],
        weights: Signal,
        forget: Signal,
        clear: Signal,
        configuration: _Configuration,
    ) -> None:
        self.m, self.parameters, self.weights, self.clear = m, parameters, weights, clear
        self.row_scale_write = delay_event(m, "row_scale_beat", beat["row_scale_beat"], MEET, forget)[MEET]

        def at(name: str, cycles: int) -> Signal:
            return delay_stages(m, name, beat[name], cycles)[cycles]

        decoded = m.instance(
            "decoder",
            scale_decoder.scale_decoder(parameters),
            bits=configuration.bits,
            scale_format=configuration.scale_format,
            c9=configuration.c9,
            write=delay_event(m, "header_beat", beat["header_beat"], MEET, forget)[MEET],
            write_word=at("header_word", MEET),
            data=weights,
            read_word=at("scale_word", MEET),
            slot=at("scale_slot", MEET),
            plane=at("plane", MEET),
        )
        self.digits, self.fines, self.bits = decoded["digits"], decoded["fines"], configuration.bits
        self.scales = delay_stages(m, "scales", decoded["scales"], GROUP - MEET - scale_decoder.SCALE_LATENCY)[-1]
        self.add = delay_event(m, "data_beat", beat["data_beat"], ADD, forget)[ADD]
        self.first_of_plane, self.first_of_group = at("first_of_plane", ADD), at("first_of_group", ADD)
        self.accumulate = delay_event(m, "last_of_group", beat["last_of_group"], PRODUCT, forget)[PRODUCT]

    def rows(self, lane: int, tile: Mapping[str, Signal]) -> list[Signal]:
        """The row sums of one lane, row 0 first."""
        m, unit = self.m, row_unit.row_unit(self.parameters)
        *_, early, x_sum = delay_stages(m, f"x_sum_of_{lane}", tile["x_sum"], dot_tree.LATENCY)
        x_fine = m.register(f"x_fine_of_{lane}", _fine(self.bits, early))
        return [
            m.instance(
                f"row_{row}_of_{lane}",
                unit,
                weight=self.weights[COLUMNS * row : COLUMNS * (row + 1)],
                x=tile["x"],
                pairs=tile["pairs"],
                x_sum=x_sum,
                x_fine=x_fine,
                digit=self.digits[2 * row : 2 * row + 2],
                fine=self.fines[row],
                scale=self.scales[8 * row : 8 * row + 8],
                add=self.add,
                first_of_plane=self.first_of_plane,
                first_of_group=self.first_of_group,
                accumulate=self.accumulate,
                clear=self.clear,
            )["sum"]
            for row in range(self.parameters.rows)
        ]


def _fine(bits: Signal, x_sum: Signal) -> Signal:
    """8·2^−n·x_sum where codes of `bits` have n = 1 … 3 fine bits."""
    wide = x_sum.sext(x_sum.width + 2)
    shifts = [3 - min(max(FINE_BITS[b], 1), 3) for b in (MAX_BITS, *range(1, MAX_BITS))]
    return select(bits, [wide << shift for shift in shifts])
