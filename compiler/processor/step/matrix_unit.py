"""The matrix unit: an engine a channel, and what becomes of their results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux, select
from elastix.compiler.processor.matrix_engine import matrix_engine
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.result_words import result_words
from elastix.compiler.processor.step.vector_ports import activation_ports

_CONFIGURATION = ("bits", "scale_format", "c9", "tiles", "group_tiles", "header_words")


def matrix_unit(p: StepParameters) -> Module:
    """Carries out LINEARs in order: the beats of one are taken while results of the one before are on their way.

    begin, taken, instruction, blocks, more: from the unit's queue; channel c has `blocks` row blocks, and one more if
    c < `more`. tokens: of the run. x_*, e_*: to every engine. w_valid_<c>, w_data_<c>, w_ready_<c>: weights.
    matrix_*: visiting words; written: the vector engine has written one with `last`. logits_*: beats for memory.
    arg_max_<m>: of token m. done (pulse). at_work: beats of a LINEAR are to come. overflow: C6 since `clear`;
    stall_output: channels that wait for their results to drain. clear (pulse): forget everything.
    """
    m = Module("matrix_unit", matrix_unit.__doc__, asdict(p))
    clear, begin, tokens = m.input("clear"), m.input("begin"), m.input("tokens", 4)
    instruction = m.input("instruction", INSTRUCTION_BITS)
    idle, accepts = m.wire("engines_idle", p.channels), m.wire("accepts", 1)
    taken = m.named("taken_now", begin & idle.all() & accepts & ~clear)
    m.output("taken", taken)

    m.unused(instruction)
    given = {name: field(instruction, Opcode.LINEAR, name) for name in _CONFIGURATION}
    configuration = {name: m.register(f"{name}_q", value, enable=taken) for name, value in _narrowed(p, given).items()}
    blocks, more_now = m.register("blocks_q", m.input("blocks", 32), enable=taken), m.input("more", 6)
    several = p.channels > 1
    m.unused(more_now)
    more = m.register("more_q", more_now, enable=taken) if several else more_now
    # The engines' configuration stands when they start.
    start = m.register("start", taken, reset=0)
    starts = m.named("starts", start & ~clear)
    writes = {name: m.input(name, width) for name, width in activation_ports(p).items()}
    y_ready = m.wire("y_ready", p.channels)
    engines = list[Mapping[str, Signal]]()
    for c in range(p.channels):
        engines.append(
            m.instance(
                f"engine_{c}",
                matrix_engine(p),
                clear=clear,
                start=starts,
                x_ready=m.constant(1, 1),
                w_valid=m.input(f"w_valid_{c}"),
                w_data=m.input(f"w_data_{c}", p.beat),
                y_ready=y_ready[c],
                blocks=blocks + (more > c).zext(32) if several else blocks,
                tokens=tokens,
                **configuration,
                **writes,
            )
        )
        # Results come in order, tokens of a block one after another.
        for name in ("y_lane", "y_block"):
            m.unused(engines[c][name])
        m.output(f"w_ready_{c}", engines[c]["w_ready"])

    idle.assign(concat(*reversed([engine["idle"] for engine in engines])))
    first_turn = m.wire("first_turn", 1)
    turn, valid, data, last = _in_turn(m, p, engines, first_turn, y_ready)
    words = m.instance(
        "words",
        result_words(p),
        clear=clear,
        take=taken,
        instruction=instruction,
        tokens=tokens,
        y_valid=valid,
        y_data=data,
        y_last=last,
        matrix_ready=m.input("matrix_ready"),
        logits_ready=m.input("logits_ready"),
        written=m.input("written"),
    )
    y_ready.assign(concat(*reversed([words["y_ready"] & each for each in turn])))
    for name in result_words(p).outputs:
        if name.startswith(("matrix_", "logits_", "arg_max_")):
            m.output(name, words[name])
    at_work = m.state("at_work_q", 1, reset=0)
    at_work.next(~clear & (taken | (at_work & (start | ~idle.all()))))
    m.output("at_work", at_work)
    accepts.assign(words["accepts"])
    first_turn.assign(words["begins"])
    m.unused(first_turn)
    m.output("done", words["done"])
    m.output("overflow", concat(*(engine["overflow"] for engine in engines)).any())
    m.output("stall_output", concat(*reversed([engine["stall_output"] for engine in engines])))
    return m


def _narrowed(p: StepParameters, configuration: Mapping[str, Signal]) -> dict[str, Signal]:
    """The fields as wide as the engine's ports."""
    inputs = matrix_engine(p).inputs
    return {name: value[0 : inputs[name]] for name, value in configuration.items()}


def _in_turn(
    m: Module, p: StepParameters, engines: Sequence[Mapping[str, Signal]], begin: Signal, y_ready: Signal
) -> tuple[list[Signal], Signal, Signal, Signal]:
    """Row blocks in order: a channel after the other, all tokens of a block. Who has the turn, and its beat."""
    valid = [engine["y_valid"] for engine in engines]
    data, last = [engine["y_data"] for engine in engines], [engine["y_last"] for engine in engines]
    if p.channels == 1:
        return [m.constant(1, 1)], valid[0], data[0], last[0]
    index = index_bits(p.channels)
    turn = m.state("turn", index, reset=0)
    chosen_last = m.named("turn_last", select(turn, last))
    passes = m.named("turn_passes", y_ready.any() & select(turn, valid) & chosen_last)
    following = mux(turn == p.channels - 1, m.constant(0, index), turn + 1)
    turn.next(mux(begin, 0, following), enable=begin | passes)
    return [turn == c for c in range(p.channels)], select(turn, valid), select(turn, data), chosen_last
