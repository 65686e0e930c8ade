"""A pass is read off its function; pipelines are read off their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import ModuleOp, compiler_pass
from elastix.compiler.ir.pipeline_text import Step, read_pipeline


@compiler_pass
def widen_things(module: ModuleOp, *, max_width: int = 8192, fast: bool = False, by: float = 1.5) -> None:
    """Widen
    what is narrow.

    More about it.

    max_width: widest row, in elements,
        that fits.
    """


def test_name_summary_and_options():
    assert (widen_things.name, widen_things.summary) == ("widen-things", "Widen what is narrow.")
    assert [(o.name, o.type, o.default) for o in widen_things.options] == [
        ("max-width", int, 8192),
        ("fast", bool, False),
        ("by", float, 1.5),
    ]
    assert widen_things.option("max-width").help == "widest row, in elements, that fits."


def test_options_are_set_and_spelled():
    assert str(widen_things) == "widen-things"
    assert str(widen_things.with_options(max_width=4, fast=True)) == "widen-things{max-width=4 fast=true}"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("max-width", "17", 17), ("fast", "true", True), ("fast", "0", False), ("by", "2", 2.0)],
)
def test_option_values(name: str, text: str, value: object):
    assert widen_things.option(name).read(text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("max-width", "wide", "option max-width=wide; wanted: a value of type int"),
        ("fast", "yes", "option fast=yes; wanted: true, false, 1 or 0"),
    ],
)
def test_wrong_option_values(name: str, text: str, message: str):
    with pytest.raises(ElastixError) as error:
        widen_things.option(name).read(text)
    assert str(error.value) == message


def test_unknown_option_says_the_nearest():
    with pytest.raises(ElastixError) as error:
        widen_things.with_options(max_witdh=3)
    assert str(error.value) == (
        "pass widen-things has no option 'max-witdh'; wanted: max-width or fast or by; did you mean max-width?"
    )


def test_a_pass_must_be_documented_and_its_options_plain():
    with pytest.raises(TypeError, match="needs a docstring"):

        @compiler_pass
        def silent(module: ModuleOp) -> None: ...

    with pytest.raises(TypeError, match="keyword-only"):

        @compiler_pass
        def positional(module: ModuleOp, width: int = 3) -> None:
            """Do."""

    with pytest.raises(TypeError, match="not int, bool, str or float"):

        @compiler_pass
        def listed(module: ModuleOp, *, widths: list[int] = []) -> None:  # noqa: B006
            """Do."""


def test_a_pipeline():
    steps = read_pipeline("builtin.module( a{x=1 y='p q'} , func.func(cse, b{z={1,2}}),canonicalize)")
    assert steps == (
        Step("a", "x=1 y='p q'"),
        Step("func.func", nested=(Step("cse"), Step("b", "z={1,2}"))),
        Step("canonicalize"),
    )
    assert steps[0].option_values() == {"x": "1", "y": "p q"}
    assert read_pipeline("a,b") == (Step("a"), Step("b"))
    assert read_pipeline(" ") == read_pipeline("builtin.module()") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,,b", "',b' at column 3 of the pipeline; wanted: the name of a pass"),
        ("a{x=1", "'x=1' at column 3 of the pipeline; wanted: a closing brace for this one"),
        ("builtin.module(a", "'the end' at column 17 of the pipeline; wanted: a comma or a closing parenthesis"),
        ("a b", "'b' at column 3 of the pipeline; wanted: a comma or the end"),
        ("a,", "'the end' at column 3 of the pipeline; wanted: the name of a pass"),
    ],
)
def test_wrong_pipelines(text: str, message: str):
    with pytest.raises(ElastixError) as error:
        read_pipeline(text)
    assert str(error.value) == message


names = st.from_regex(r"[a-z][a-z0-9\-]{0,8}", fullmatch=True)
plain = st.builds(Step, names, st.sampled_from(["", "x=1", "x=1 y={a=2,b}", "v='a b'"]))
steps = st.recursive(
    plain,
    lambda inner: st.builds(lambda name, nested: Step(name, nested=tuple(nested)), names, st.lists(inner, max_size=3)),
    max_leaves=6,
)


@given(st.lists(steps, max_size=4))
def test_text_and_back(pipeline: list[Step]):
    text = "builtin.module(" + ",".join(map(str, pipeline)) + ")"
    assert read_pipeline(text) == tuple(pipeline)


@compiler_pass
def speak(module: ModuleOp, *, words: str = "", times: int = 1, loud: bool = False) -> None:
    """Say something."""


@given(st.text(st.characters(codec="ascii", exclude_characters='"\n\r'), max_size=12), st.integers(), st.booleans())
def test_a_set_pass_is_spelled_so_that_it_reads_back(words: str, times: int, loud: bool):
    (step,) = read_pipeline(str(speak.with_options(words=words, times=times, loud=loud)))
    assert {name: speak.option(name).read(value) for name, value in step.option_values().items()} == {
        "words": words,
        "times": times,
        "loud": loud,
    }
