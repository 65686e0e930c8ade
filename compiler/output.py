"""An output folder that is there whole or not at all."""

import errno
import shutil
import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import FILE_NAME


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def must_be_free(out: Path, *, overwrite: bool, marker: str, maker: str) -> None:
    """Raises ElastixError unless `new_folder` could make `out`: work that takes long asks before it begins."""
    if out.exists() and not overwrite:
        raise ElastixError(
            f"{out} exists", wanted="a folder that is not there yet", do="give another -o, or --overwrite"
        )
    if out.exists() and not (out / marker).is_file():
        raise ElastixError(f"{out} was not made by `{maker}`", wanted=f"a folder with {marker}", do="give another -o")
    if not out.resolve().parent.is_dir():
        raise ElastixError(
            f"there is no folder {out.resolve().parent}", wanted="the parent of the output folder", do="create it first"
        )


@contextmanager
def new_folder(
    out: Path, *, overwrite: bool = False, marker: str = FILE_NAME, maker: str = "elastix compile"
) -> Generator[Path, None, None]:
    """A folder to fill, beside `out`, that becomes `out` when the block ends well and vanishes when it does not.

    overwrite: a folder that `maker` made before may be there, known by its file `marker`; it stays until the new one
    is whole.
    Raises ElastixError when `out` exists (else), its parent does not, or the disk fills up. A polite kill
    (SIGTERM) counts as an interrupt.
    """
    must_be_free(out, overwrite=overwrite, marker=marker, maker=maker)
    staging: Path | None = None
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.resolve().parent))
        staging.chmod(0o755)
        yield staging
        before = staging.with_suffix(".before")
        if out.exists():
            out.rename(before)
        staging.rename(out)
        staging = None
        shutil.rmtree(before, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ElastixError(
                f"the disk of {out} is full",
                wanted="room for the weights and the RTL",
                do="free some, or give another -o",
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS):
            raise ElastixError(f"cannot write beside {out}: {error.strerror}", do="give another -o") from error
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
