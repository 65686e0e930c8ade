"""The text that an evaluation reads: tokens of a file, cut into windows that a model sees one by one."""

import codecs
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from elastix.compiler.errors import ElastixError
from elastix.compiler.tokenizer import TextCodec, load, save

_CHUNK: Final = 1 << 20
_CHARACTERS_PER_TOKEN: Final = 20
"""Enough for most texts; where it is not, more is read."""
_MARGIN: Final = 64
"""Tokens near a cut through a text may differ from those of the whole text."""


@dataclass(frozen=True)
class TextOptions:
    """Which tokens of a text, and how the model sees them.

    tokens: how many; offset: tokens skipped before; context: most tokens in a window; lines: every line that is not
    empty, without the blanks around it, is encoded by itself, otherwise the text as a whole; bos: each window begins
    with the model's first token, which counts in `context` but not in `tokens`.
    Raises ElastixError for counts out of range.
    """

    tokens: int = 2048
    offset: int = 0
    context: int = 512
    lines: bool = False
    bos: bool = False

    def __post_init__(self) -> None:
        least = {"tokens": 1 if self.bos else 2, "offset": 0, "context": 2}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ElastixError(f"--{name} {getattr(self, name)}", wanted=f"at least {smallest}")


def codec_of(path: Path) -> TextCodec:
    """The tokenizer of a folder or GGUF file; raises ElastixError where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        if path.is_file():
            save(path, Path(folder))
        elif not (path / "tokenizer.json").is_file():
            raise ElastixError(f"no tokenizer.json in {path}", wanted="a language model with its tokenizer")
        return load(Path(folder) if path.is_file() else path)


def windows_of(path: Path, codec: TextCodec, options: TextOptions) -> list[list[int]]:
    """Token ids of a text file's windows.

    Raises ElastixError where the file is missing, is not UTF-8 (with the byte's offset) or has too few tokens, and for
    `bos` where the tokenizer has no such token.
    """
    bos = codec.begin_of_text if options.bos else None
    if options.bos and bos is None:
        raise ElastixError("--bos with a tokenizer that has no such token", wanted="a bos_token in its configuration")
    return windows(read_tokens(path, codec, options), options.context, bos)


def check_text(path: Path) -> None:
    """Raises ElastixError where the file is missing or is not UTF-8 (with the byte's offset)."""
    _beginning(path, 0)


def read_tokens(path: Path, codec: TextCodec, options: TextOptions) -> list[int]:
    """The ids that the options choose; no more of the text is encoded than they need. Raises as `windows_of` does."""
    wanted = options.offset + options.tokens
    characters = _CHARACTERS_PER_TOKEN * (wanted + _MARGIN)
    while True:
        text, whole = _beginning(path, characters)
        ids = _encoded(text, codec, options.lines, wanted + _MARGIN)
        if whole or len(ids) >= wanted + _MARGIN:
            break
        characters *= 4
    if len(ids) < wanted:
        skipped = f" after the {options.offset:,} that --offset skips" if options.offset else ""
        left = max(len(ids) - options.offset, 0)
        raise ElastixError(
            f"{path} has {len(ids):,} tokens",
            wanted=f"{options.tokens:,}{skipped}",
            do=f"give --tokens {left}, or a longer text" if left > 1 else "give a longer text",
        )
    return ids[options.offset : wanted]


def _encoded(text: str, codec: TextCodec, lines: bool, enough: int) -> list[int]:
    ids: list[int] = []
    for piece in filter(None, map(str.strip, text.splitlines())) if lines else [text]:
        ids += codec.ids(piece)
        if len(ids) >= enough:
            break
    return ids


def _beginning(path: Path, characters: int) -> tuple[str, bool]:
    """The first so many characters, and whether they are all. The whole file must be UTF-8; it need not fit memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, read, pending = "", 0, 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                pending = len(decoder.getstate()[0])
                text += decoder.decode(chunk)[: max(characters + 1 - len(text), 0)]
                read += len(chunk)
            pending = len(decoder.getstate()[0])
            decoder.decode(b"", final=True)
    except FileNotFoundError:
        raise ElastixError(f"no text at {path}", wanted="a UTF-8 text file", do="check the path") from None
    except OSError as error:
        raise ElastixError(f"cannot read {path}: {error.strerror}", wanted="a UTF-8 text file") from None
    except UnicodeDecodeError as error:
        at = read - pending + error.start
        raise ElastixError(f"{path} is not UTF-8: {error.reason} at byte {at:,}", wanted="a UTF-8 text file") from None
    whole = len(text) <= characters
    return text[:characters].replace("\r\n", "\n").replace("\r", "\n"), whole


def windows(ids: list[int], length: int, bos: int | None = None) -> list[list[int]]:
    """Tokens cut into windows of at most `length` inputs, each begun with `bos` if there is one."""
    if bos is None:
        return [ids[i : i + length] for i in range(0, len(ids), length)]
    return [[bos, *ids[i : i + length - 1]] for i in range(0, len(ids), length - 1)]
