"""The KL that a plan is expected to have on a text, from its layers' errors on what the fp32 model reads there.

For small errors what rounding weights costs is Σ c·‖(W − Ŵ) x‖² over layers and tokens; c, the cost of a squared error
of a layer's output, was measured with one layer rounded. Rounding is fitted to the inputs of the calibration text, so
texts unlike it have larger errors. The KL of the whole was measured on held-out text; as much of it as the layers
cost alone grows with the sum on another text, what is left (rounded activations) is taken to be the same everywhere.
The rounded model is not run.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from elastix.compiler.errors import ElastixError
from elastix.compiler.precision.streamed_model import Part

ROWS: Final = 256
"""Of a layer's outputs so many are looked at, evenly spread."""


@dataclass
class LayerErrors:
    """Errors of layers' outputs on what the model in fp32 reads; `within` is for `block_by_block`.

    rounded: a layer's Ŵ [N, K] by name; errors, energies: Σ ‖(W − Ŵ) x‖² and Σ ‖W x‖² of each layer so far; tokens:
    that they ran over.
    """

    rounded: Callable[[str], Tensor]
    errors: dict[str, float] = field(default_factory=dict[str, float])
    energies: dict[str, float] = field(default_factory=dict[str, float])
    tokens: dict[str, int] = field(default_factory=dict[str, int])

    @contextmanager
    def within(self, part: Part) -> Generator[None]:
        """Within the block a part's layers are looked at as they run."""
        with ExitStack() as stack:
            for name, layer in part.linears.items():
                stack.callback(layer.register_forward_pre_hook(self._hook(name, layer)).remove)
            yield

    def _hook(self, name: str, layer: nn.Linear) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        step = max(len(layer.weight) // ROWS, 1)
        exact = layer.weight.data[::step]
        # Next to each other, so that one product of matrices makes both.
        together = torch.cat([exact, exact - self.rounded(name)[::step]]).T.contiguous()
        share = len(exact) / len(layer.weight)

        def look(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].detach().reshape(-1, inputs[0].shape[-1])
            for sums, values in zip((self.energies, self.errors), (x @ together).chunk(2, -1), strict=True):
                sums[name] = sums.get(name, 0.0) + float(values.square().sum()) / share
            self.tokens[name] = self.tokens.get(name, 0) + len(x)

        return look

    def energy(self, name: str) -> float:
        """Mean ‖W x‖² of a token."""
        return self.energies[name] / self.tokens[name]

    def summed(self, costs: Mapping[str, float]) -> float:
        """Σ c·‖(W − Ŵ) x‖² of a token, nats; costs: c by layer. Raises ElastixError for a layer not looked at."""
        if missing := [name for name in costs if not self.tokens.get(name)]:
            raise ElastixError(f"no layer {missing[0]} in the model", wanted="the model that the plan was made for")
        return sum(cost * self.errors[name] / self.tokens[name] for name, cost in costs.items())


@dataclass(frozen=True)
class Expectation:
    """What a plan knows of itself.

    costs: nats for a squared error of 1 of each layer's output; measured: KL on held-out text; alone: the KL of each
    layer rounded alone, added up; summed: what their errors cost on held-out text, added up.
    """

    costs: Mapping[str, float]
    measured: float
    alone: float
    summed: float

    def kl(self, errors: LayerErrors) -> float:
        """KL expected on the text that was looked at, nats a token."""
        explained = min(self.measured, self.alone)
        growth = errors.summed(self.costs) / self.summed if self.summed > 0 else 1.0
        return explained * growth + self.measured - explained

    @classmethod
    def of_report(cls, file: Path) -> "Expectation | None":
        """From a plan folder's report; None where there is none or it does not say."""
        if not file.is_file():
            return None
        try:
            report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            costs = {each["name"]: float(each["cost"]) for each in report["layers"] if each["cost"]}
            figures = (float(report[name]) for name in ("kl_expected", "kl_of_layers_alone", "kl_of_layers_held_out"))
            return cls(costs, *figures)
        except KeyError:
            return None
        except (ValueError, TypeError, OSError) as error:
            raise ElastixError(f"{file}: {error}", wanted="a report as `elastix quantize` wrote it") from error
