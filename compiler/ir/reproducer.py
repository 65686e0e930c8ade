"""The file that repeats a pass's failure: the IR before the pass, headed by the command line."""

import hashlib
import shlex
from pathlib import Path


def write_reproducer(folder: Path, pass_name: str, ir: str) -> Path:
    """Writes the file, named after the pass and its content, and returns its path."""
    digest = hashlib.sha256(ir.encode()).hexdigest()[:12]
    path = folder / f"elastix-{pass_name.partition('{')[0].partition('(')[0]}-{digest}.mlir"
    pipeline = shlex.quote(f"builtin.module({pass_name})")
    path.write_text(f"// elastix-opt {shlex.quote(str(path))} --pass-pipeline={pipeline}\n{ir}")
    return path
