"""Results of the matrix engines on their way: words for the vector engine, or beats for memory."""

from dataclasses import asdict

from elastix.compiler.circuit import Module, Signal, concat, mux
from elastix.compiler.processor.axi import ADDRESS_BITS, offset_bits
from elastix.compiler.processor.parameters import index_bits
from elastix.compiler.processor.step.arg_max import INDEX_BITS, arg_max
from elastix.compiler.processor.step.fields import INSTRUCTION_BITS, field
from elastix.compiler.processor.step.instructions import Opcode, Operation, Target
from elastix.compiler.processor.step.parameters import ELEMENT_BITS, StepParameters

_KEPT = ("operation", "maximum", "arg_max", "max_register", "row_blocks", "lane_stride")
_LOADED = ("to", "from", "rows")


def result_words(p: StepParameters) -> Module:
    """Takes beats of R results, block by block and in each block token by token, and gives them their addresses.

    take (pulse, while `accepts`), instruction: a LINEAR comes; its beats are taken when all results of the one before
    are where they belong (`begins`, pulse), so that it may read what that one has written. y_valid, y_ready, y_data,
    y_last (of a block): the beats. matrix_*: visiting words; `written`: the vector engine has written one with `last`.
    logits_*: beats for memory, with all strobes. done (pulse): every result is where it belongs. arg_max_<m>: the
    index of token m's largest result.
    """
    m = Module("result_words", result_words.__doc__, asdict(p))
    rows, lanes = p.rows, p.vector_lanes
    clear, given, tokens = m.input("clear"), m.input("take"), m.input("tokens", 4)
    instruction = m.input("instruction", INSTRUCTION_BITS)
    m.unused(instruction)
    m.unused(instruction)
    y_valid, y_data, y_last = m.input("y_valid"), m.input("y_data", p.beat), m.input("y_last")
    running, waits, full, settled = (m.state(name, 1, reset=0) for name in ("running", "waits", "full", "settled"))
    take = m.named("begins_now", waits & ~running)
    waits.next(~clear & (given | (waits & ~take)))
    m.output("accepts", ~waits)
    m.output("begins", take)
    kept = [name for name in _KEPT if name != "arg_max" or "arg_max" in p.features]
    following = {
        name: m.register(f"next_{name}", field(instruction, Opcode.LINEAR, name), enable=given)
        for name in (*kept, *_LOADED)
    }
    next_to_memory = field(instruction, Opcode.LINEAR, "target") == Target.MEMORY
    q = {name: m.register(f"{name}_q", following[name], enable=take) for name in kept}
    to_memory = m.register("to_memory", m.register("next_to_memory", next_to_memory, enable=given), enable=take)

    # A beat is held until all of it has gone. What is said of it is ready a cycle after it: `settled`.
    idle, gone = m.wire("arg_max_idle", 1), m.wire("gone", 1)
    all_gone = m.state("all_gone", 1, reset=0)
    ready = m.named("ready", running & ~full & idle & ~all_gone)
    load = m.named("load", y_valid & ready)
    full.next(~clear & (load | (full & ~gone)))
    settled.next(~clear & full & ~gone)
    m.output("y_ready", ready)
    end_of_block = m.register("end_of_block", y_last, enable=load)
    block_gone = m.named("block_gone", gone & end_of_block)
    lane, block = m.state("lane", 4), m.state("block", 32)
    lane.next(mux(take | end_of_block, 0, lane + 1), enable=take | gone)
    block.next(mux(take, 1, block + 1), enable=take | block_gone)
    first_block = m.state("first_block", 1)
    first_block.next(take, enable=take | block_gone)
    last_block = m.register("last_block", block == q["row_blocks"])

    # Addresses: of the block's results of token 0, and of this token's.
    step = mux(to_memory, m.constant(p.beat // 8, ADDRESS_BITS), m.constant(rows, ADDRESS_BITS))
    stride = q["lane_stride"].zext(ADDRESS_BITS)
    to = _address(m, "to", following["to"], take, gone, end_of_block, step, stride)
    shared = m.named("shared_operand", q["operation"] == Operation.ADD_CONSTANT)
    own_stride = mux(shared, m.constant(0, ELEMENT_BITS), q["lane_stride"][0:ELEMENT_BITS])
    source = _address(
        m, "from", following["from"], take, gone, end_of_block, m.constant(rows, ELEMENT_BITS), own_stride
    )

    # The results that count: those before the matrix's last row.
    left, index = m.state("left", INDEX_BITS), m.state("index", INDEX_BITS)
    after = mux(m.named("more_rows", left > rows), left - rows, 0)
    left.next(mux(take, following["rows"], after), enable=take | block_gone)
    index.next(mux(take, 0, index + rows), enable=take | block_gone)
    counts = concat(*reversed([left > k for k in range(rows)]))

    words = max(1, rows // lanes)
    word, data, tracked = m.state("word", index_bits(words)), m.state("data", p.beat), m.state("tracked", rows)
    sent = m.wire("word_sent", 1)
    word.next(mux(load, 0, word + 1) if words > 1 else m.constant(0, 1), enable=load | sent)
    shifted = (data >> 32 * lanes, tracked >> lanes) if words > 1 else (data, tracked)
    data.next(mux(load, y_data, shifted[0]), enable=load | sent)
    tracked.next(mux(full & ~settled, counts, shifted[1]), enable=(full & ~settled) | sent)
    last_word = m.named("last_word", word == words - 1)

    visiting = m.named("visiting", settled & ~to_memory)
    sent.assign(visiting & m.input("matrix_ready"))
    position = word.zext(ELEMENT_BITS) << lanes.bit_length() - 1
    m.output("matrix_valid", visiting)
    for name, value in _word(m, p, data, tracked, to[0:ELEMENT_BITS]).items():
        m.output(f"matrix_{name}", value)
    low = lanes.bit_length() - 1
    m.output("matrix_to", _aligned(m, "to_of_word", to[0:ELEMENT_BITS] + position, low))
    m.output("matrix_from", _aligned(m, "from_of_word", source + position, low))
    m.output("matrix_operation", q["operation"])
    m.output("matrix_maximum", q["maximum"])
    m.output("matrix_max_register", q["max_register"] + lane.zext(6))
    m.output("matrix_first", first_block & (word == 0))
    m.output("matrix_last", last_block & last_word)

    logits = m.named("logits_now", settled & to_memory)
    logits_sent = m.named("logits_sent", logits & m.input("logits_ready"))
    m.output("logits_valid", logits)
    m.output("logits_beat", to[offset_bits(p.beat) : ADDRESS_BITS])
    m.output("logits_data", data)
    m.output("logits_strobe", m.constant((1 << p.beat // 8) - 1, p.beat // 8))
    gone.assign((sent & last_word) | logits_sent)

    if "arg_max" in p.features:
        look = m.instance(
            "largest",
            arg_max(p),
            clear=take & following["arg_max"][0],
            push=full & ~settled & ~gone & q["arg_max"][0] & left.any(),
            data=data,
            lane=lane[0 : p.lane_bits],
            index=index,
            left=left,
        )
        idle.assign(look["idle"])
        for each in range(p.lanes):
            m.output(f"arg_max_{each}", look[f"arg_max_{each}"])
    else:
        idle.assign(m.constant(1, 1))

    # All words of a token are written when its last one is: then it counts as finished.
    owed = m.state("owed", 4, reset=0)
    written = m.input("written")
    owed.next(mux(take, tokens, owed - written.zext(4)))
    all_gone.next(~take & ~clear & (all_gone | (block_gone & last_block)))
    finished = m.named("finished", running & all_gone & (to_memory | (owed == 0)) & idle)
    running.next(~clear & (take | (running & ~finished)))
    m.output("done", finished)
    return m


def _address(
    m: Module,
    name: str,
    begin: Signal,
    take: Signal,
    gone: Signal,
    end_of_block: Signal,
    step: Signal,
    stride: Signal,
) -> Signal:
    """The address of the beat in hand: `step` from block to block, `stride` from token to token."""
    row, here = m.state(f"{name}_of_block", begin.width), m.state(f"{name}_here", begin.width)
    following = m.named(f"{name}_following", row + step)
    row.next(mux(take, begin, following), enable=take | (gone & end_of_block))
    here.next(mux(take, begin, mux(end_of_block, following, here + stride)), enable=take | gone)
    return here


def _word(m: Module, p: StepParameters, data: Signal, tracked: Signal, to: Signal) -> dict[str, Signal]:
    """Data, mask and tracked elements of a word; a beat of fewer than L results fills a part of it."""
    rows, lanes = p.rows, p.vector_lanes
    if rows >= lanes:
        return {"data": data[0 : 32 * lanes], "mask": m.constant((1 << lanes) - 1, lanes), "tracked": tracked[0:lanes]}
    parts = lanes // rows
    part = to[rows.bit_length() - 1 : lanes.bit_length() - 1]
    here = [m.named(f"part_{each}", part == each) for each in range(parts)]
    mask = concat(*reversed([each.replicate(rows) for each in here]))
    return {"data": data.replicate(parts), "mask": mask, "tracked": mask & tracked.replicate(parts)}


def _aligned(m: Module, name: str, value: Signal, low: int) -> Signal:
    """The address with its lowest bits 0."""
    address = m.named(name, value)
    m.unused(address)
    return address & ((1 << address.width) - (1 << low)) if low else address
