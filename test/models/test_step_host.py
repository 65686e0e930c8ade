"""The header that the host includes: a C compiler takes it, and it drives the generated processor."""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.step_models import CompiledStep, step_of

from elastix.runtime.step_simulate import SimulatedStep

WRAPPERS = """
#include "step.h"
int opened(const elastix_registers *r) { return elastix_open(r); }
int stepped(const elastix_registers *r, const uint32_t *tokens, uint32_t count, uint32_t position, uint32_t *next)
{ return elastix_step(r, tokens, count, position, next); }
uint32_t error(const elastix_registers *r, uint64_t *address) { return elastix_error(r, address); }
uint64_t logits(uint32_t token) { return elastix_logits(token); }
"""
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffreestanding")
OK, ANOTHER_PROCESSOR, BAD_TOKENS, CONTEXT_FULL, STOPPED = range(5)
Read = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32)
Write = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32)


class Registers(ctypes.Structure):
    _fields_ = (("self", ctypes.c_void_p), ("read", Read), ("write", Write))


class Host:
    """The header's functions on a simulated processor, with memory filled as the header says."""

    def __init__(
        self, library: ctypes.CDLL, constants: dict[str, int], step: CompiledStep, engine: SimulatedStep
    ) -> None:
        self.library, self.constants, self.engine = library, constants, engine.engine
        self.memory = np.zeros(constants["MEMORY_BYTES"], np.uint8)
        for name, data in (("WEIGHTS", step.weights), ("PROGRAM", step.program)):
            at = constants[name]
            assert constants[f"{name}_BYTES"] == len(data)
            self.memory[at : at + len(data)] = np.frombuffer(data, np.uint8)
        self.engine.attach(self.memory)
        self.registers = Registers(None, Read(self._read), Write(self._write))
        library.logits.restype = ctypes.c_uint64
        self.other_id = 0

    def _read(self, _: Any, offset: int) -> int:
        return self.engine.read_register(offset) ^ (self.other_id if offset == 0 else 0)

    def _write(self, _: Any, offset: int, value: int) -> None:
        self.engine.write_register(offset, value)

    def open(self) -> int:
        return self.library.opened(ctypes.byref(self.registers))

    def step(self, tokens: list[int], position: int) -> tuple[int, list[int]]:
        given, following = (ctypes.c_uint32 * max(len(tokens), 1))(*tokens), (ctypes.c_uint32 * max(len(tokens), 1))()
        result = self.library.stepped(ctypes.byref(self.registers), given, len(tokens), position, following)
        return result, list(following)

    def logits(self, token: int) -> bytes:
        at = self.library.logits(token)
        return self.memory[at : at + 4 * self.constants["VOCABULARY"]].tobytes()

    def error(self) -> tuple[int, int]:
        address = ctypes.c_uint64()
        return self.library.error(ctypes.byref(self.registers), ctypes.byref(address)), address.value


@pytest.fixture(scope="module")
def header(small: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    return small / "host" / "step.h"


@pytest.fixture
def host(small: Path, header: Path, tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "host.c").write_text(WRAPPERS, encoding="utf-8")
    library = tmp_path / "host.so"
    subprocess.run(
        ["cc", *FLAGS, "-shared", "-fPIC", f"-I{header.parent}", "-o", library, tmp_path / "host.c"], check=True
    )
    text, step = header.read_text(encoding="utf-8"), step_of(small)
    numbers = dict(re.findall(r"ELASTIX_(\w+) = (\d+)", text)) | dict(
        re.findall(r"#define ELASTIX_(\w+) UINT64_C\((\w+)\)", text)
    )
    with SimulatedStep(step.layout.parameters) as engine:
        yield Host(ctypes.CDLL(str(library)), {name: int(value, 0) for name, value in numbers.items()}, step, engine)


def test_a_host_in_c_gets_the_emulators_bits(host: Host, small: Path) -> None:
    emulated = step_of(small).device()
    assert host.open() == OK
    position = 0
    for tokens in ([5, 17, 98, 0], [41], [41, 7]):
        result, following = host.step(tokens, position)
        wanted = emulated.step(tokens, position)
        assert (result, tuple(following)) == (OK, tuple(wanted.arg_max))
        assert [host.logits(token) for token in range(len(tokens))] == [each.tobytes() for each in wanted.logits]
        position += len(tokens)


def test_what_cannot_be_is_refused_before_anything_starts(host: Host) -> None:
    assert host.open() == OK
    limit, lanes = host.constants["MAX_CONTEXT"], host.constants["TOKENS_AT_ONCE"]
    assert host.step([], 0)[0] == BAD_TOKENS
    assert host.step([1] * (lanes + 1), 0)[0] == BAD_TOKENS
    assert host.step([host.constants["VOCABULARY"]], 0)[0] == BAD_TOKENS
    assert host.step([1, 2], limit - 1)[0] == CONTEXT_FULL
    assert host.step([1], 2**32 - 1)[0] == CONTEXT_FULL
    assert host.step([1], limit - 1)[0] == OK
    host.other_id = 1
    assert host.open() == ANOTHER_PROCESSOR


def test_a_stopped_run_says_why_and_opening_again_helps(host: Host) -> None:
    assert host.open() == OK
    whole = host.memory.copy()
    good = host.step([5], 0)
    middle = host.constants["WEIGHTS_BYTES"] // 2
    host.memory[:] = whole
    host.memory[middle : middle + 4096] ^= 1
    assert host.step([5], 0)[0] == STOPPED
    bits, address = host.error()
    assert bits & 8 and 0 < address < host.constants["WEIGHTS_BYTES"]
    host.memory[:] = whole
    assert host.open() == OK and host.error()[0] == 0
    assert host.step([5], 0) == good
