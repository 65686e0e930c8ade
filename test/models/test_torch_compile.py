"""`torch.compile(backend="elastix")`: every graph runs compiled, and gives what eager PyTorch does but for rounding."""

import logging
import re
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from models.whole_model import quantized
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from elastix.compiler.backend import CompiledGraph, elastix
from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.numbers.plan import uniform

# Root mean square of the error over that of the output, weights of 8 bits and activations of 11.
ROUNDING = 0.01


class Backend:
    """The backend, counting its calls."""

    def __init__(self) -> None:
        self.graphs: list[CompiledGraph] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[Any], **options: Any) -> CompiledGraph:
        self.graphs.append(elastix(graph, inputs, **options))
        return self.graphs[-1]

    @property
    def programs(self) -> int:
        """Programs that the graphs were compiled to; a graph left to eager PyTorch counts as none."""
        return sum(each.program is not None for graph in self.graphs for each in graph._compiled.values())


@pytest.fixture
def backend() -> Generator[Backend]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    with torch.no_grad():
        yield Backend()


def compiled(model: Callable[..., Any], backend: Backend, **options: Any) -> Callable[..., Any]:
    return torch.compile(model, backend=backend, options=options)


def relative_error(found: torch.Tensor, eager: torch.Tensor) -> float:
    """Root mean square of the difference over that of the output."""
    return ((found - eager).square().mean() / eager.square().mean()).sqrt().item()


def assert_rounded(found: torch.Tensor, eager: torch.Tensor, most: float = ROUNDING) -> None:
    """Close to eager, but not equal: equal to the bit would mean that eager PyTorch computed it."""
    assert 0 < (error := relative_error(found, eager)) <= most, error


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 10)).eval()


def small_llama() -> Any:
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=96,
        max_position_embeddings=64,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        parameter.uniform_(-0.3, 0.3)
    return model


def test_mlp(backend: Backend) -> None:
    model, x = mlp(), torch.randn(3, 40)
    assert_rounded(compiled(model, backend, bits=8)(x), model(x))
    assert (len(backend.graphs), backend.programs) == (1, 1)


def test_fewer_bits_are_worse(backend: Backend) -> None:
    model, x = mlp(), torch.randn(3, 40)
    found = compiled(model, backend, bits=3)(x)
    assert_rounded(found, model(x), most=0.5)
    with pytest.raises(AssertionError):
        assert_rounded(found, model(x))


def test_each_shape_is_compiled_once(backend: Backend) -> None:
    model = mlp()
    step = compiled(model, backend, bits=8)
    for rows in (3, 5, 7, 5, 7, 9):
        x = torch.randn(rows, 40)
        assert_rounded(step(x), model(x))
    # The second graph arrives with a symbolic number of rows and serves all but the first.
    assert len(backend.graphs) == 2
    assert [len(graph._compiled) for graph in backend.graphs] == [1, 3]


def test_cnn(backend: Backend) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 13 * 13, 10)
    ).eval()
    x = torch.randn(2, 1, 28, 28)
    assert_rounded(compiled(model, backend, bits=8)(x), model(x))
    assert (len(backend.graphs), backend.programs) == (1, 1)


def test_masks_of_every_kind(backend: Backend) -> None:
    model, ids = small_llama(), torch.tensor([[3, 4, 5, 6, 7]])
    step = compiled(model, backend, bits=8)
    padded = torch.tensor([[0, 1, 1, 1, 1]])
    for how in ({"use_cache": False}, {"use_cache": False, "attention_mask": padded}, {"attention_mask": padded}):
        eager = model(input_ids=ids, **how).logits
        # What a padding token computes is nobody's business.
        assert_rounded(step(input_ids=ids, **how).logits[:, 1:], eager[:, 1:], most=0.02)
    assert (len(backend.graphs), backend.programs) == (3, 3)


def test_a_break_makes_two_graphs(backend: Backend) -> None:
    first, second = nn.Linear(32, 64), nn.Linear(64, 8)

    def model(x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(first(x))
        torch._dynamo.graph_break()
        return second(y)

    x = torch.randn(2, 32)
    assert_rounded(compiled(model, backend, bits=8)(x), model(x))
    assert (len(backend.graphs), backend.programs) == (2, 2)


def test_a_hugging_face_forward(backend: Backend) -> None:
    model, ids = small_llama(), torch.tensor([[3, 4, 5, 6, 7]])
    eager = model(input_ids=ids).logits
    assert_rounded(compiled(model, backend, bits=8)(input_ids=ids).logits, eager, most=0.02)
    assert (len(backend.graphs), backend.programs) == (1, 1)


@pytest.mark.slow
def test_smollm2_forward(backend: Backend, smollm2_file: Path) -> None:
    path = smollm2_file
    model = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()
    ids = torch.tensor([[504, 3575, 282, 4649]])
    eager = model(input_ids=ids, use_cache=False).logits
    with quantized(model, uniform(8).format_of, 11):  # what 8 bits and A = 11 cost, computed in floating point
        rounded = model(input_ids=ids, use_cache=False).logits
    found = compiled(model, backend, bits=8)(input_ids=ids, use_cache=False).logits
    assert_rounded(found, eager, most=1.25 * relative_error(rounded, eager))
    assert found.argmax(-1).tolist() == rounded.argmax(-1).tolist() == eager.argmax(-1).tolist()
    assert (len(backend.graphs), backend.programs) == (1, 1)


def test_generate_after_model_compile(backend: Backend) -> None:
    model, ids = small_llama(), torch.tensor([[3, 4, 5, 6, 7]])
    how: dict[str, Any] = dict(
        max_new_tokens=8, do_sample=False, cache_implementation="static", disable_compile=True, pad_token_id=0
    )
    eager = model.generate(ids, **how)
    model.compile(backend=backend, options={"bits": 8})
    assert model.generate(ids, **how).tolist() == eager.tolist()
    # One graph reads the prompt and one decodes, which must write the static cache back to go on from there.
    assert (len(backend.graphs), backend.programs) == (2, 2)


def test_what_the_model_writes_is_written_back(backend: Backend) -> None:
    layer = nn.Linear(32, 32)

    def model(x: torch.Tensor, seen: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        seen.copy_(layer(x))
        count.add_(1)
        return seen * 2

    step, x = compiled(model, backend, bits=8), torch.randn(2, 32)
    seen, count = torch.zeros(2, 32), torch.zeros((), dtype=torch.int64)
    strided = torch.zeros(32, 2).T
    doubled = step(x, seen, count)
    step(x, strided, count)
    assert count.item() == 2 and torch.equal(seen * 2, doubled) and torch.equal(strided, seen)
    assert_rounded(seen, layer(x))


def test_weights_that_change_are_packed_again(backend: Backend) -> None:
    model, x = mlp(), torch.randn(3, 40)
    step = compiled(model, backend, bits=8)
    before = step(x)
    for parameter in model.parameters():
        parameter.mul_(1.5)
    assert_rounded(step(x), model(x))
    assert not torch.allclose(step(x), before)


def test_tied_weights_and_bare_outputs(backend: Backend) -> None:
    first = nn.Linear(32, 32, bias=False)
    second = nn.Linear(32, 32, bias=False)
    second.weight = first.weight

    def model(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        return second(first(x)), x, None

    x = torch.randn(2, 32)
    y, same, nothing = compiled(model, backend, bits=8)(x)
    assert_rounded(y, model(x)[0], most=0.02)
    assert torch.equal(same, x) and nothing is None


def test_gradients_are_refused(backend: Backend) -> None:
    model = mlp()
    with torch.enable_grad(), pytest.raises(ElastixError, match=r"records gradients; wanted: inference.*no_grad"):
        compiled(model, backend, bits=8)(torch.randn(3, 40))
    with torch.inference_mode():
        x = torch.randn(3, 40)
        assert_rounded(compiled(model, backend, bits=8)(x), model(x))


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(x)
        return torch.linalg.eigvalsh(y + y.T)  # the line that the error names


def line_of(text: str) -> str:
    with open(__file__, encoding="utf-8") as file:
        number = next(n for n, line in enumerate(file, 1) if line.rstrip().endswith(text))
    return f"{__file__}:{number}"


def test_an_op_that_nothing_can_run_is_named_with_its_line(backend: Backend) -> None:
    with pytest.raises(CannotCompile) as caught:
        compiled(Unsupported().eval(), backend, bits=8)(torch.randn(32, 32))
    assert "eigvalsh" in caught.value.op
    assert caught.value.where == line_of("# the line that the error names")
    assert backend.programs == 0


def test_fallback_lists_what_it_took(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    model, x = Unsupported().eval(), torch.randn(32, 32)
    with caplog.at_level(logging.WARNING, logger="elastix.compiler.backend"):
        found = compiled(model, backend, bits=8, fallback="eager")(x)
    assert torch.equal(found, model(x))
    (reason,) = backend.graphs[0].fell_back
    assert "eigvalsh" in reason and f"left to eager PyTorch: {reason}" in caplog.text
    assert (len(backend.graphs), backend.programs) == (1, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bit": 4}, "option 'bit' of the elastix backend; wanted: bits or plan or"),
        ({"bits": 9}, "9 bits; wanted: 1 to 8"),
        ({"fallback": "never"}, "fallback='never'"),
    ],
)
def test_options_that_are_none(backend: Backend, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ElastixError, match=re.escape(message)):
        compiled(mlp(), backend, **options)(torch.randn(3, 40))


def test_weights_of_other_types_are_refused(backend: Backend) -> None:
    with pytest.raises(ElastixError, match=r"compile weight .*weight: it is torch.bfloat16; wanted: torch.float32"):
        compiled(nn.Linear(32, 32).bfloat16(), backend)(torch.randn(2, 32).bfloat16())
