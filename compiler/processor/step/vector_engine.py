"""Passes over vector memory, operations on results of the other engines, reductions, and quantizing."""

from collections.abc import Mapping
from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.arithmetic.exponential import FRACTION_BITS
from elastix.compiler.processor.arithmetic.fixed_point import fp32_to_fixed
from elastix.compiler.processor.arithmetic.quantization import quantization
from elastix.compiler.processor.pipeline import delay_event
from elastix.compiler.processor.step.attention_ports import input_group, quantized_ports, scale_word_bits
from elastix.compiler.processor.step.completion_order import completion_order
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS
from elastix.compiler.processor.step.instructions import Operation, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters
from elastix.compiler.processor.step.reduction import reduction
from elastix.compiler.processor.step.reduction_sum import reduction_sum
from elastix.compiler.processor.step.scalar_registers import scalar_registers
from elastix.compiler.processor.step.tile_collector import latency as collector_latency
from elastix.compiler.processor.step.tile_collector import tile_collector
from elastix.compiler.processor.step.vector_issue import own_ports, vector_issue
from elastix.compiler.processor.step.vector_pipeline import vector_pipeline, word_ports
from elastix.compiler.processor.step.vector_ports import activation_ports, load_ports, visitor_ports
from elastix.compiler.processor.step.vector_sequencer import REDUCTIONS, is_one_of, vector_sequencer
from elastix.compiler.processor.step.vector_timing import SCALAR_AFTER_TAKING, Timing

KINDS = 3
"""Ways in which an instruction ends: with its results, with its integers, with its scalar."""
FOR_ATTENTION = (Target.QUERY, Target.PROBABILITY, Target.KEY, Target.VALUE)
GIVEN = ("target", "bank", "head", "lane", "row", "rows", "scales", "channel_stride")
"""What the attention engine is told of an instruction with its integers."""


def vector_engine(p: StepParameters) -> Module:
    """The ports of README.md: VECTOR instructions, visiting words of two units, the loader's words.

    matrix_*, attention_*: visiting words, and a pulse `visitor_written_<unit>` when all of one with `last` is where
    later instructions find it. load_*: the loader's words; one is written in the cycle in which it passes.
    scale_word, scale_bank: asks for L value scales, which come two cycles later at `scale_data`. quantized_*: words for
    the attention engine. x_*, e_*: tiles and exponents for the matrix engines' buffers. overflow (pulse): C6 happened.
    """
    timing = Timing(p)
    m = Module("vector_engine", vector_engine.__doc__, asdict(p))
    clear, begin = m.input("clear"), m.input("begin")
    instruction, position = m.input("instruction", INSTRUCTION_BITS), m.input("position", ELEMENT_BITS)
    visitors = {
        f"{unit}_{name}": value
        for unit in ("matrix", "attention")
        for name, value in input_group(m, unit, visitor_ports(p)).items()
    }
    load = input_group(m, "load", load_ports(p))
    issued, room, reducing, quiet = (m.wire(name, 1) for name in ("issued", "room", "reducing", "quiet"))

    own = m.instance(
        "sequencer",
        vector_sequencer(p),
        clear=clear,
        begin=begin,
        issue=issued,
        room=room,
        reducing=reducing,
        instruction=instruction,
        position=position,
    )
    issue = m.instance(
        "issue",
        vector_issue(p),
        clear=clear,
        quiet=quiet,
        offered=own["offered"],
        **{f"own_{name}": own[name] for name in own_ports(p)},
        **visitors,
    )
    issued.assign(issue["issued"])

    # The scalar of an instruction and what follows from it, standing while its words want them.
    scalar_read = m.wire("scalar_read", 32)
    scalar_there = m.delay("scalar_there", own["take"], SCALAR_AFTER_TAKING - 1)
    immediate = m.named("scalar_is_k", own["operation"] == Operation.SCALE)
    scalar = m.register("scalar", mux(immediate, own["k"], scalar_read), enable=scalar_there)
    scale = m.instance("quantization", quantization(), maximum=scalar, bits=own["bits"], row=own["of_row"])
    # r comes out of block RAM, late in its cycle.
    standing = {"r": m.register("quantizer_factor", scale["r"]), "power": scale["power"]}
    if timing.attention:
        standing["fixed_maximum"] = m.instance("fix_maximum", fp32_to_fixed(FRACTION_BITS), x=scalar)["y"]
    # What is said of the instruction stands a cycle longer than its last word.
    begun = m.register("integers_begun", issued & own["first"] & own["integers_only"])
    pipeline = m.instance(
        "pipeline",
        vector_pipeline(p),
        clear=clear,
        **{f"word_{name}": issue[name] for name in word_ports(p)},
        **{f"load_{name}": value for name, value in load.items()},
        scalar=scalar,
        bits=m.register("bits", own["bits"], enable=begun),
        scale_data=m.input("scale_data", 16 * p.vector_lanes),
        **standing,
    )
    exponent = m.register("exponent", mux(own["of_row"], scale["scale"], scale["exponent"]), enable=begun)
    integers_end = _integers(m, p, clear, begun, own, exponent, pipeline)
    ended = m.named("pass_ended", issued & own["last"])
    reduced = _reduction(m, p, clear, ended, own, exponent, pipeline)
    reducing.assign(reduced["reducing"])
    quiet.assign(reduced["quiet"])
    scalars = m.instance(
        "scalar_registers",
        scalar_registers(p),
        clear=clear,
        valid=pipeline["result_valid"],
        data=pipeline["result_data"],
        **{name: pipeline[f"result_{name}"] for name in ("tracked", "maximum", "max_register", "first")},
        **{name: reduced[name] for name in ("write", "register", "result")},
        scalar_register=own["scalar_register"],
    )
    scalar_read.assign(scalars["scalar"])

    # A word is finished when its maximum is written.
    written_in = timing.maximum_written - timing.result
    last = m.named("last_result", pipeline["result_valid"] & pipeline["result_last"] & pipeline["result_plain"])
    visiting, of_attention = pipeline["result_visiting"], pipeline["result_of_attention"]
    ends = {
        "own": last & ~visiting,
        "matrix": last & visiting & ~of_attention,
        "attention": last & visiting & of_attention,
    }
    told = {name: delay_event(m, f"{name}_finished", end, written_in + 1, clear)[-1] for name, end in ends.items()}
    order = m.instance(
        "completion_order",
        completion_order(KINDS),
        clear=clear,
        taken=own["take"],
        kind=own["kind"],
        ended=concat(reduced["write"], integers_end, told["own"]),
    )
    room.assign(order["room"])
    m.output("taken", own["taken"])
    m.output("done_vector", order["done"])
    for unit in ("matrix", "attention"):
        m.output(f"{unit}_ready", issue[f"{unit}_ready"])
        m.output(f"visitor_written_{unit}", told[unit])
    m.output("load_ready", pipeline["load_ready"])
    for name, width in (("scale_word", scale_word_bits(p)), ("scale_bank", 1)):
        m.output(name, pipeline[name] if timing.attention else m.constant(0, width))
    m.output("overflow", m.register("overflow_q", pipeline["overflow"] | reduced["overflow"], reset=0))
    return m


def _integers(
    m: Module,
    p: StepParameters,
    clear: Signal,
    begun: Signal,
    own: Mapping[str, Signal],
    exponent: Signal,
    pipeline: Mapping[str, Signal],
) -> Signal:
    """Where quantized words go; a pulse when the last of a pass is there."""
    given = {name: m.register(f"given_{name}", own[name], enable=begun) for name in GIVEN}
    quantized = m.named("quantized", pipeline["integers_valid"] & pipeline["integers_quantized"])
    collected = m.instance(
        "tile_collector",
        tile_collector(p),
        clear=clear,
        valid=quantized & (given["target"] == Target.ACTIVATIONS),
        codes=pipeline["integers"],
        word=pipeline["integers_to"],
        last=pipeline["integers_last"],
        lane=given["lane"],
        exponent=exponent,
    )
    for name in activation_ports(p):
        m.output(name, collected[name])
    lane_bits = (p.vector_lanes - 1).bit_length()
    word = pipeline["integers_to"]
    index = concat(word, m.constant(0, lane_bits)) if lane_bits else word
    fields = given | {
        "valid": quantized & is_one_of(given["target"], FOR_ATTENTION),
        "data": pipeline["integers"],
        "mask": pipeline["integers_mask"],
        "index": index[0:ELEMENT_BITS] if index.width >= ELEMENT_BITS else index.zext(ELEMENT_BITS),
        "exponent": exponent,
        "last": pipeline["integers_last"],
    }
    attention = "attention" in p.features
    if not attention:
        for value in (*given.values(), pipeline["integers_mask"]):
            m.unused(value)
    for name, width in quantized_ports(p).items():
        m.output(f"quantized_{name}", fields[name] if attention else m.constant(0, width))
    end = m.named("integers_end", quantized & pipeline["integers_last"])
    return delay_event(m, "integers_out", end, collector_latency(p), clear)[-1]


def _reduction(
    m: Module,
    p: StepParameters,
    clear: Signal,
    ended: Signal,
    own: Mapping[str, Signal],
    exponent: Signal,
    pipeline: Mapping[str, Signal],
) -> Mapping[str, Signal]:
    """Sums, and the scalars made of them."""
    valid = m.named("integers_reduced", pipeline["integers_valid"] & ~pipeline["integers_quantized"])
    unit = reduction_sum(p)
    ports = {
        "clear": clear,
        "integers_valid": valid,
        **{name: signal for name, signal in pipeline.items() if name in unit.inputs and name != "integers_valid"},
    }
    total = m.instance("reduction_sum", unit, **ports)["total"]
    return m.instance(
        "reduction",
        reduction(p),
        clear=clear,
        ended=ended & is_one_of(own["operation"], REDUCTIONS),
        total=total,
        exponent=exponent,
        exponent_write=valid & pipeline["integers_last"],
        **{name: own[name] for name in ("operation", "k", "epsilon", "result_register")},
    )
