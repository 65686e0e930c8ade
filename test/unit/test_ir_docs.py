"""One pass = one file = one lit test with three cases = one line in its stage's tuple = one section of the docs."""

import re
from pathlib import Path

import pytest

from elastix.compiler.ir import Pass, stages
from elastix.tools.docs import ROOT, lit_test, wanted_files

PASS_FILES = sorted(
    path for path in (ROOT / "passes").glob("s*/*.py") if re.search(r"^@compiler_pass$", path.read_text(), re.MULTILINE)
)
PASSES = [(stage, each) for stage, passes in stages().items() for each in passes]
IDS = [each.name for _, each in PASSES]


@pytest.mark.parametrize("path", PASS_FILES, ids=lambda path: path.stem)
def test_every_pass_file_is_in_its_stages_tuple(path: Path):
    names = [each.name for each in stages()[path.parent.name]]
    assert path.stem.replace("_", "-") in names, f"add the pass to PASSES in {path.parent.name}/__init__.py"
    assert len(re.findall(r"^@compiler_pass$", path.read_text(), re.MULTILINE)) == 1, "one pass, one file"


@pytest.mark.parametrize(("stage", "each"), PASSES, ids=IDS)
def test_every_pass_is_in_the_file_of_its_name(stage: str, each: Pass):
    assert each.file.resolve() == ROOT / "passes" / stage / f"{each.name.replace('-', '_')}.py"


@pytest.mark.parametrize(("stage", "each"), PASSES, ids=IDS)
def test_every_pass_has_a_lit_test_with_three_cases(stage: str, each: Pass):
    """`// It fires`, `// It leaves alone`, `// It refuses`: each of them, without exception.

    A pass that raises shows the error. One that raises nothing shows a near miss, and what must not be made of it.
    """
    path = lit_test(stage, each)
    assert path.exists(), f"write {path.relative_to(ROOT)}"
    text = path.read_text()
    cases = re.findall(r"^ *// It (fires|leaves alone|refuses)\b", text, re.MULTILINE)
    assert each.name in text
    assert set(cases) == {"fires", "leaves alone", "refuses"}, cases
    shows_error = re.search(r"expected-error|not elastix-opt", text)
    if re.search(r"\b(RefusedOp|CannotCompile|ElastixError)\(", each.file.read_text()):
        assert shows_error, "wanted the error that it raises"
    elif not shows_error:
        near_miss = re.search(r"// It refuses(?:(?!// -----).)*", text, re.DOTALL)
        assert near_miss and "// CHECK" in near_miss[0], "wanted what must not be made of the near miss"


@pytest.mark.parametrize("path", wanted_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_docs_are_fresh(path: Path):
    assert path.read_text() == wanted_files()[path], "run python -m elastix.tools.docs"
