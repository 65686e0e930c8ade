"""What all tests share: where the data lies, and how a test without it is skipped."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from elastix.compiler.ir.runner import run_passes
from elastix.tools.bench import data_folder

pytest_plugins = ("models.compiled_models", "models.step_models")

CLASSES = ("unit", "property", "dialects", "passes", "tools", "rtl", "models")
"""The folders of tests, quickest first."""
ROOT = Path(__file__).resolve().parent.parent


def data_path(*parts: str) -> Path:
    """The path of test data `parts`; skips the calling test, with the reason, where it is absent.

    The folder is `$ELASTIX_DATA`, else `../shared/data` beside the repository; the tests pass without it.
    """
    path = data_folder().joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no test data at {path}; set ELASTIX_DATA")
    return path


def heed_interrupts() -> None:
    """For a process before it begins: SIGINT is not ignored, as it is where a shell runs tests in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def reproducers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a failing pass leaves lies among the tests' own files, also from processes that a test starts."""
    folder = tmp_path_factory.mktemp("reproducers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        # The default was the temporary folder when the module was imported.
        patch.setitem(run_passes.__kwdefaults__, "reproducers", folder)
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread: the layers of test models are small, so threads would only wait for each other."""
    import torch  # takes seconds

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Quick classes run before slow ones; within a class the order stays."""

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "test").parts[0]
        return CLASSES.index(folder) if folder in CLASSES else len(CLASSES)

    items.sort(key=place)
