"""Patterns: what they return is what happens."""

import pytest

from elastix.compiler.errors import ElastixError
from elastix.compiler.ir import (
    CHANGED,
    ModuleOp,
    OpView,
    Replacement,
    StringAttr,
    Value,
    parse,
    pattern,
    place,
    rewrite_until_stable,
    text_of,
)
from elastix.dialects import elx

TEXT = """
func.func @f(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %0 = "elx.activation"(%x) {kind = "relu"} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %1 = "elx.activation"(%0) {kind = "relu"} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}"""


def module() -> ModuleOp:
    return parse(TEXT)


def activations(of: ModuleOp) -> list[elx.ActivationOp]:
    return [op for op in of.body.operations[0].regions[0].blocks[0] if isinstance(op, elx.ActivationOp)]


def test_a_value_replaces_and_dead_ops_go():
    @pattern
    def twice(outer: elx.ActivationOp) -> Value | None:
        match outer.x.owner:
            case elx.ActivationOp(kind=kind) as inner if kind == outer.kind:
                return inner.result
        return None

    m = module()
    rewrite_until_stable(m, twice)
    assert len(activations(m)) == 1


def test_an_op_replaces_and_takes_place_and_location():
    @pattern
    def to_silu(op: elx.ActivationOp) -> OpView | None:
        return elx.ActivationOp(x=op.x, kind="silu") if op.kind == "relu" else None

    m = module()
    rewrite_until_stable(m, to_silu)
    assert [op.kind for op in activations(m)] == ["silu", "silu"]
    assert [place(op.location)[1] for op in activations(m)] == [3, 4]
    m.operation.verify()


def test_none_leaves_the_module_as_it_was():
    @pattern
    def never(op: elx.ActivationOp) -> None:
        return None

    m = module()
    before = text_of(m)
    rewrite_until_stable(m, never)
    assert text_of(m) == before


def test_changed_in_place():
    @pattern
    def rename(op: elx.ActivationOp) -> Replacement:
        if op.kind == "gelu":
            return None
        op.attributes["kind"] = StringAttr.get("gelu")
        return CHANGED

    m = module()
    rewrite_until_stable(m, rename)
    assert [op.kind for op in activations(m)] == ["gelu", "gelu"]


def test_an_empty_sequence_erases():
    @pattern
    def erase(op: elx.ActivationOp) -> Replacement:
        return () if not any(op.result.uses) else None

    m = parse(
        "func.func @f(%x: tensor<2xf32>) {\n"
        '  %0 = "elx.activation"(%x) {kind = "relu"} : (tensor<2xf32>) -> tensor<2xf32>\n'
        "  return\n}"
    )
    rewrite_until_stable(m, erase)
    assert activations(m) == []


def test_what_a_pattern_raises_comes_out():
    @pattern
    def fails(op: elx.ActivationOp) -> None:
        raise ElastixError("no")

    with pytest.raises(ElastixError, match="no"):
        rewrite_until_stable(module(), fails)


def test_patterns_that_undo_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("elastix.compiler.ir.patterns._MOST_REWRITES", 1000)

    @pattern
    def there(op: elx.ActivationOp) -> OpView | None:
        return elx.ActivationOp(x=op.x, kind="silu") if op.kind == "relu" else None

    @pattern
    def back(op: elx.ActivationOp) -> OpView | None:
        return elx.ActivationOp(x=op.x, kind="relu") if op.kind == "silu" else None

    with pytest.raises(ElastixError, match="the patterns there, back never settle"):
        rewrite_until_stable(module(), there, back)


def test_a_pattern_needs_an_op_class():
    with pytest.raises(TypeError, match="must take one parameter annotated with an op class"):

        @pattern
        def wrong(op: int) -> None:  # pyright: ignore
            return None
