"""The runtime: the device that compiled host code runs on, its engines, the simulation harness (README.md)."""

from pathlib import Path


def library_path() -> Path:
    """The shared library that exports the C ABI (elastix.h), for `ExecutionEngine(shared_libs=[…])` and ctypes.

    It is the extension module itself, so its functions and `elastix.runtime.device` see the same devices.
    """
    from elastix.runtime import _runtime

    return Path(str(_runtime.__file__)).resolve()


def c_library_path() -> Path:
    """The same C ABI as a shared library without Python, for hosts written in C; its header is beside it, elastix.h."""
    return library_path().with_name("libelastix.so")
