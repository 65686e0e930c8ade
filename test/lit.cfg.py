"""lit's configuration: `lit -v test` runs every .mlir file's RUN lines with the environment's own elastix-opt."""

import sys
from pathlib import Path

import lit.formats

ROOT = Path(__file__).resolve().parent.parent

# The interpreter that runs lit has the project, filecheck and torch-mlir beside it.
_python = sys.executable
_tools = Path(_python).parent

config.name = "elastix"  # noqa: F821  (lit defines `config`)
config.test_format = lit.formats.ShTest()  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
config.excludes = ["Inputs"]  # noqa: F821
config.test_source_root = str(ROOT / "test")  # noqa: F821
config.test_exec_root = str(ROOT / "build" / "lit")  # noqa: F821
config.environment["PYTHONPATH"] = str(ROOT / ".pkg")  # noqa: F821
# What a failing pass leaves lies here, not in the machine's temporary folder.
_temporary = ROOT / "build" / "lit" / "temporary"
_temporary.mkdir(parents=True, exist_ok=True)
config.environment["TMPDIR"] = str(_temporary)  # noqa: F821
config.substitutions += [  # noqa: F821
    ("%python", _python),
    (r"\belastix-opt\b", f"{_python} -m elastix.tools.opt"),
    (r"\belastix\b(?= (?:show|eval|quantize|disassemble)\b)", f"{_python} -m elastix.tools.cli"),
    (r"\bfilecheck\b", str(_tools / "filecheck")),
]
config.maxIndividualTestTime = 20  # noqa: F821
