"""The scalar registers, and the maxima that passes and visitors leave in them (C22)."""

from elastix.compiler.circuit import Memory, Module, Signal, concat, mux
from elastix.compiler.processor.arithmetic.float_order import LEAST, order_key
from elastix.compiler.processor.pipeline import delay_event, delay_stages
from elastix.compiler.processor.step.instructions import Maximum
from elastix.compiler.processor.step.parameters import SCALAR_REGISTERS, StepParameters
from elastix.compiler.processor.step.vector_timing import Timing

REGISTER_BITS = 6
_SIGN = 1 << 31


def scalar_registers(p: StepParameters) -> Module:
    """A word a cycle of results whose maximum is tracked, registers in any order; and a port to read one.

    valid, data, tracked, maximum, max_register, first: a word of results. write, register, result: a scalar, never in
    the cycle in which a maximum is written. read: `scalar`, of `scalar_register`, one clock later, as written
    two clocks before or earlier.
    """
    lanes, levels = p.vector_lanes, Timing(p).levels
    m = Module("scalar_registers", scalar_registers.__doc__, {"lanes": lanes})
    clear, valid, data = m.input("clear"), m.input("valid"), m.input("data", 32 * lanes)
    tracked, maximum, first = m.input("tracked", lanes), m.input("maximum", 2), m.input("first")
    write, result = m.input("write"), m.input("result", 32)
    signed = m.named("signed", maximum == Maximum.SIGNED)

    # Keys order as the numbers do; that of a masked element is below all.
    level = list[Signal]()
    for lane in range(lanes):
        x = data[32 * lane : 32 * (lane + 1)]
        key = mux(signed, order_key(x), concat(m.constant(1, 1), x[0:31]))
        level.append(m.register(f"key_{lane}", mux(tracked[lane], key, 0)))
    for depth in range(levels):
        pairs = zip(level[0::2], level[1::2], strict=True)
        level = [m.register(f"larger_{depth}_{n}", mux(a > b, a, b)) for n, (a, b) in enumerate(pairs)]
    arrives = delay_event(m, "word", valid & maximum.any(), levels + 2, clear)
    registers = delay_stages(m, "register_of_word", m.input("max_register", REGISTER_BITS), levels + 2)
    anew = delay_stages(m, "anew", first & (maximum != Maximum.MAGNITUDE_KEEP), levels + 1)[-1]
    least = m.constant(_key(LEAST), 32)
    start = delay_stages(m, "start_signed", signed, levels + 1)[-1]

    # What the register holds meets the word, the larger of both waits a cycle, then it is written: a compare and the
    # memories' writes each have their cycle. The register is read two cycles before, so the three words before may be
    # its.
    keys = Memory(m, "keys", SCALAR_REGISTERS, 32)
    candidate = m.register("candidate", level[0])
    held, larger = m.state("held", 32), m.wire("larger", 32)
    # A scalar that is no maximum has a key too: what is below 0 lies below all magnitudes, that may go on from it.
    key = m.register("written_key", mux(write, result ^ _SIGN, larger))
    address = m.register("written_register", mux(write, m.input("register", REGISTER_BITS), registers[-1]))
    enable = m.register("written", write | arrives[-1], reset=0)
    last_key = m.register("key_before", key)
    ahead = m.named("word_ahead", arrives[-1] & (registers[-1] == registers[-2]))
    two_ahead = m.named("two_words_ahead", enable & (address == registers[-2]))
    three_ahead = m.register("three_words_ahead", enable & (address == registers[-3]))
    keys.write(address, key, enable)
    before = mux(two_ahead, key, mux(three_ahead, last_key, keys.read(registers[-3])))
    held.next(mux(anew, mux(start, least, _SIGN), mux(ahead, larger, before)))
    larger.assign(mux(candidate > held, candidate, held))

    numbers = Memory(m, "numbers", SCALAR_REGISTERS, 32)
    numbers.write(address, _number(key, m.register("written_scalar", write)), enable)
    m.output("scalar", numbers.read(m.input("scalar_register", REGISTER_BITS)))
    return m


def _key(number: int) -> int:
    """The key of a number given as its bits."""
    return number ^ (0xFFFFFFFF if number >> 31 else _SIGN)


def _number(key: Signal, scalar: Signal) -> Signal:
    """The number that has this key; a scalar's differs from it in the sign alone."""
    return concat(~key[31], key[0:31] ^ (~key[31] & ~scalar).replicate(31))
