"""LOAD and EMBED against the values they stand for, with streams and memories at any pace."""

from functools import cache
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from property.launches import random_rows
from simulated import Simulated

from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.numbers.fp32 import Flags, flush
from elastix.compiler.numbers.oracle import weight_values
from elastix.compiler.numbers.pack import QuantizedRows, pack_blocks
from elastix.compiler.processor.step.instructions import Instruction, Opcode, Target
from elastix.compiler.processor.step.loader import loader
from elastix.compiler.processor.step.parameters import StepParameters

ROWS, COLUMNS = 24, 200


@cache
def parameters(beat: int, lanes: int, channels: int = 1) -> StepParameters:
    return StepParameters(beat=beat, vector_lanes=lanes, channels=channels, max_tiles=8, head_dim=16)


@cache
def simulated(beat: int, lanes: int, channels: int = 1) -> Simulated:
    return Simulated(loader(parameters(beat, lanes, channels)))


def run(
    dut: Simulated,
    p: StepParameters,
    instruction: Instruction,
    stream: str,
    beats: NDArray[np.uint8],
    random: Random,
    **side: int,
) -> dict[tuple[int, int], int]:
    """What one instruction writes: (memory, element) to bits."""
    dut.set(clear=0, begin=1, instruction=int.from_bytes(instruction.encode(), "little"), **side)
    dut.settle()
    assert dut.get("taken")
    dut.step()
    dut.set(begin=0)
    written: dict[tuple[int, int], int] = {}
    at = 0
    for _ in range(20_000):
        valid = at < len(beats) and random.random() < 0.7
        dut.set(
            **{
                f"{stream}_valid{'' if stream == 'load_stream' else '_0'}": int(valid),
                "load_ready": int(random.random() < 0.6),
            }
        )
        if valid:
            dut.set(
                **{
                    f"{stream}_data{'' if stream == 'load_stream' else '_0'}": int.from_bytes(
                        beats[at].tobytes(), "little"
                    )
                }
            )
        dut.settle()
        if dut.get("load_valid") and dut.get("load_ready"):
            word, mask, to = dut.get("load_data"), dut.get("load_mask"), dut.get("load_to")
            assert to % p.vector_lanes == 0
            for lane in range(p.vector_lanes):
                if mask >> lane & 1:
                    place = (dut.get("load_target"), to + lane)
                    assert place not in written
                    written[place] = word >> 32 * lane & 0xFFFFFFFF
        at += valid and bool(dut.get(f"{stream}_ready{'' if stream == 'load_stream' else '_0'}"))
        done = dut.get("done")
        dut.step()
        if done:
            assert at == len(beats)
            return written
    raise AssertionError("the loader does not end")


@pytest.mark.parametrize(
    ("beat", "lanes"), [(64, 1), (64, 4), (64, 8), (128, 2), (256, 8), (512, 4), (64, 16), (256, 16), (512, 16)]
)
def test_constants_are_loaded(beat: int, lanes: int) -> None:
    p, dut, random = parameters(beat, lanes), simulated(beat, lanes), Random(beat + lanes)
    generator = np.random.default_rng(lanes)
    for count, to, target in ((1, 0, Target.CONSTANT), (37, 48, Target.CONSTANT), (64, 16, Target.VECTOR)):
        per_beat = beat // 32
        values = generator.normal(size=-(-count // per_beat) * per_beat).astype(np.float32)
        values[0] = np.float32(1e-40)  # flushed
        instruction = Instruction(Opcode.LOAD, {"target": target, "count": count, "to": to})
        beats = values.view(np.uint8).reshape(-1, beat // 8)
        written = run(dut, p, instruction, "load_stream", beats, random, channel=0, slice=0)
        expected = flush(values).view(np.uint32)[:count].tolist()
        assert written == {(int(target == Target.CONSTANT), to + i): bits for i, bits in enumerate(expected)}


@pytest.mark.parametrize(("beat", "lanes"), [(64, 1), (256, 8)])
def test_a_load_that_is_forgotten_takes_no_more(beat: int, lanes: int) -> None:
    """Neither before the next begins: its beats may be there already."""
    p, dut = parameters(beat, lanes), simulated(beat, lanes)
    instruction = Instruction(Opcode.LOAD, {"target": Target.CONSTANT, "count": 64, "to": 0})
    values = np.arange(64, dtype=np.float32)
    beats = values.view(np.uint8).reshape(-1, beat // 8)
    dut.set(clear=0, begin=1, instruction=int.from_bytes(instruction.encode(), "little"), channel=0, slice=0)
    dut.step()
    dut.set(begin=0, load_stream_valid=1, load_stream_data=0x3F, load_ready=0)
    dut.step()
    dut.set(clear=1)
    dut.step()
    dut.set(clear=0)
    for _ in range(4):
        dut.settle()
        assert not dut.get("load_stream_ready") and not dut.get("load_valid")
        dut.step()
    dut.set(load_stream_valid=0)
    written = run(dut, p, instruction, "load_stream", beats, Random(1), channel=0, slice=0)
    assert written == {(1, i): bits for i, bits in enumerate(values.view(np.uint32).tolist())}


@pytest.mark.parametrize(("beat", "lanes"), [(64, 1), (256, 4), (256, 16)])
@pytest.mark.parametrize(
    "text",
    [
        "1b g32 s6 half_step",
        "2b g32 s8c8 asymmetric",
        "3b g64 s6 symmetric",
        "4b g32 s8c8 asymmetric",
        "5b g256 s8 half_step",
        "7b g64 s8c8 asymmetric",
        "8b g64 s8 symmetric",
    ],
)
def test_embedding_rows_are_read(text: str, beat: int, lanes: int) -> None:
    form = Format.parse(text)
    p, dut, random = parameters(beat, lanes), simulated(beat, lanes), Random(beat)
    geometry = Geometry(form, ROWS, COLUMNS, beat, 1)
    rows = random_rows(form, ROWS, COLUMNS, np.random.default_rng(form.bits))
    blocks = pack_blocks(rows, geometry)
    columns = 32 * geometry.tiles
    for row in (0, 1, ROWS - 1):
        block, part = divmod(row, p.rows)
        instruction = Instruction(
            Opcode.EMBED,
            {
                "bits": form.bits,
                "scale_format": form.scale_code,
                "c9": form.c9,
                "row_blocks": geometry.row_blocks,
                "tiles": geometry.tiles,
                "group_tiles": form.group_tiles,
                "header_words": geometry.header_words,
                "block_beats": geometry.block_beats,
                "to": 16,
            },
        )
        beats = np.ascontiguousarray(blocks[block]).view(np.uint8).reshape(-1, beat // 8)
        written = run(dut, p, instruction, "embed", beats, random, channel=0, slice=part)
        expected = expected_row(rows, row, columns)
        assert [written[0, 16 + i] for i in range(columns)] == expected
        assert len(written) == columns


def expected_row(rows: QuantizedRows, row: int, columns: int) -> list[int]:
    """C11, by the oracle's rule on the integers themselves; padded columns have codes 0."""
    codes = np.zeros(columns, np.int64)
    codes[:COLUMNS] = rows.codes[row]
    group = np.minimum(np.arange(columns) // rows.format.group, rows.scales.shape[1] - 1)
    scales, z16 = rows.scales[row].astype(np.int64)[group], rows.z16[row][group]
    found = weight_values(codes[None], scales[None], z16[None], rows.rowscale[row : row + 1], Flags())
    return [int(bits) for bits in found[0].view(np.uint32)]
