"""Texts for an evaluation: windows, and one clear error for each text that will not do."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from elastix.compiler.errors import ElastixError
from elastix.compiler.evaluate_text import TextOptions, check_text, read_tokens, windows, windows_of
from elastix.compiler.tokenizer import TextCodec


@pytest.fixture
def codec() -> TextCodec:
    """A word is a token; `<s>` begins a text."""
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "a": 1, "b": 2, "?": 3}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    return TextCodec(tokenizer, {"bos_token": "<s>"}, None)


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_windows() -> None:
    assert windows([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert windows([1, 2, 3, 4, 5], 3, bos=0) == [[0, 1, 2], [0, 3, 4], [0, 5]]


def test_a_part_of_a_text(tmp_path: Path, codec: TextCodec) -> None:
    path = written(tmp_path, "a b\r\n\n a a\rb b")
    assert read_tokens(path, codec, TextOptions(tokens=3, offset=1)) == [2, 1, 1]
    assert windows_of(path, codec, TextOptions(tokens=6, context=4, bos=True)) == [[0, 1, 2, 1], [0, 1, 2, 2]]
    assert windows_of(path, codec, TextOptions(tokens=6, context=4, lines=True)) == [[1, 2, 1, 1], [2, 2]]


def test_a_text_of_long_words_is_read_as_far_as_needed(tmp_path: Path, codec: TextCodec) -> None:
    """A hundred thousand characters before the second word, and a character of two bytes across a chunk's end."""
    path = written(tmp_path, "x" * 100_000 + " a " + "é" * (1 << 19) + " b b")
    assert read_tokens(path, codec, TextOptions(tokens=4, offset=1)) == [1, 3, 2, 2]
    check_text(path)


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("a b a", TextOptions(tokens=4), "has 3 tokens; wanted: 4; give --tokens 3, or a longer text"),
        ("a b a", TextOptions(), "has 3 tokens; wanted: 2,048; give --tokens 3, or a longer text"),
        (
            "a b a",
            TextOptions(tokens=2, offset=2),
            "has 3 tokens; wanted: 2 after the 2 that --offset skips; give a longer text",
        ),
        ("", TextOptions(tokens=4), "has 0 tokens; wanted: 4; give a longer text"),
        (b"a b \xff a", TextOptions(tokens=2), "is not UTF-8: invalid start byte at byte 4; wanted: a UTF-8 text file"),
        (
            b"a " * (1 << 19) + b"b \xc3",
            TextOptions(tokens=2),
            "is not UTF-8: unexpected end of data at byte 1,048,578",
        ),
        (b"a" * ((1 << 20) - 1) + b"\xc3 b", TextOptions(tokens=2), "invalid continuation byte at byte 1,048,575"),
    ],
)
def test_a_text_that_will_not_do(
    tmp_path: Path, codec: TextCodec, content: str | bytes, options: TextOptions, said: str
) -> None:
    with pytest.raises(ElastixError) as caught:
        windows_of(written(tmp_path, content), codec, options)
    assert said in str(caught.value)


def test_no_text(tmp_path: Path, codec: TextCodec) -> None:
    with pytest.raises(ElastixError, match=r"no text at .*gone\.txt; wanted: a UTF-8 text file; check the path"):
        windows_of(tmp_path / "gone.txt", codec, TextOptions())
    with pytest.raises(ElastixError, match=r"cannot read .*: Is a directory; wanted: a UTF-8 text file"):
        windows_of(tmp_path, codec, TextOptions())


def test_a_tokenizer_without_a_first_token(tmp_path: Path, codec: TextCodec) -> None:
    with pytest.raises(ElastixError, match="--bos with a tokenizer that has no such token"):
        windows_of(written(tmp_path, "a b"), TextCodec(codec.tokenizer, {}, None), TextOptions(tokens=2, bos=True))


@pytest.mark.parametrize(("name", "value", "least"), [("tokens", 1, 2), ("offset", -1, 0), ("context", 1, 2)])
def test_counts_out_of_range(name: str, value: int, least: int) -> None:
    with pytest.raises(ElastixError, match=f"--{name} {value}; wanted: at least {least}"):
        TextOptions(**{name: value})
