"""How long instructions take in their units: one small function each, from the latencies that the RTL is built with."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from elastix.compiler.processor import matrix_engine, result_converter
from elastix.compiler.processor.block_sequencer import SETUP_CYCLES
from elastix.compiler.processor.step.attention_ports import (
    chunks_of,
    converters_of,
    lanes_of,
    scales_at_once,
    steps_of,
)
from elastix.compiler.processor.step.dispatcher import SETTLE_CYCLES
from elastix.compiler.processor.step.instruction_fetch import PIECE
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction, Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.score_words import word_room
from elastix.compiler.processor.step.tile_collector import latency as collector_latency
from elastix.compiler.processor.step.vector_timing import INTEGERS, Timing

BEGIN: Final = 2
"""Cycles from a count's change to the beginning of an instruction that waits for it."""
NEXT: Final = 1
"""Cycles from the end of an instruction to the beginning of the next, in units that carry out one at a time."""
REQUESTED: Final = 2
"""Cycles in which a stream is asked for data."""
DIVISION: Final = 30
"""Cycles that row blocks are divided by a number of channels that is no power of two."""


@dataclass(frozen=True)
class Pass:
    """A VECTOR instruction. wait: cycles before its first word; words; tail: from behind the last word to its end;
    hold: a reduction's, from its last word to the next reduction's last word, at least; 0: it is none."""

    wait: int
    words: int
    tail: int
    hold: int


@dataclass(frozen=True)
class Units:
    """position: of token 0; tokens: of the run."""

    parameters: StepParameters
    position: int
    tokens: int

    @cached_property
    def timing(self) -> Timing:
        return Timing(self.parameters)

    def streamed(self, each: Instruction) -> tuple[int, int, float, int]:
        """Of an instruction with data from channel 0: cycles from its beginning to its first beat, its beats, cycles
        that they take, cycles behind them. A LINEAR's CRC is among its beats."""
        match each.opcode:
            case Opcode.LINEAR:
                cycles = self.linear_block(each) * self.blocks(each)
                return SETUP_CYCLES + 2, self.linear_beats(each) + 1, cycles + 1, self.linear_tail(each) - 1
            case Opcode.SCORES:
                return 2, *self.scores(each)
            case Opcode.VALUES:
                return 2, *self.values(each)
            case Opcode.LOAD:
                return 0, *self.load(each)
            case _:
                return 0, *self.embed(each)

    def written_beats(self, each: Instruction) -> int:
        """Beats that go to memory: a row and its scale, logits."""
        get, p = each.values.get, self.parameters
        if each.opcode is Opcode.LINEAR:
            return get("row_blocks", 0) * self.tokens if get("target") == Target.MEMORY else 0
        return p.row_beats + 1 if get("target") in (Target.KEY, Target.VALUE) else 0

    def program_beats(self, instructions: int) -> int:
        """Beats of so many instructions."""
        return instructions * 8 * INSTRUCTION_BYTES // self.parameters.beat

    def visits(self, each: Instruction, first: float, end: float) -> tuple[float, float, float]:
        """When an instruction's results take the vector unit's cycles, and what share: from, until, share.

        first: its first beat, or where that would be; end: of the instruction.
        """
        p = self.parameters
        until = end - self.written
        match each.opcode:
            case Opcode.LINEAR if each.values.get("target") != Target.MEMORY:
                words = p.channels * self.tokens * max(1, p.rows // p.vector_lanes)
                share = words / self.linear_block(each)
                return first + self.linear_block(each) + matrix_engine.ROW + result_converter.LATENCY, until, share
            case Opcode.SCORES:
                cycles = self.score_cycles(each)
                return until - cycles, until, self.score_results(each) / cycles
            case Opcode.VALUES:
                return until - steps_of(p) * p.head_dim, until, p.group / (steps_of(p) * p.vector_lanes)
            case _:
                return 0.0, 0.0, 0.0

    # Vector unit.

    def vector(self, each: Instruction) -> Pass:
        """A pass over `count` elements, L a cycle."""
        get, t = each.values.get, self.timing
        operation = get("operation", 0)
        count = get("count", 0) + (self.position + get("lane", 0) if get("to_position", 0) else 0)
        words = -(-count // self.parameters.vector_lanes)
        match operation:
            case Operation.QUANTIZE:
                return Pass(t.quantizing_wait, words, INTEGERS + collector_latency(self.parameters) + 3, 0)
            case Operation.SQUARES | Operation.MEAN:
                return Pass(t.quantizing_wait, words, t.squares_finished + 2, t.squares_finished + 1)
            case Operation.EXPONENTIAL:
                return Pass(t.exponential_wait, words, t.exponential_finished + 2, t.exponential_finished + 1)
            case _:
                return Pass(0, words, self.written, 0)

    @cached_property
    def written(self) -> int:
        """From behind an instruction's last word to its end: results are written, and their maximum."""
        return self.timing.maximum_written + 3

    # Matrix unit.

    def linear_beats(self, each: Instruction) -> int:
        """Beats of channel 0, which has the most, without the CRC."""
        return self.blocks(each) * each.values["block_beats"]

    def blocks(self, each: Instruction) -> int:
        """Row blocks of channel 0."""
        return -(-each.values["row_blocks"] // self.parameters.channels)

    def linear_block(self, each: Instruction) -> float:
        """Cycles from a row block to the next: its beats, or its results where those take longer."""
        p = self.parameters
        converted = p.rows * self.tokens
        gathered = self.tokens * self.linear_result(each)
        # So many blocks find room for their results, which they hold until they are gathered.
        under_way = p.result_slots // (p.rows * self.tokens)
        held = matrix_engine.ROW + converted + result_converter.LATENCY + gathered
        return max(each.values["block_beats"], converted, p.channels * gathered, held / under_way)

    def linear_result(self, each: Instruction) -> int:
        """Cycles that a beat of R results takes on its way to the vector engine or to memory."""
        get, p = each.values.get, self.parameters
        words = 1 if get("target") == Target.MEMORY else max(1, p.rows // p.vector_lanes)
        return max(words + 2, max(p.rows, 3) + 3 if get("arg_max") else 0)

    def linear_tail(self, each: Instruction) -> int:
        """From a LINEAR's last beat but the CRC to its end."""
        p = self.parameters
        last_block = matrix_engine.ROW + p.rows * self.tokens + result_converter.LATENCY
        last_round = 1 + (each.values["row_blocks"] - 1) % p.channels
        sent = last_round * self.linear_result(each)
        if each.values.get("target") == Target.MEMORY:
            return last_block + sent
        return last_block + sent + self.written - 2

    def linear_results(self, each: Instruction) -> int:
        """From the end of the LINEAR before, which results wait for, to the end: they are gathered, and written."""
        sent = each.values["row_blocks"] * self.tokens * self.linear_result(each)
        return sent if each.values.get("target") == Target.MEMORY else sent + self.written

    # Attention unit.

    def rows(self, each: Instruction) -> tuple[int, int]:
        """Rows that come from memory by channel 0, which has the most, and those of this run."""
        return self.parameters.rows_on(0, self.position), each.values.get("lane", 0) + 1

    def scale_beats(self, rows: int) -> int:
        """Beats of one kind of scales."""
        return -(-16 * rows // self.parameters.beat)

    def score_results(self, each: Instruction) -> float:
        """Cycles of the vector unit that the words of scores take, of all channels."""
        p = self.parameters
        return p.group * (self.position + each.values.get("lane", 0) + 1) / p.vector_lanes

    def score_cycles(self, each: Instruction) -> float:
        """From the first row of keys to the last word of scores: bytes of rows, or words where those take longer."""
        rows, own = self.rows(each)
        return max(chunks_of(self.parameters) * (rows + own), self.score_results(each))

    def scores(self, each: Instruction) -> tuple[int, float, int]:
        """Beats of the stream, cycles that they take, cycles behind them."""
        p = self.parameters
        rows, own = self.rows(each)
        scales = self.scale_beats(rows)
        results = self.score_cycles(each)
        scale_cycles = 2 * scales * (p.beat // 16) // scales_at_once(p)
        tree = (lanes_of(p) - 1).bit_length()
        tail = 2 * own + tree + steps_of(p) + result_converter.LATENCY + self.written + 5
        beats = 2 * scales + rows * p.row_beats
        if p.attention_channels == 1:
            row = results / (rows + own)
            return beats, scale_cycles + row * rows, tail + math.ceil(row * own)
        # Words wait on their channels: rows are read while they find room there.
        fill = chunks_of(p) * min(rows, p.vector_lanes)
        waiting = p.attention_channels * word_room(p) * converters_of(p)
        read = max(chunks_of(p) * rows, results - waiting + fill)
        return beats, scale_cycles + read, tail + math.ceil(max(chunks_of(p) * own, fill + results - read))

    def values(self, each: Instruction) -> tuple[int, int, int]:
        """As `scores`; sums of channels come together in a tree."""
        p = self.parameters
        rows, own = self.rows(each)
        row = chunks_of(p)
        tail = row * own + _flush(p) + 1 + self.value_results + result_converter.LATENCY + self.written + 2
        return rows * p.row_beats, row * rows, tail

    @property
    def value_results(self) -> int:
        """Cycles that results of VALUES take."""
        p = self.parameters
        return max(steps_of(p), p.group // p.vector_lanes) * p.head_dim

    def attention_busy(self, each: Instruction, following: Instruction) -> int:
        """From the last beat of an instruction until the next is taken; results of VALUES go out before any rows of the
        next, while it reads scales: what they take longer counts here too."""
        p = self.parameters
        rows, own = self.rows(each)
        read = chunks_of(p) * own + 1
        if each.opcode is not Opcode.VALUES:
            return read
        scales = 0
        if following.opcode is Opcode.SCORES:
            scales = 2 * self.scale_beats(rows) * (p.beat // 16) // scales_at_once(p) + 2 * own
        return read + max(0, _flush(p) + 1 + steps_of(p) * p.head_dim - scales)

    # Loader.

    def load(self, each: Instruction) -> tuple[int, int, int]:
        """Beats, cycles that they take, cycles behind them."""
        p, count = self.parameters, each.values["count"]
        beats = -(-32 * count // p.beat)
        return beats, -(-count // min(p.rows, p.vector_lanes)), 2

    def embed(self, each: Instruction) -> tuple[int, int, int]:
        """As `load`: a header, then groups, whose planes come before their columns leave one by one."""
        get = each.values.get
        tiles, bits = get("tiles", 0), get("bits", 0)
        groups = -(-tiles // get("group_tiles", 1))
        return get("block_beats", 0), get("header_words", 0) + 2 * groups + tiles * (2 * bits + 1 + 32), 13

    # Dispatcher.

    def dispatch(self, each: Instruction) -> int:
        """Cycles from an instruction's turn to the next one's: it arrives, is looked at, asks for data, is pushed."""
        p, get = self.parameters, each.values.get
        cycles = SETTLE_CYCLES + 2 + max(1, 8 * INSTRUCTION_BYTES // p.beat)
        if each.opcode in (Opcode.LINEAR, Opcode.EMBED) and p.channels & (p.channels - 1):
            cycles += DIVISION
        match each.opcode:
            case Opcode.LINEAR:
                return cycles + _product(get("bits", 0)) + p.channels * REQUESTED
            case Opcode.EMBED:
                places = _product(get("bits", 0)) + _product(get("block_beats", 0))
                return cycles + places + (2 if p.channels > 1 else 0) + REQUESTED
            case Opcode.LOAD:
                return cycles + _product(self.position + get("lane", 0)) + REQUESTED
            case Opcode.SCORES:
                asked = 3 * REQUESTED * p.attention_channels
                return cycles + (2 * _product(1) + _product(0) + asked if self.position else 0)
            case Opcode.VALUES:
                return cycles + (_product(0) + REQUESTED * p.attention_channels if self.position else 0)
            case _:
                return cycles

    def fetch(self, latency: float) -> float:
        """Cycles an instruction that the program takes to come, a piece at a time."""
        beats = max(1, 8 * INSTRUCTION_BYTES // self.parameters.beat)
        return (latency + 8 + PIECE * beats) / PIECE


def _flush(p: StepParameters) -> int:
    """From the last chunk of VALUES: until its products are in the accumulators, and until the scores that came before
    are on their way, which go through the same converters."""
    return max(5, lanes_of(p).bit_length() - 1) + p.attention_channels.bit_length() - 1


def _product(factor: int) -> int:
    """Cycles of a multiplication, a bit of the factor a cycle."""
    return factor.bit_length() + 2
