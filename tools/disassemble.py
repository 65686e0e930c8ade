"""`elastix disassemble OUT`: the program of a compiled model as text, an instruction a line."""

import argparse
from pathlib import Path

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import load_manifest
from elastix.compiler.processor.step.assembly import reference, to_text
from elastix.compiler.processor.step.instructions import decode_program
from elastix.compiler.program_runner import PROGRAM_FILE
from elastix.compiler.step.manifest import is_step_folder, load_step_manifest


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    result = argparse.ArgumentParser(prog="elastix disassemble", description=__doc__)
    what = result.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "folder", type=Path, nargs="?", metavar="OUT", help="a folder of elastix compile --whole-step, or a program.bin"
    )
    what.add_argument("--reference", action="store_true", help="print the instruction set instead")
    result.add_argument("--count", type=int, metavar="N", help="only the first N instructions")
    return result


def command(argv: list[str]) -> int:
    """Print. Raises ElastixError for a folder without such a program, and for bytes that are no instruction."""
    arguments = parser().parse_args(argv)
    if arguments.reference:
        print(reference(), end="")
        return 0
    count: int | None = arguments.count
    if count is not None and count < 1:
        raise ElastixError(f"--count {count}", wanted="1 or more")
    path: Path = arguments.folder
    if path.is_dir():
        if not is_step_folder(path):
            load_manifest(path)  # which says what is wrong with a manifest that cannot be read
            raise ElastixError(
                f"{path} has no program of a step processor", wanted="a folder of elastix compile --whole-step"
            )
        path = path / PROGRAM_FILE
    if is_step_folder(path.parent):
        load_step_manifest(path.parent)  # which refuses files that are not as they were written
    if not path.is_file():
        raise ElastixError(f"no file {path}", wanted="a program.bin, or the folder that has it")
    for number, instruction in enumerate(decode_program(path.read_bytes())[:count]):
        print(f"{number:5}  {to_text(instruction)}")
    return 0
