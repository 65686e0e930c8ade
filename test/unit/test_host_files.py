"""What `elastix compile` leaves of a step: the same bytes each time, callable again, from Python and from C."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_modules import Compiled, compile_text
from test_host_program import MLP, mlp_weights, random

from elastix.compiler.errors import ElastixError
from elastix.compiler.host_program import write_host_files
from elastix.compiler.manifest import FILE_NAME, file_hash
from elastix.compiler.program import disassemble
from elastix.compiler.program_runner import Program
from elastix.runtime import c_library_path

FILES = ("weights.bin", "program.bin", "host/step.mlir", "host/step.o", "host/step.h")

MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include "step.h"

static int load(const char* path, void* to, long long bytes) {
    FILE* file = fopen(path, "rb");
    int ok = file && (long long)fread(to, 1, bytes, file) == bytes;
    if (file) fclose(file);
    return ok;
}

int main(void) {
    elastix_device* device = elastix_device_create(&step_processor, STEP_MEMORY_BYTES, STEP_SCRATCH_ADDRESS);
    uint8_t* memory = elastix_device_memory(device);
    void* arena = aligned_alloc(64, STEP_ARENA_BYTES);
    static float x[3 * 64], y[3 * 64], h[3 * 64];
    void* arguments[] = {x};
    void* results[] = {y, h};
    if (!load("weights.bin", memory, STEP_WEIGHTS_BYTES)) return 2;
    if (!load("program.bin", memory + STEP_PROGRAM_ADDRESS, STEP_PROGRAM_BYTES)) return 3;
    if (!load("x.bin", x, sizeof x)) return 4;
    step(device, memory, arena, arguments, results);
    if (elastix_device_error(device)) return 5;
    return fwrite(y, sizeof y, 1, stdout) == 1 ? 0 : 6;
}
"""


def write_folder(folder: Path) -> Compiled:
    """An output folder of the MLP, as far as the host needs it."""
    folder.mkdir()
    compiled = compile_text(MLP, mlp_weights(), folder)
    (folder / "program.bin").write_bytes(compiled.binary)
    write_host_files(compiled.llvm, compiled.program.manifest, folder / "host")
    hashes = {name: file_hash(folder / name) for name in FILES}
    manifest = replace(compiled.program.manifest, hashes=hashes)
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return compiled


def test_compiling_twice_gives_the_same_bytes(tmp_path: Path):
    write_folder(tmp_path / "a")
    write_folder(tmp_path / "b")
    for name in (*FILES, FILE_NAME):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_folder_is_loaded_again(tmp_path: Path):
    compiled, x = write_folder(tmp_path / "out"), random(1, 3, 64)
    again = Program.load(tmp_path / "out")
    assert again(x=x)["y"].tobytes() == compiled.program(x=x)["y"].tobytes()


def test_a_changed_program_is_refused(tmp_path: Path):
    write_folder(tmp_path / "out")
    path = tmp_path / "out" / "program.bin"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(ElastixError, match=r"program\.bin has SHA-256"):
        Program.load(tmp_path / "out")


def test_the_program_disassembles_to_the_manifests_layers(tmp_path: Path):
    compiled = write_folder(tmp_path / "out")
    descriptors = disassemble(compiled.binary)
    layers = compiled.program.manifest.layers
    assert [each.weights for each in descriptors] == [layer.address for layer in layers]
    with pytest.raises(ElastixError, match="no descriptor at byte 64 of the program"):
        disassemble(compiled.binary[:64] + bytes(64))
    with pytest.raises(ElastixError, match="a program of 65 bytes; wanted: a multiple of 64"):
        disassemble(compiled.binary[:64] + b"x")


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="no C compiler")
def test_a_host_in_c_gets_the_same_bits(tmp_path: Path):
    out, x = tmp_path / "out", random(1, 3, 64)
    compiled = write_folder(out)
    (out / "x.bin").write_bytes(x.tobytes())
    (tmp_path / "main.c").write_text(MAIN, encoding="utf-8")
    library = c_library_path()
    includes = [f"-I{out / 'host'}", f"-I{library.parent}"]
    objects = [str(out / "host" / "step.o"), str(library), f"-Wl,-rpath,{library.parent}", "-lm"]
    subprocess.run(["cc", "-no-pie", "-o", "main", "main.c", *includes, *objects], cwd=tmp_path, check=True)
    found = subprocess.run([str(tmp_path / "main")], cwd=out, check=True, capture_output=True).stdout
    assert np.frombuffer(found, np.float32).tobytes() == compiled.program(x=x)["y"].tobytes()
