"""Any module through the one import path: names of arguments, what is computed at once, where errors point."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from elastix.compiler.errors import CannotCompile
from elastix.compiler.importer.torch_module import import_module
from elastix.compiler.ir import text_of
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import compile_module


class Counting(nn.Module):
    """A layer under two names, a buffer that is written, one that is read, a constant, weights that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.second = self.first
        self.unused = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("shift", torch.tensor([1.0, 2.0, 3.0, 4.0]), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        self.calls.add_(1.0)
        return self.second(self.first(x)) + self.shift + torch.tensor(0.5), None


def test_arguments_say_what_they_are() -> None:
    imported = import_module(Counting(), (torch.randn(2, 4),), ["x"])
    kinds = {argument.name: argument.kind for argument in imported.arguments}
    assert kinds == {
        "first.weight": "weight",
        "calls": "cache",
        "shift": "buffer",
        "lifted_tensor_0": "buffer",
        "x": "input",
    }
    assert [(result.name, result.writes) for result in imported.results] == [("calls", "calls"), ("result0", "")]
    assert imported.store.read("shift").tolist() == [1, 2, 3, 4] and imported.store.read("lifted_tensor_0") == 0.5
    text = text_of(imported.module)
    assert 'elx.kind = "cache", elx.name = "calls"' in text and '{elx.writes = "calls"}' in text


def test_every_op_bears_the_line_of_the_model() -> None:
    text = text_of(import_module(Counting(), (torch.randn(2, 4),)).module, locations=True)
    assert f"{Path(__file__)}" in text and f'"{torch.__path__[0]}' not in text


class Packed(nn.Module):
    """The mask of packed sequences as transformers computes it, and a table, both from nothing but constants."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(x.shape[-1])[None]
        sequence = (torch.diff(positions, prepend=positions[:, :1] - 1) != 1).cumsum(-1)
        seen = (positions[:, None] <= positions[:, :, None]) & (sequence[:, None] == sequence[:, :, None])
        return torch.where(seen, x, -1.0), x * torch.linspace(0, 1, x.shape[-1])


def test_constants_are_computed_at_once() -> None:
    imported = import_module(Packed(), (torch.randn(1, 3, 3),), ["x"])
    text = text_of(imported.module)
    assert "aten.diff" not in text and "aten.cumsum" not in text and "aten.linspace" not in text
    # The mask is causal, and written so that it is seen to be; the table comes out of the store.
    assert "torch.aten.le.Tensor" in text
    (table,) = imported.of_kind("buffer")
    assert imported.store.read(table.name).tolist() == [0.0, 0.5, 1.0]
    x = torch.randn(1, 3, 3)
    found = compile_module(imported, CompileOptions()).run({"x": x.numpy()})
    for array, eager in zip(found.values(), Packed()(x), strict=True):
        assert np.array_equal(array, eager.numpy())


class Alike(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        positive = x > 0
        return torch.where(positive, 0.0, -1.0), torch.where(positive, 0.0, -1.0)


def test_two_results_of_one_value() -> None:
    x = torch.randn(3, 4)
    found = compile_module(import_module(Alike(), (x,), ["x"]), CompileOptions()).run({"x": x.numpy()})
    assert [array.tolist() for array in found.values()] == [each.tolist() for each in Alike()(x)]


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # the line that the error names
            return x
        return -x


def test_a_model_that_cannot_be_traced_is_an_error_at_its_line() -> None:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = 1 + next(n for n, text in enumerate(lines) if text.endswith("# the line that the error names"))
    with pytest.raises(CannotCompile, match="cannot compile Branching") as caught:
        import_module(Branching(), (torch.randn(3),))
    assert caught.value.where == f"{Path(__file__)}:{line}"
