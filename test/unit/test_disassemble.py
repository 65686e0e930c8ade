"""What `elastix disassemble` prints, and what it refuses."""

from pathlib import Path

import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.processor.step.assembly import from_text, reference
from elastix.tools.disassemble import command

LINES = ("load target=CONSTANT count=0x8 to=0x40", "vector operation=COPY count=0x8", "end wait_load=1")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.bin"
    path.write_bytes(b"".join(from_text(line).encode() for line in LINES))
    return path


@pytest.mark.parametrize(("options", "lines"), [((), LINES), (("--count", "2"), LINES[:2])])
def test_what_is_assembled_is_printed(
    program: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], lines: tuple[str, ...]
) -> None:
    assert command([str(program), *options]) == 0
    assert capsys.readouterr().out == "".join(f"{number:5}  {line}\n" for number, line in enumerate(lines))


def test_the_instruction_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--reference"]) == 0
    assert capsys.readouterr().out == reference()


def test_what_has_no_program(program: Path, tmp_path: Path) -> None:
    for path, options, found in (
        (tmp_path / "nothing", (), "no file"),
        (tmp_path, (), "no manifest.json in"),
        (program, ("--count", "0"), "--count 0"),
    ):
        with pytest.raises(ElastixError, match=found):
            command([str(path), *options])
    program.write_bytes(program.read_bytes()[:128])
    with pytest.raises(ElastixError, match=r"a program with END at \[\]; wanted: one END"):
        command([str(program)])
