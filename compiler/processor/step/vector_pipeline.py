"""Memories and lanes of the vector engine: from the addresses of a word to what is written, summed or given out."""

from collections.abc import Mapping, Sequence

from elastix.compiler.circuit import Module, Signal, Wire, concat, mux
from elastix.compiler.processor.arithmetic.quantizer import POWER_BITS, R_BITS
from elastix.compiler.processor.pipeline import delay_stages
from elastix.compiler.processor.step.attention_ports import input_group, scale_word_bits
from elastix.compiler.processor.step.delay_line import delay_line
from elastix.compiler.processor.step.instructions import Operation
from elastix.compiler.processor.step.operation_decode import operation_decode
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.quantize_stage import quantize_stage
from elastix.compiler.processor.step.vector_issue import own_ports, wants_early
from elastix.compiler.processor.step.vector_lane import vector_lane
from elastix.compiler.processor.step.vector_memory import vector_memory
from elastix.compiler.processor.step.vector_ports import load_ports
from elastix.compiler.processor.step.vector_sequencer import INTEGERS as INTEGER_OPERATIONS
from elastix.compiler.processor.step.vector_sequencer import is_one_of
from elastix.compiler.processor.step.vector_timing import ADDRESS, INTEGERS, PRODUCT, READ, Timing

CARRIED = ("to", "max_register", "maximum", "first", "last", "visiting", "of_attention", "tracked")
"""Fields of a word that come out with its result."""
GIVEN_OUT = INTEGERS + 1
"""Integers, 0 where masked, are there."""


def word_ports(p: StepParameters) -> dict[str, int]:
    """Fields of a word as it enters, and their bits: those that vector_issue gives out."""
    extra = {"valid": 1, "tracked": p.vector_lanes, "visiting": 1, "of_attention": 1, "data": 32 * p.vector_lanes}
    return own_ports(p) | extra


def vector_pipeline(p: StepParameters) -> Module:
    """A word a cycle in, by its fields word_* at ADDRESS; nothing waits. Everything has its cycle by vector_timing.py.

    scalar, of the instruction, at READ; fixed_maximum, r, power and bits stand while its words want them.
    scale_word, scale_bank: value scales that are wanted; scale_data two cycles later. load_*: the loader's words, one
    written in each cycle in which no result is.
    Out, as it is written: result_valid, result_data, CARRIED as result_<name>, and result_plain: its instruction ends
    with its last word. Integers, 0 where masked:
    integers, integers_<valid, quantized, mean, first, last, to, mask>; valid says of the integer operations. Likewise
    p and p_<valid, first, last>. overflow (pulse): C6 applied to an element that counts.
    """
    timing, lanes = Timing(p), p.vector_lanes
    m = Module("vector_pipeline", vector_pipeline.__doc__)
    clear, word, scalar = m.input("clear"), input_group(m, "word", word_ports(p)), m.input("scalar", 32)
    alive = _alive(m, clear, concat(word["valid"], word["mask"]), timing.result)
    decode = m.instance("decode", operation_decode(p), operation=word["operation"])

    # Operands that are wanted later are asked for later.
    late = concat(word["bank"], word["b"], word["late"])
    line = delay_line(timing.late_address - ADDRESS, late.width)
    late = m.instance("late_addresses", line, value=late)["delayed"]
    late_c, late_b = late[0 : p.constant_word_bits], late[p.constant_word_bits : late.width - 1]
    early = (word["early"],) if wants_early(p) else ()
    writes = {name: m.wire(f"write_{name}", width) for name, width in _write_ports(p).items()}
    vector, early_data, late_data = _memories(m, p, writes, (word["a"], late_b), (late_c, *early))
    scale_data = m.input("scale_data", 16 * lanes)
    if timing.attention:
        m.output("scale_word", _fit(late_b, scale_word_bits(p)))
        m.output("scale_bank", late[late.width - 1])
    else:
        m.unused(scale_data)
        m.unused(late)

    shared = dict(decode)
    shared |= {"visiting": delay_stages(m, "visiting", word["visiting"], READ - ADDRESS)[-1], "scalar": scalar}
    scalar_later = delay_line(timing.factors - READ, 32)
    shared["subtrahend"] = m.instance("subtrahend", scalar_later, value=scalar ^ (1 << 31))["delayed"]
    if timing.attention:
        shared["fixed_maximum"] = m.input("fixed_maximum", 32)
    visitor = delay_stages(m, "visitor", word["data"], READ - ADDRESS)[-1]
    b = _partner(m, p, vector[1], decode.get("partner"))
    per_lane = {"visitor": visitor, "read": vector[0], "b": b, "late": late_data, "value_scale": scale_data}
    if early_data is not None:
        per_lane["early"] = early_data
    unit, found = vector_lane(p), list[Mapping[str, Signal]]()
    for lane in range(lanes):
        ports = {name: _element(value, lane, lanes) for name, value in per_lane.items()} | shared
        found.append(m.instance(f"lane_{lane}", unit, **{name: ports[name] for name in unit.inputs}))

    _integers(m, p, word, alive, concat(*(each["a"] for each in reversed(found))))
    if timing.attention:
        _powers(m, p, word, alive, found)
    _overflow(m, p, alive, decode, found)
    _results(m, p, word, alive, found, writes)
    return m


def _alive(m: Module, clear: Signal, first: Signal, last_cycle: int) -> list[Signal]:
    """By cycle, from ADDRESS on: a bit for a word that is there, above a bit for each of its elements that counts."""
    stages = [first] * (ADDRESS + 1)
    for cycle in range(ADDRESS + 1, last_cycle + 1):
        stages.append(m.register(f"alive_{cycle}", mux(clear, 0, stages[-1]), reset=0))
    return stages


def _fit(value: Signal, bits: int) -> Signal:
    return value[0:bits] if value.width >= bits else value.zext(bits)


def _element(word: Signal, lane: int, lanes: int) -> Signal:
    bits = word.width // lanes
    return word[bits * lane : bits * (lane + 1)]


def _write_ports(p: StepParameters) -> dict[str, int]:
    lanes, to_bits = p.vector_lanes, max(p.vector_word_bits, p.constant_word_bits)
    return {"vector_mask": lanes, "constant_mask": lanes, "address": to_bits, "data": 32 * lanes}


def _memories(
    m: Module, p: StepParameters, writes: Mapping[str, Signal], vector: Sequence[Signal], constant: Sequence[Signal]
) -> tuple[tuple[Signal, Signal], Signal | None, Signal]:
    """What is read: (a, b) of vector memory; early and late of constant memory."""
    lanes, found = p.vector_lanes, list[Mapping[str, Signal]]()
    for name, elements, addresses in (
        ("vector", p.vector_elements, vector),
        ("constant", p.constant_elements, constant),
    ):
        found.append(
            m.instance(
                f"{name}_memory",
                vector_memory(-(-elements // lanes), lanes, len(addresses)),
                write_mask=writes[f"{name}_mask"],
                write_address=_fit(writes["address"], addresses[0].width),
                write_data=writes["data"],
                **{f"read_address_{port}": address for port, address in enumerate(addresses)},
            )
        )
    both = found[0]["read_data_0"], found[0]["read_data_1"]
    return both, found[1].get("read_data_1"), found[1]["read_data_0"]


def _partner(m: Module, p: StepParameters, b: Signal, rotates: Signal | None) -> Signal:
    """Where half a head is less than a word, ROTATE's partners are in the same word: halves of heads change places."""
    half = p.head_dim // 2
    if rotates is None or half >= p.vector_lanes:
        return b
    swapped = concat(*(_element(b, lane ^ half, p.vector_lanes) for lane in reversed(range(p.vector_lanes))))
    return mux(rotates, swapped, b)


def _integers(m: Module, p: StepParameters, word: Mapping[str, Signal], alive: list[Signal], a: Signal) -> None:
    lanes = p.vector_lanes
    codes = m.instance(
        "quantize",
        quantize_stage(p),
        a=a,
        mask=alive[INTEGERS][0:lanes],
        r=m.input("r", R_BITS),
        power=m.input("power", POWER_BITS),
        bits=m.input("bits", 5),
    )["codes"]
    m.output("integers", codes)
    m.output("integers_mask", alive[GIVEN_OUT][0:lanes])
    wanted = {
        "valid": is_one_of(word["operation"], INTEGER_OPERATIONS),
        "quantized": word["operation"] == Operation.QUANTIZE,
        **({"mean": word["operation"] == Operation.MEAN} if "mean" in p.features else {}),
        **{name: word[name] for name in ("first", "last", "to")},
    }
    for name, value in wanted.items():
        *_, delayed = delay_stages(m, f"integers_{name}", value, GIVEN_OUT - ADDRESS)
        m.output(f"integers_{name}", delayed & alive[GIVEN_OUT][lanes] if name == "valid" else delayed)


def _powers(
    m: Module, p: StepParameters, word: Mapping[str, Signal], alive: list[Signal], found: list[Mapping[str, Signal]]
) -> None:
    cycle, lanes = Timing(p).probabilities - 1, p.vector_lanes
    masked = [m.register(f"p_{lane}", mux(alive[cycle - 1][lane], each["p"], 0)) for lane, each in enumerate(found)]
    m.output("p", concat(*reversed(masked)))
    wanted = {"valid": word["operation"] == Operation.EXPONENTIAL}
    wanted |= {name: word[name] for name in ("first", "last")}
    for name, value in wanted.items():
        *_, delayed = delay_stages(m, f"p_{name}", value, cycle - ADDRESS)
        m.output(f"p_{name}", delayed & alive[cycle][lanes] if name == "valid" else delayed)


def _overflow(
    m: Module, p: StepParameters, alive: list[Signal], decode: Mapping[str, Signal], found: list[Mapping[str, Signal]]
) -> None:
    timing, seen = Timing(p), list[Signal]()
    for name, cycle in (("first_product", PRODUCT), ("second_product", timing.second_product), ("summed", timing.sum)):
        port = {"first_product": "first_overflow", "second_product": "second_overflow", "summed": "sum_overflow"}[name]
        saturated = concat(*(each[port] for each in reversed(found))) & alive[cycle][0 : p.vector_lanes]
        seen.append(m.register(f"{port}_seen", decode[name] & saturated.any(), reset=0))
    m.output("overflow", concat(*seen).any())


def _results(
    m: Module,
    p: StepParameters,
    word: Mapping[str, Signal],
    alive: list[Signal],
    found: list[Mapping[str, Signal]],
    writes: Mapping[str, Wire],
) -> None:
    """Results are written; the loader's words where there is none."""
    timing, lanes = Timing(p), p.vector_lanes
    load = input_group(m, "load", load_ports(p))
    m.unused(load["to"])
    plain = ~is_one_of(word["operation"], (*INTEGER_OPERATIONS, Operation.EXPONENTIAL))
    given = {name: word[name] for name in (*CARRIED, "to_vector", "to_constant")} | {"plain": plain}
    carried = concat(*reversed(given.values()))
    line = delay_line(timing.result - ADDRESS, carried.width)
    delayed, low, fields = m.instance("carried", line, value=carried)["delayed"], 0, dict[str, Signal]()
    for name, value in given.items():
        fields[name] = delayed[low : low + value.width]
        low += value.width
    data = concat(*(each["result"] for each in reversed(found)))
    for name in (*CARRIED[1:], "plain"):
        m.output(f"result_{name}", fields[name])
    here, mask = alive[timing.result][lanes], alive[timing.result][0:lanes]
    m.output("result_valid", here)
    m.output("result_data", data)

    written = m.named("result_written", here & (fields["to_vector"] | fields["to_constant"]))
    m.output("load_ready", ~written)
    load_bits = (lanes - 1).bit_length()
    loaded = load["mask"] & (load["valid"] & ~written).replicate(lanes)
    for target, chosen in (("vector", ~load["target"]), ("constant", load["target"])):
        of_result = mask & fields[f"to_{target}"].replicate(lanes)
        writes[f"{target}_mask"].assign(of_result | (loaded & chosen.replicate(lanes)))
    bits = writes["address"].width
    address = _fit(load["to"][load_bits:ELEMENT_BITS], bits)
    writes["address"].assign(mux(written, fields["to"][0:bits], address))
    writes["data"].assign(mux(written, data, load["data"]))
