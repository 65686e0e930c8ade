# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""Text files as windows of a model's tokens."""

from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor

from elastix.compiler.errors import ElastixError

_CHARACTERS_A_TOKEN: Final = 20
"""Of a long text so many are looked at first for each wanted token, not the whole of a book."""
_NEAR_THE_CUT: Final = 64
"""Tokens that may be others than the whole text has, because the text was cut behind them."""


def read_text(path: Path) -> str:
    """The contents of a UTF-8 file; raises ElastixError if it is missing, empty, or has a byte that is not UTF-8."""
    if not path.is_file():
        raise ElastixError(f"no text at {path}", wanted="a file of UTF-8 text", do="check the path")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts from behind a byte order mark.
        place = error.start + len(raw) - len(error.object)
        raise ElastixError(
            f"{path} has the byte 0x{raw[place]:02X} at offset {place}, which is not UTF-8 there",
            wanted="UTF-8 text",
            do=f"convert it: iconv -f latin1 -t utf-8 {path}",
        ) from error
    if not text.strip():
        raise ElastixError(f"{path} is empty", wanted="text")
    return text


def token_windows(
    model: Path, text: str, *, window: int, count: int, offset: int = 0, lines: bool = False, bos: bool = False
) -> Tensor:
    """Tokens `offset` … of a text by the tokenizer in a model's folder or GGUF file: int64 [count, window].

    lines: every line that is not empty is encoded by itself; bos: each window begins with the model's first token,
    which is not of the text. Raises ElastixError for a text with too few tokens, and without a tokenizer.
    """
    if window < 1 + bos or count < 1 or offset < 0:
        raise ElastixError(
            f"{count} windows of {window} tokens from token {offset}", wanted="some windows, from token 0 or later"
        )
    tokenizer = _tokenizer(model)
    first: int | None = tokenizer.bos_token_id if bos else None
    if bos and first is None:
        raise ElastixError(f"the tokenizer of {model} has no first token", wanted="one, to begin windows with")
    own = window - bos
    wanted = offset + count * own
    head = text[: _CHARACTERS_A_TOKEN * (wanted + _NEAR_THE_CUT)]
    ids = _encode(tokenizer, head, lines)
    if len(ids) < wanted + _NEAR_THE_CUT and len(head) < len(text):
        ids = _encode(tokenizer, text, lines)
    if len(ids) < wanted:
        raise ElastixError(
            f"a text of {len(ids):,} tokens",
            wanted=f"{wanted:,}: {count} windows of {own}" + (f" from token {offset:,} on" if offset else ""),
            do="take a longer text, or fewer tokens",
        )
    found = torch.tensor(ids[offset:wanted]).reshape(count, own)
    return found if first is None else torch.cat([torch.full((count, 1), first), found], 1)


def _encode(tokenizer: Any, text: str, lines: bool) -> list[int]:
    pieces = [line.strip() for line in text.splitlines() if line.strip()] if lines else [text]
    encoded = tokenizer(pieces, add_special_tokens=False, verbose=False).input_ids
    return [token for piece in encoded for token in piece]


def _tokenizer(model: Path) -> Any:
    from transformers import AutoTokenizer  # takes seconds

    if not model.exists():
        raise ElastixError(f"no model at {model}", wanted="a model's folder or a GGUF file", do="check the path")
    folder, gguf = (model.parent, model.name) if model.is_file() else (model, None)
    try:
        return cast(Any, AutoTokenizer).from_pretrained(str(folder), gguf_file=gguf, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ElastixError(
            f"no tokenizer in {model}: {reason}", wanted="tokenizer.json, or a GGUF file with its vocabulary"
        ) from error
