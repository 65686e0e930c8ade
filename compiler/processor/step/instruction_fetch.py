"""Reads the program ahead of the dispatcher."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.fifo import fifo
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS
from elastix.compiler.processor.step.instructions import FIELDS, INSTRUCTION_BYTES, Opcode
from elastix.compiler.processor.step.parameters import StepParameters

AHEAD = 8
"""Instructions in the FIFO."""
PIECE = 4
"""Instructions of an aligned piece of the program, which is asked for at once."""
NUMBER_BITS = ADDRESS_BITS - (INSTRUCTION_BYTES.bit_length() - 1)
OPCODE_BITS = 3


def opcodes(p: StepParameters) -> tuple[Opcode, ...]:
    """The instructions that the processor has."""
    left_out = set[Opcode]()
    if "attention" not in p.features:
        left_out |= {Opcode.SCORES, Opcode.VALUES}
    if "embed" not in p.features:
        left_out |= {Opcode.EMBED}
    return tuple(opcode for opcode in Opcode if opcode not in left_out)


def instruction_fetch(p: StepParameters) -> Module:
    """Reads the program ahead of the dispatcher, a piece of 256 bytes at a time, up to the one that has END.

    start (pulse): the program at `number` times 64 bytes. io_start, io_address, io_beats: a request to the reader of
    m_axi_io, whose beats come back on in_valid, in_data. valid, ready, instruction, `number_out` (64 bytes each, so its
    address): the stream. `reserved`, right from the cycle after `valid` rose: a bit that means nothing is set. clear
    (pulse, before or with start): nothing is under way, and what comes goes nowhere.
    """
    m = Module("instruction_fetch", instruction_fetch.__doc__, asdict(p))
    beats = INSTRUCTION_BITS // p.beat
    clear, start, number = m.input("clear"), m.input("start"), m.input("number", NUMBER_BITS)
    in_valid, in_data = m.input("in_valid"), m.input("in_data", p.beat)
    ready = m.input("ready")

    # A piece is asked for when it has room and all of the one before has come without END.
    active, asking = m.state("active", 1, reset=0), m.state("asking", 1, reset=0)
    piece_bits, room_bits = PIECE.bit_length(), AHEAD.bit_length()
    next_number = m.state("next_number", NUMBER_BITS)
    in_piece = m.constant(PIECE, piece_bits) - next_number[0 : piece_bits - 1].zext(piece_bits)
    missing = m.state("missing_beats", (PIECE * beats).bit_length(), reset=0)
    room = m.state("room", room_bits, reset=AHEAD)
    leaves = m.wire("leaves", 1)
    asking.next(active & ~clear & ~asking & ~missing.any() & (room >= PIECE))
    ask = m.named("ask", asking & active & ~clear)
    asked = mux(ask, in_piece, 0)
    beats_of_piece = in_piece.zext(missing.width) << (beats.bit_length() - 1)
    missing.next(mux(clear, 0, mux(ask, beats_of_piece, missing - in_valid.zext(missing.width))))
    room.next(mux(clear, AHEAD, room - asked.zext(room_bits) + leaves.zext(room_bits)))
    next_number.next(mux(start, number, next_number + asked.zext(NUMBER_BITS)))
    m.output("io_start", ask)
    m.output("io_address", next_number.zext(ADDRESS_BITS - offset_bits(p.beat)) << (beats.bit_length() - 1))
    m.output("io_beats", beats_of_piece.zext(32))

    arriving = m.named("arriving", in_valid & missing.any() & ~clear)
    arriving_beat = _beat_counter(m, "arriving_beat", clear, arriving, beats)
    opcode_comes = m.named("opcode_comes", arriving & (arriving_beat == 0))
    end_comes = m.named("end_comes", opcode_comes & (in_data[0:8] == Opcode.END))
    active.next(start | (active & ~clear & ~end_comes))

    # From the FIFO a beat at a time into the register that the dispatcher looks at.
    full = m.state("full", 1, reset=0)
    take = m.named("take", ~full | ready)
    words = m.instance(
        "words", fifo(max(2, AHEAD * beats), p.beat), clear=clear, push=arriving, push_data=in_data, ready=take
    )
    shift = m.named("shift", words["valid"] & take & ~clear)
    beat = _beat_counter(m, "beat", clear, shift, beats)
    full.next(~clear & mux(take, shift & (beat == beats - 1), full))
    leaves.assign(shift & (beat == beats - 1))
    instruction = m.state("instruction_q", INSTRUCTION_BITS)
    data = words["data"]
    instruction.next(concat(data, instruction[p.beat : INSTRUCTION_BITS]) if beats > 1 else data, enable=shift)
    given = m.state("number_q", NUMBER_BITS)
    given.next(mux(start, number, given + 1), enable=start | (full & ready))
    m.output("valid", full)
    m.output("instruction", instruction)
    m.output("number_out", given)
    newest = instruction[INSTRUCTION_BITS - p.beat : INSTRUCTION_BITS]
    m.output("reserved", _reserved(m, p, shift, beat, data[0:OPCODE_BITS], newest))
    return m


def _beat_counter(m: Module, name: str, clear: Signal, step: Signal, beats: int) -> Signal:
    """Counts the beats of instructions."""
    if beats == 1:
        return m.constant(0, 1)
    beat = m.state(name, index_bits(beats), reset=0)
    return beat.next(mux(clear, 0, beat + 1), enable=clear | step)


def _reserved(m: Module, p: StepParameters, shift: Signal, beat: Signal, opcode_bits: Signal, last: Signal) -> Signal:
    """Whether a bit of the instruction that is no field's is set, from its beats one after another."""
    beats = INSTRUCTION_BITS // p.beat
    shifted = m.register("shifted", shift, reset=0)
    beat_before = m.register("beat_before", beat)
    opcode = m.register("opcode", opcode_bits, enable=shift & (beat == 0))
    masks = list[Signal]()
    for value in range(1 << OPCODE_BITS):
        free = (1 << INSTRUCTION_BITS) - 1
        if value in set(opcodes(p)):
            for each in FIELDS[Opcode(value)]:
                free &= ~((each.limit - 1) << (32 * each.word + each.low))
        parts = [m.constant(free >> (p.beat * i) & ((1 << p.beat) - 1), p.beat) for i in range(beats)]
        masks.append(select(beat_before, parts))
    wrong = m.named("wrong_bits", (last & m.named("meaningless", select(opcode, masks))).any())
    reserved = m.state("reserved_q", 1)
    return reserved.next(wrong | (reserved & (beat_before != 0)), enable=shifted)
