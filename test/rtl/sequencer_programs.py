"""Random programs for the sequencer, which looks at fields and computes nothing."""

from random import Random

from sequencer_bench import Run

from elastix.compiler.processor.step.instructions import Instruction, Opcode, Operation, Unit


def weights(random: Random, rows: int = 40) -> dict[str, int]:
    bits, tiles, header = random.randrange(1, 9), random.randrange(1, 5), random.randrange(1, 4)
    return {
        "bits": bits,
        "scale_format": random.randrange(3),
        "c9": random.randrange(512),
        "row_blocks": random.randrange(1, rows),
        "tiles": tiles,
        "group_tiles": random.randrange(1, 9),
        "header_words": header,
        "weights": random.randrange(1 << 20) * 64,
        "block_beats": header + bits * tiles,
        "channel_stride": random.randrange(1 << 16) * 64,
    }


def instruction(random: Random, run: Run, counts: dict[Unit, int]) -> Instruction:
    p = run.parameters
    opcode = random.choice(
        (Opcode.LINEAR, *[Opcode.VECTOR] * 3, Opcode.SCORES, Opcode.VALUES, Opcode.LOAD, Opcode.EMBED)
    )
    values = {"lane": random.randrange(p.lanes)}
    for unit in Unit:
        if random.random() < 0.3:
            values[f"wait_{unit.name.lower()}"] = random.randint(max(0, counts[unit] - 3), counts[unit])
    memory, element = (lambda: random.randrange(1 << 20) * 64), (lambda: random.randrange(1 << 10) * 8)
    match opcode:
        case Opcode.LINEAR:
            values |= weights(random, 8) | {"target": 1, "rows": random.randrange(100), "to": element()}
        case Opcode.VECTOR:
            values |= {
                "operation": random.randrange(13),
                "target": random.randrange(3),
                "count": 1 + random.randrange(99),
            }
            values |= {name: element() for name in ("a", "b", "c", "d", "to")} | {"k": random.randrange(1 << 32)}
            if values["operation"] == Operation.ROTATE:
                values |= {"count": p.head_dim * random.randint(1, 4), "period": p.head_dim}
        case Opcode.SCORES:
            values |= {"bank": 1, "head": random.randrange(p.kv_heads), "keys": memory(), "values": memory()}
            values |= {"key_scales": memory(), "value_scales": memory(), "to": element(), "stride": element()}
            values["channel_stride"] = random.randrange(1 << 16)
        case Opcode.VALUES:
            values |= {"head": random.randrange(p.kv_heads), "values": memory(), "to": element()}
            values["channel_stride"] = random.randrange(1 << 16)
        case Opcode.LOAD:
            values |= {"target": 2, "count": 1 + random.randrange(60), "address": memory(), "to": element()}
            values |= {"stride": random.choice((0, 64, 4096))}
        case _:
            values |= weights(random, 8) | {"row_blocks": -(-max(run.ids) // p.rows) + 1, "to": element()}
    counts[_unit(opcode)] += 1
    return Instruction(opcode, values)


def _unit(opcode: Opcode) -> Unit:
    unit = Instruction(opcode, {}).unit
    assert unit is not None
    return unit


def program_of(random: Random, run: Run, length: int) -> list[Instruction]:
    counts = dict.fromkeys(Unit, 0)
    program = [instruction(random, run, counts) for _ in range(length)]
    return [*program, Instruction(Opcode.END, {f"wait_{unit.name.lower()}": counts[unit] for unit in Unit})]
