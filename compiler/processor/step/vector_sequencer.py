"""One VECTOR instruction at a time: its words one after the other, their addresses, masks and ends."""

from collections.abc import Mapping, Sequence

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.parameters import COLUMNS, index_bits
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.vector_timing import Timing

REDUCTIONS = (Operation.SQUARES, Operation.MEAN, Operation.EXPONENTIAL)
INTEGERS = (Operation.SQUARES, Operation.MEAN, Operation.QUANTIZE)
"""What reads a alone, as integers, and writes neither memory."""
HELD = (
    ("operation", 4),
    ("maximum", 2),
    ("max_register", 6),
    ("bank", 1),
    ("target", 4),
    ("scalar_register", 6),
    ("result_register", 6),
    ("k", 32),
    ("epsilon", 32),
    ("lane", 4),
    ("head", 8),
    ("rows", 40),
    ("scales", 32),
    ("channel_stride", 24),
)
"""Fields that stand until the next instruction is taken, as outputs."""
WAIT_BITS = 4


def is_one_of(value: Signal, choices: Sequence[int]) -> Signal:
    """One bit: the value is one of these."""
    return concat(*(value == choice for choice in choices)).any()


def to_word_bits(p: StepParameters) -> int:
    """Bits of the address of a word that is written: of either memory, or of L columns of activations."""
    columns = index_bits(p.max_tiles * COLUMNS // p.vector_lanes)
    return max(p.vector_word_bits, p.constant_word_bits, columns)


def vector_sequencer(p: StepParameters) -> Module:
    """Takes instructions (`begin`, `taken`, `instruction`, `position`) and offers their words; README.md has the rules.

    taken: while `room`, and no instruction is under way; `kind` comes with the instruction (`take`): 1 its end is
    integers given out, 2 a reduction's result, 0 results written.
    offered (level): a word, which passes when `issue` is 1: mask, first, last, and word addresses: a; b, for ROTATE
    the partner, for EXPONENTIAL of value scales; late and early, of c and d by when they are wanted; to.
    reducing: the result of an earlier reduction is still to come, so the last word of another is not offered.
    What the instruction says besides stands until the next is taken.
    """
    m = Module("vector_sequencer", vector_sequencer.__doc__)
    clear, begin, issue = m.input("clear"), m.input("begin"), m.input("issue")
    room, reducing = m.input("room"), m.input("reducing")
    instruction, position = m.input("instruction", INSTRUCTION_BITS), m.input("position", ELEMENT_BITS)
    m.unused(instruction)

    active = m.state("active", 1, reset=0)
    taken = m.named("free", ~active & room)
    take = m.named("take_now", begin & taken & ~clear)
    given = m.named("operation_given", field(instruction, Opcode.VECTOR, "operation"))
    integers = m.named("integers_given", is_one_of(given, INTEGERS))
    reduces = m.named("reduction_given", is_one_of(given, REDUCTIONS))
    m.output("taken", taken)
    m.output("take", take)
    m.output("kind", concat(reduces, given == Operation.QUANTIZE))

    def hold(name: str, value: Signal) -> Signal:
        return m.register(name, value, enable=take)

    held = {name: hold(f"{name}_held", field(instruction, Opcode.VECTOR, name)) for name, _ in HELD}
    silent = hold("integers", integers)
    for name, width in HELD:
        m.output(name, mux(silent, m.constant(0, width), held[name]) if name == "maximum" else held[name])
    m.output("integers_only", silent)
    m.output("row", hold("position_held", position))
    of_row = is_one_of(held["target"], (Target.KEY, Target.VALUE))
    quantizing = m.named("quantizing", held["operation"] == Operation.QUANTIZE)
    m.output("of_row", quantizing & of_row)
    bits = hold("bits_held", field(instruction, Opcode.VECTOR, "bits")[0:5])
    m.output("bits", mux(quantizing, bits, 16))
    m.output("to_vector", ~silent & (held["target"] == Target.VECTOR))
    m.output("to_constant", ~silent & (held["target"] == Target.CONSTANT))

    timing, wait = Timing(p), m.state("wait", WAIT_BITS, reset=0)
    of_exponential = mux(given == Operation.EXPONENTIAL, timing.exponential_wait, m.constant(0, WAIT_BITS))
    first_in = mux(integers, timing.quantizing_wait, of_exponential)
    wait.next(mux(take, first_in, wait - 1), enable=take | wait.any())
    last = _words(m, p, instruction, position, take, issue)
    delayed = m.named("delayed", wait.any() | (last & hold("reduces", reduces) & reducing))
    m.output("offered", active & ~delayed)
    active.next(~clear & (take | (active & ~(issue & last))))
    _addresses(m, p, instruction, take, issue, held)
    return m


def _words(m: Module, p: StepParameters, instruction: Signal, position: Signal, take: Signal, issue: Signal) -> Signal:
    """Elements that are left, as whole words and what remains; says of the word offered whether it is the last."""
    lanes, lane_bits = p.vector_lanes, (p.vector_lanes - 1).bit_length()
    width = max(p.vector_elements.bit_length(), lane_bits + 1)
    more = position & field(instruction, Opcode.VECTOR, "to_position").replicate(ELEMENT_BITS)
    count = (field(instruction, Opcode.VECTOR, "count") + more)[0 : min(width, ELEMENT_BITS)].zext(width)
    whole = m.state("whole_words", width - lane_bits)
    whole.next(mux(take, count[lane_bits:width], whole - 1), enable=take | issue)
    some = m.named("some_whole", whole.any())
    one = m.named("one_whole", whole == 1)
    if lane_bits:
        rest = m.register("rest", count[0:lane_bits], enable=take)
        mask = concat(*(some | (rest > lane) for lane in reversed(range(lanes - 1))))
        mask = concat(some, mask)
        last = m.named("last_word", ~some | (one & ~rest.any()))
    else:
        mask, last = some, m.named("last_word", ~some | one)
    first = m.state("first_word", 1)
    first.next(take, enable=take | issue)
    m.output("mask", mask)
    m.output("first", first)
    m.output("last", last)
    return last


def _addresses(
    m: Module,
    p: StepParameters,
    instruction: Signal,
    take: Signal,
    issue: Signal,
    held: Mapping[str, Signal],
) -> None:
    lanes, lane_bits = p.vector_lanes, (p.vector_lanes - 1).bit_length()

    def word(name: str, bits: int) -> Signal:
        element = field(instruction, Opcode.VECTOR, name)[lane_bits:ELEMENT_BITS]
        return element[0:bits] if element.width >= bits else element.zext(bits)

    given = field(instruction, Opcode.VECTOR, "operation")
    rotates = "rotate" in p.features
    rotate_given = given == Operation.ROTATE
    to_bits = to_word_bits(p)
    index = m.state("word", to_bits)
    index.next(mux(take, 0, index + 1), enable=take | issue)
    vector_index = index[0 : p.vector_word_bits]
    a_first = m.register("a_first", word("a", p.vector_word_bits), enable=take)
    m.output("a", a_first + vector_index)
    b_given = word("b", p.vector_word_bits)
    if "attention" in p.features:
        b_given = mux(given == Operation.EXPONENTIAL, 0, b_given)
    b_first, b_index = m.register("b_first", b_given, enable=take), vector_index
    half = p.head_dim // 2 // lanes
    if rotates:
        b_first = mux(held["operation"] == Operation.ROTATE, a_first, b_first)
        if half:
            other = m.named("other_half", (held["operation"] == Operation.ROTATE).zext(p.vector_word_bits))
            b_index = vector_index ^ (other << half.bit_length() - 1)
    m.output("b", b_first + b_index)
    m.output("to", m.register("to_first", word("to", to_bits), enable=take) + index)

    constants = p.constant_word_bits
    period_given = field(instruction, Opcode.VECTOR, "period")[lane_bits:16]
    period_bits = min(period_given.width, constants)
    period = m.register("period", period_given[0:period_bits], enable=take)
    place = m.state("place_in_period", constants)
    after = m.named("next_place", place + 1)
    wrap = m.named("period_ends", after == period.zext(constants))  # never with a period of 0
    place.next(mux(take | wrap, 0, after), enable=take | issue)
    c, d = word("c", constants), word("d", constants)
    late = mux(rotate_given, d, c) if rotates else c
    m.output("late", m.register("late_first", late, enable=take) + place)
    if rotates or "normalize_shift" in p.features:
        early = mux(rotate_given, c, d) if rotates else d
        m.output("early", m.register("early_first", early, enable=take) + place)
