"""From the program in memory to the units: fetch, dispatch, queues, counts."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat
from elastix.compiler.processor.axi import ADDRESS_BITS
from elastix.compiler.processor.step.completion_counters import completion_counters
from elastix.compiler.processor.step.dispatcher import dispatcher, units
from elastix.compiler.processor.step.instruction_fetch import NUMBER_BITS, instruction_fetch
from elastix.compiler.processor.step.instructions import Unit
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.processor.step.unit_queue import side_bits, unit_queue

FETCH_INPUTS = ("clear", "start", "number", "in_valid", "in_data")
FETCH_OUTPUTS = ("io_start", "io_address", "io_beats")
REQUEST_OUTPUTS = ("request_valid", "request_address", "request_count", "request_block_beats", "request_consumer")


def sequencer(p: StepParameters) -> Module:
    """From the program in memory to the units: fetch, dispatch, queues, counts.

    start, clear, number, io_*, in_*: as instruction_fetch; tokens, position, token_<m>, request_*, quiet, bad, ended:
    as dispatcher. Of each unit: begin_<unit>, taken_<unit>, instruction_<unit>, done_<unit>, and <name>_<unit> as
    side_bits of unit_queue names. finishing: a bit a unit, an instruction finishes in this cycle. bad_address: byte
    address of the instruction that `bad` is about.
    """
    m = Module("sequencer", sequencer.__doc__, asdict(p))
    clear = m.input("clear")
    widths = {"start": 1, "number": NUMBER_BITS, "in_valid": 1, "in_data": p.beat}
    ready = m.wire("instruction_ready", 1)
    fetch = m.instance(
        "fetch",
        instruction_fetch(p),
        clear=clear,
        ready=ready,
        **{name: m.input(name, width) for name, width in widths.items()},
    )
    for name in FETCH_OUTPUTS:
        m.output(name, fetch[name])

    there = units(p)
    finished = {unit: m.wire(f"finished_{unit.name.lower()}", 16) for unit in Unit}
    room = {unit: m.wire(f"room_{unit.name.lower()}", 1) for unit in there}
    units_idle = m.wire("units_idle", 1)
    module = dispatcher(p)
    given = {name: m.input(name, module.inputs[name]) for name in ("tokens", "position", "request_ready", "quiet")}
    given |= {name: m.input(name, 32) for name in module.inputs if name.startswith("token_")}
    dispatch = m.instance(
        "dispatch",
        module,
        clear=clear,
        valid=fetch["valid"],
        instruction=fetch["instruction"],
        reserved=fetch["reserved"],
        units_idle=units_idle,
        **given,
        **{f"room_{unit.name.lower()}": room[unit] for unit in there},
        **{f"finished_{unit.name.lower()}": finished[unit] for unit in there},
    )
    ready.assign(dispatch["ready"])
    for name in (*REQUEST_OUTPUTS, "bad", "ended"):
        m.output(name, dispatch[name])
    number = m.register("bad_number", fetch["number_out"])
    m.output("bad_address", concat(number, m.constant(0, ADDRESS_BITS - NUMBER_BITS)))

    done = {unit: m.input(f"done_{unit.name.lower()}") if unit in there else m.constant(0, 1) for unit in Unit}
    queues = {unit: _queue(m, p, unit, clear, fetch, dispatch, finished) for unit in there}
    skipped = {unit: queues[unit]["skipped"] if unit in there else m.constant(0, 1) for unit in Unit}
    counts = m.instance(
        "counts",
        completion_counters(),
        clear=clear,
        **{f"done_{unit.name.lower()}": done[unit] for unit in Unit},
        **{f"skipped_{unit.name.lower()}": skipped[unit] for unit in Unit},
    )
    for unit in Unit:
        finished[unit].assign(counts[f"finished_{unit.name.lower()}"])
    for unit in there:
        room[unit].assign(queues[unit]["room"])
    units_idle.assign(concat(*(each["idle"] for each in queues.values())).all())
    m.output("finishing", concat(*(done[unit] | skipped[unit] for unit in reversed(Unit))))
    return m


def _queue(
    m: Module,
    p: StepParameters,
    unit: Unit,
    clear: Signal,
    fetch: Mapping[str, Signal],
    dispatch: Mapping[str, Signal],
    finished: Mapping[Unit, Signal],
) -> Mapping[str, Signal]:
    """The queue of a unit, and its ports."""
    name = unit.name.lower()
    sides = {f"in_{side}": dispatch["position_of_lane" if side == "position" else side] for side in side_bits(p, unit)}
    parts = m.instance(
        f"{name}_queue",
        unit_queue(p, unit),
        clear=clear,
        push=dispatch[f"push_{name}"],
        skip=dispatch["skip"],
        taken=m.input(f"taken_{name}"),
        in_instruction=fetch["instruction"],
        **sides,
        **{f"finished_{other.name.lower()}": finished[other] for other in Unit},
    )
    for port in ("begin", "instruction", *side_bits(p, unit)):
        m.output(f"{port}_{name}", parts[port])
    return parts
