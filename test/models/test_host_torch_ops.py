"""Torch ops that elx does not cover, compiled for the host: eager PyTorch's numbers and types."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastix.compiler.errors import CannotCompile
from elastix.compiler.importer.torch_module import import_module
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import compile_module


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def floats(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


CASES: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "rank 0 and an input given back": (lambda x: (x.sum(), x), (floats(3, 4),)),
    "bools in and out": (lambda x, m: (torch.where(m, x, -x), x > 0, (x > 5).any()), (floats(3, 4), floats(3, 4) > 0)),
    "integers": (lambda x: (x // 3, x % 3, x.argmax(-1), x.to(torch.int32)), (torch.arange(12).view(3, 4) % 5,)),
    "sort and top k": (lambda x: (*torch.sort(x), *torch.topk(x, 2)), (floats(3, 8),)),
    "scan": (lambda x: x.cumsum(-1), (floats(3, 4),)),
    "scatter": (lambda x, i: torch.zeros(9).index_put((i,), x), (floats(4), torch.tensor([8, 2, 5, 0]))),
    "gather": (lambda x, i: x.gather(1, i), (floats(3, 8), torch.randint(0, 8, (3, 2)))),
    "convolution and pools": (
        lambda x, w: (F.max_pool2d(F.conv2d(x, w, padding=1), 2), F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 1)),
        (floats(1, 3, 8, 8), floats(4, 3, 3, 3)),
    ),
    "concatenation of views": (lambda x, y: torch.cat([x[:, 1:], y.expand(3, 2)], -1), (floats(3, 8), floats(1, 2))),
    "math": (lambda x: (x.sin(), x.exp(), x.tanh(), x.erf(), x.rsqrt(), x.log_softmax(-1)), (floats(3, 8).abs(),)),
    "constants": (lambda x: x + torch.arange(4) * 2.5, (floats(3, 4),)),
}


@pytest.mark.parametrize("name", CASES)
def test_torch_ops_on_the_host(name: str):
    function, inputs = CASES[name]
    program = compile_module(import_module(Calls(function), inputs), CompileOptions())
    given = {tensor.name: value.numpy() for tensor, value in zip(program.inputs, inputs, strict=True)}
    found = list(program.run(given).values())
    answer = function(*inputs)
    expected = list(answer) if isinstance(answer, tuple) else [answer]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, str(a.dtype)) == (tuple(b.shape), str(b.dtype).removeprefix("torch."))
        np.testing.assert_allclose(a, b.numpy(), rtol=2e-5, atol=2e-6)


def test_an_op_without_a_way_to_host_code_is_named_with_its_line():
    module = Calls(lambda x: torch.special.bessel_j0(x) + 1)
    with pytest.raises(CannotCompile, match=r"compile torch\.aten\.special_bessel_j0: it does not") as caught:
        compile_module(import_module(module, (floats(3),)), CompileOptions())
    assert "test_host_torch_ops.py:" in str(caught.value)
