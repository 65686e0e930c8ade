"""`torch.compile(backend="elastix")` by its name, and with weights that change or are of another kind."""

import subprocess
import sys

import pytest
import torch

from elastix.compiler.backend import elastix
from elastix.compiler.errors import CannotCompile


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(2)
    torch._dynamo.reset()


def relative_error(found: torch.Tensor, eager: torch.Tensor) -> float:
    """Norm of the difference over the norm; not 0, which would mean that eager PyTorch computed it."""
    error = ((found - eager).norm() / eager.norm()).item()
    assert error > 0
    return error


class Scaled(torch.nn.Module):
    """One linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(40, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_weights_written_through_data_are_packed_again() -> None:
    model, x = Scaled(), torch.randn(2, 40)
    compiled = torch.compile(model, backend=elastix)
    with torch.no_grad():
        compiled(x)
        model.layer.weight.data.mul_(3)
        assert relative_error(compiled(x), model(x)) < 0.02
        model.layer.weight.data = torch.randn(24, 40)
        assert relative_error(compiled(x), model(x)) < 0.02


def test_a_model_made_in_inference_mode() -> None:
    with torch.inference_mode():
        model, x = Scaled(), torch.randn(2, 40)
        assert relative_error(torch.compile(model, backend=elastix)(x), model(x)) < 0.02


def test_narrow_weights_fall_back_if_the_user_allows_it() -> None:
    model, x = Scaled().bfloat16(), torch.randn(2, 40).bfloat16()
    with torch.no_grad():
        with pytest.raises(Exception, match=r"cannot compile weight .*bfloat16; wanted: torch.float32"):
            torch.compile(model, backend=elastix)(x)
        torch.compiler.reset()
        eager = torch.compile(model, backend=elastix, options={"fallback": "eager"})
        assert torch.equal(eager(x), model(x))


def test_a_number_that_changes_is_an_input() -> None:
    model, x = Scaled(), torch.randn(2, 40)
    compiled = torch.compile(lambda x, scale: model(x) * scale, backend=elastix)
    with torch.no_grad():
        for scale in (1.5, 2.5, 3.5):
            assert relative_error(compiled(x, scale), model(x) * scale) < 0.02


def test_random_numbers_are_left_to_eager() -> None:
    compiled = torch.compile(lambda x: torch.rand_like(x), backend=elastix, options={"fallback": "eager"})
    with torch.no_grad():
        torch.manual_seed(5)
        found = compiled(torch.zeros(3))
        torch.manual_seed(5)
        assert torch.equal(found, torch.rand_like(torch.zeros(3)))


def test_an_empty_batch_is_refused() -> None:
    with (
        torch.no_grad(),
        pytest.raises(CannotCompile, match=r"an input of shape \(0, 40\): it has no elements"),
    ):
        torch.compile(Scaled(), backend=elastix)(torch.randn(0, 40))


NAMED = """
import torch
model, x = torch.nn.Linear(40, 24), torch.randn(2, 40)
with torch.no_grad():
    error = (torch.compile(model, backend="elastix", options={"bits": 8})(x) - model(x)).norm() / model(x).norm()
import sys
assert "elastix.compiler.backend" in sys.modules
print(f"{error:.6f}")
"""


def test_the_backend_is_found_by_its_name() -> None:
    """In a process that imports nothing of ours."""
    done = subprocess.run([sys.executable, "-c", NAMED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 0.02
