"""A processor that is a Python script: it drives the ports in ways that generated RTL, we hope, never does."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from elastix.runtime.load_circuit import LoadedCircuit
from elastix.runtime.simulate import Interface

BEAT = 64
Script = Callable[["Pins"], Iterator[None]]

_AXI_READ = {"arvalid": 1, "araddr": 40, "arlen": 8, "arsize": 3, "arburst": 2, "rready": 1}
_AXI_READ_IN = {"arready": 1, "rvalid": 1, "rdata": BEAT, "rresp": 2, "rlast": 1}
_AXI_WRITE = {
    "awvalid": 1,
    "awaddr": 40,
    "awlen": 8,
    "awsize": 3,
    "awburst": 2,
    "wvalid": 1,
    "wdata": BEAT,
    "wstrb": BEAT // 8,
    "wlast": 1,
    "bready": 1,
}
_AXI_WRITE_IN = {"awready": 1, "wready": 1, "bvalid": 1, "bresp": 2}
_LITE = {"awready": 1, "wready": 1, "bvalid": 1, "bresp": 2, "arready": 1, "rvalid": 1, "rdata": 32, "rresp": 2}
_LITE_IN = {
    "awaddr": 8,
    "awvalid": 1,
    "wdata": 32,
    "wstrb": 4,
    "wvalid": 1,
    "bready": 1,
    "araddr": 8,
    "arvalid": 1,
    "rready": 1,
}


class Pins:
    """Ports by name as integers; a script sets outputs, yields for an edge, then reads what the inputs were at it."""

    def __init__(self) -> None:
        self.widths: dict[str, tuple[int, bool]] = {"clk": (1, False), "rst": (1, False), "irq": (1, True)}
        for bus, outputs, inputs in (
            ("s_axil", _LITE, _LITE_IN),
            ("m_axi_w0", _AXI_READ, _AXI_READ_IN),
            ("m_axi_io", _AXI_READ | _AXI_WRITE, _AXI_READ_IN | _AXI_WRITE_IN),
        ):
            self.widths |= {f"{bus}_{name}": (width, True) for name, width in outputs.items()}
            self.widths |= {f"{bus}_{name}": (width, False) for name, width in inputs.items()}
        self.offsets = {name: 16 * index for index, name in enumerate(self.widths)}
        self.buffer = np.zeros(16 * len(self.widths), np.uint8)

    def __getitem__(self, name: str) -> int:
        start = self.offsets[name]
        return int.from_bytes(self.buffer[start : start + 8].tobytes(), "little")

    def __setitem__(self, name: str, value: int) -> None:
        start = self.offsets[name]
        self.buffer[start : start + 8] = np.frombuffer(value.to_bytes(8, "little"), np.uint8)


class ScriptedMaster:
    """Registers enough for a launch; writing start runs the script, its end raises irq."""

    def __init__(self, script: Script) -> None:
        self.pins, self.script = Pins(), script
        self.registers: dict[int, int] = {}
        self.seen = 0
        self.failure: BaseException | None = None
        self._restart()
        self.callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._evaluate)

    def circuit(self) -> LoadedCircuit:
        base = self.pins.buffer.ctypes.data
        ports = {name: (base + self.pins.offsets[name], *kind) for name, kind in self.pins.widths.items()}
        entry = ctypes.cast(self.callback, ctypes.c_void_p).value
        assert entry is not None
        return LoadedCircuit(entry, 0, ports, 0, self, lambda: None)

    def _restart(self) -> None:
        self.running: Any = None
        self.bus = self._serve()
        for name, (_, output) in self.pins.widths.items():
            if output:
                self.pins[name] = 0
        next(self.bus)

    def _evaluate(self, _: int) -> None:
        clock = self.pins["clk"]
        rising, self.seen = clock and not self.seen, clock
        if not rising:
            return
        if self.pins["rst"]:
            self._restart()
            return
        if self.running is not None:
            try:
                next(self.running)
            except StopIteration:
                self.running = None
                self.pins["irq"] = 1
        next(self.bus)

    def _serve(self) -> Iterator[None]:
        """AXI4-Lite slave: address and data together, answer in the next cycle."""
        pins = self.pins
        pins["s_axil_awready"] = pins["s_axil_wready"] = pins["s_axil_arready"] = 0
        while True:
            yield
            if pins["s_axil_awvalid"] and pins["s_axil_wvalid"] and not pins["s_axil_awready"]:
                pins["s_axil_awready"] = pins["s_axil_wready"] = 1
                yield
                self._write(pins["s_axil_awaddr"], pins["s_axil_wdata"])
                pins["s_axil_awready"] = pins["s_axil_wready"] = 0
                yield from self._answer("b")
            elif pins["s_axil_arvalid"]:
                pins["s_axil_arready"] = 1
                yield
                pins["s_axil_arready"] = 0
                pins["s_axil_rdata"] = self.registers.get(pins["s_axil_araddr"], 0)
                yield from self._answer("r")

    def _answer(self, channel: str) -> Iterator[None]:
        self.pins[f"s_axil_{channel}valid"] = 1
        yield
        while not self.pins[f"s_axil_{channel}ready"]:
            yield
        self.pins[f"s_axil_{channel}valid"] = 0

    def _write(self, address: int, value: int) -> None:
        self.registers[address] = value
        if address == 0x0C and value & 1:
            self.running = self.script(self.pins)
            next(self.running)
        if address == 0x0C and value & 8:
            self.pins["irq"] = 0


INTERFACE = Interface(beat=BEAT, channels=1, max_burst=16)


def send(pins: Pins, channel: str, valid: str, ready: str, **payload: int) -> Iterator[None]:
    """One transfer over a channel."""
    for name, value in payload.items():
        pins[f"{channel}_{name}"] = value
    pins[f"{channel}_{valid}"] = 1
    yield
    while not pins[f"{channel}_{ready}"]:
        yield
    pins[f"{channel}_{valid}"] = 0


def ask(pins: Pins, bus: str, address: int, beats: int, letter: str = "ar", **changed: int) -> Iterator[None]:
    """An address transfer; `changed` replaces fields, such as size=2."""
    fields = {"addr": address, "len": beats - 1, "size": 3, "burst": 1} | changed
    yield from send(
        pins, bus, f"{letter}valid", f"{letter}ready", **{letter + name: value for name, value in fields.items()}
    )


def take(pins: Pins, bus: str, beats: int, into: list[int], responses: list[int] | None = None) -> Iterator[None]:
    """Take read beats, one every second cycle at most, so that the harness has to wait."""
    for _ in range(beats):
        yield
        pins[f"{bus}_rready"] = 1
        yield
        while not pins[f"{bus}_rvalid"]:
            yield
        into.append(pins[f"{bus}_rdata"])
        if responses is not None:
            responses.append(pins[f"{bus}_rresp"])
        pins[f"{bus}_rready"] = 0


def give(
    pins: Pins, values: list[int], strobe: int = 0xFF, last: Callable[[int], bool] | None = None
) -> Iterator[None]:
    """Write data beats on m_axi_io."""
    for index, value in enumerate(values):
        is_last = last(index) if last else index == len(values) - 1
        yield from send(pins, "m_axi_io", "wvalid", "wready", wdata=value, wstrb=strobe, wlast=int(is_last))


def acknowledge(pins: Pins, into: list[int]) -> Iterator[None]:
    """Take a write response."""
    pins["m_axi_io_bready"] = 1
    yield
    while not pins["m_axi_io_bvalid"]:
        yield
    into.append(pins["m_axi_io_bresp"])
    pins["m_axi_io_bready"] = 0
