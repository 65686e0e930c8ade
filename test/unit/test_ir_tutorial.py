"""The tutorial's code, extracted from the page and run in a copy of the project's packages."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "passes" / "TUTORIAL.md").read_text()
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(kind, rest.strip(), text) for kind, rest, text in BLOCK.findall(PAGE)]


def block(kind: str, rest: str) -> str:
    return next(text for found, more, text in BLOCKS if (found, more) == (kind, rest))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's Python with the tutorial's files in it."""
    root = tmp_path_factory.mktemp("tutorial")
    package = root / ".pkg" / "elastix"
    package.mkdir(parents=True)
    shutil.copy(ROOT / ".pkg" / "elastix" / "__init__.py", package)
    for folder in ("compiler", "dialects", "tools", "passes"):
        ignore = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
        (package / folder).symlink_to(root / folder)
    for _, rest, text in BLOCKS:
        if found := re.match(r"file=(\S+)", rest):
            path = root / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    stage = root / "passes" / "s2_fuse" / "__init__.py"
    source = stage.read_text()
    stage.write_text(
        "from elastix.passes.s2_fuse.merge_relus import merge_relus\n" + source.replace("\n)", "\n    merge_relus,\n)")
    )
    return root


OPT = """
import runpy, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("_editable")]
runpy.run_module("elastix.tools.opt", run_name="__main__", alter_sys=True)
"""
"""elastix-opt of the copy: an editable installation's finder would come before PYTHONPATH."""


def opt(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project / ".pkg")}
    command = [sys.executable, "-c", OPT, *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_the_commands_run_and_show_what_the_page_says(project: Path):
    shown, helped = block("sh", "run").strip().splitlines()
    assert shown == "elastix-opt net.mlir -p 'merge-relus{max-width=8}' --show-every-pass"
    assert helped == "elastix-opt --help merge-relus"
    ran = opt(project, "net.mlir", "-p", "merge-relus{max-width=8}", "--show-every-pass")
    assert ran.returncode == 0, ran.stderr
    assert re.sub(r"\([\d.]+ ms\)", "(MS ms)", ran.stderr).strip() == block("text", "stderr").strip()
    ran = opt(project, "--help", "merge-relus")
    assert "max-width: int = 8192  widest row, in elements, that is looked at." in ran.stdout


def test_the_lit_test_passes(project: Path):
    test = project / "test" / "passes" / "s2_fuse" / "merge_relus.mlir"
    arguments = [str(test), "-p", "merge-relus{max-width=8}", "--split-input-file", "--verify-diagnostics"]
    ran = opt(project, *arguments)
    assert ran.returncode == 0, ran.stderr
    check = Path(sys.executable).parent / "filecheck"
    checked = subprocess.run([check, test], input=ran.stdout, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_wrong_lit_test_fails(project: Path):
    """A test that cannot fail is no test: without the pass, the first case's CHECK-NOT must be hurt."""
    test = project / "test" / "passes" / "s2_fuse" / "merge_relus.mlir"
    ran = opt(project, str(test), "--split-input-file")
    check = Path(sys.executable).parent / "filecheck"
    checked = subprocess.run([check, test], input=ran.stdout, capture_output=True, text=True, check=False)
    assert checked.returncode != 0
