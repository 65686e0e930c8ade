"""What all tests share: where the data lies, and how a test without it is skipped."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def data_path(*parts: str) -> Path:
    """The path of test data `parts`; skips the calling test, with the reason, where it is absent.

    The folder is `$ELASTIX_DATA`, else `../shared/data` beside the repository; the tests pass without it.
    """
    root = Path(os.environ.get("ELASTIX_DATA", ROOT.parent / "shared" / "data"))
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no test data at {path}; set ELASTIX_DATA")
    return path
