"""Runs inside the simulator, under cocotb: a step processor with cocotbext-axi's memory at all its masters.

Environment: SLAVE_MEMORY a file of bytes, read before and written after the run; SLAVE_RUN as JSON: channels, registers
(offset and value of what is written, the start last), result (offsets that are read after the interrupt), seed and
percent of the cycles in which a channel pauses. SLAVE_RESULT: a file for what was read, as JSON.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiRamRead, AxiReadBus

WORD = 4


def pauses(seed: int, percent: int) -> Iterator[bool]:
    source = random.Random(seed)
    while True:
        yield source.random() * 100 < percent


@cocotb.test()
async def a_run(dut):
    run = json.loads(os.environ["SLAVE_RUN"])
    path = Path(os.environ["SLAVE_MEMORY"])
    content = path.read_bytes()
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    memory = AxiRam(AxiBus.from_prefix(dut, "m_axi_io"), dut.clk, dut.rst, size=len(content))
    readers = [memory.read_if]
    for channel in range(run["channels"]):
        bus = AxiReadBus.from_prefix(dut, f"m_axi_w{channel}")
        readers.append(AxiRamRead(bus, dut.clk, dut.rst, size=len(content), mem=memory.mem))
    ports = [port for each in readers for port in (each.ar_channel, each.r_channel)]
    ports += [memory.write_if.aw_channel, memory.write_if.w_channel, memory.write_if.b_channel]
    for number, port in enumerate(ports):
        port.set_pause_generator(pauses(run["seed"] + number, run["percent"]))
    memory.write(0, content)

    dut.rst.value = 1
    await ClockCycles(dut.clk, 10)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    for offset, value in run["registers"]:
        await registers.write(offset, value.to_bytes(WORD, "little"))
    if not dut.irq.value:
        await with_timeout(RisingEdge(dut.irq), 10, "ms")
    read = [int.from_bytes((await registers.read(offset, WORD)).data, "little") for offset in run["result"]]
    path.write_bytes(memory.read(0, len(content)))
    Path(os.environ["SLAVE_RESULT"]).write_text(json.dumps(read))
