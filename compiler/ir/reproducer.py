"""The file that repeats a pass's failure: the IR before the pass, headed by the command line."""

import hashlib
from pathlib import Path


def write_reproducer(folder: Path, pass_name: str, ir: str) -> Path:
    """Writes the file, named after the pass and its content, and returns its path."""
    digest = hashlib.sha256(ir.encode()).hexdigest()[:12]
    path = folder / f"elastix-{pass_name.partition('{')[0].partition('(')[0]}-{digest}.mlir"
    path.write_text(f"// elastix-opt {path} --pass-pipeline='builtin.module({pass_name})'\n{ir}")
    return path
