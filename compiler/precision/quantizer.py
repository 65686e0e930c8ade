"""`elastix quantize`: from a model and a text to a plan and rounded weights.

1. calibrate: the text through the model, block by block; the second moments of what every layer reads.
2. formats: the error of every layer in every format, on a sample of its rows.
3. sensitivity: the KL that one layer at the reference format costs, layer by layer. KL grows with the square of a small
   perturbation, hence with its error: KL(layer, format) = KL(layer, reference) · error(format) / error(reference).
4. choose: the integer program; round what was chosen; measure the whole on text that calibration has not seen.
What layers cost alone does not add up to what they cost together, which is more. The ratio is measured with each
choice, and the next one reckons with it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

from elastix.compiler.errors import ElastixError
from elastix.compiler.numbers.formats import Format, Geometry
from elastix.compiler.precision.allocate import Allocation, Choice, TargetMissed, allocate
from elastix.compiler.precision.calibrate import calibrate, work
from elastix.compiler.precision.calibration import Calibration
from elastix.compiler.precision.candidates import (
    FORMATS,
    REFERENCE,
    SWEEPS,
    RoundedLayer,
    Weights,
    relative_errors,
    round_layer,
)
from elastix.compiler.precision.feedback import has_enough, round_in_order
from elastix.compiler.precision.measure import Measured, measured
from elastix.compiler.precision.measure import work as work_of_measuring
from elastix.compiler.precision.rounded_rows import RoundedRows
from elastix.compiler.precision.rounding import InputMoments
from elastix.compiler.precision.sensitivity import sensitivities
from elastix.compiler.precision.sites import Site
from elastix.compiler.precision.streamed_model import StreamedModel
from elastix.compiler.stages import Stages

EMBEDDING: Final = Format(8, 64, "s8", "symmetric")
"""Of a table of which one row a token is read: its bits cost memory, not time."""
ROUNDS: Final = 4
"""Choices at most until a wanted KL is met."""
TOGETHER: Final = 1.2
"""By how much layers cost more together than alone, until a plan was measured."""
CLOSE: Final = 0.1
"""How far below a wanted KL the measured one may lie before another, smaller choice is tried."""


@dataclass(frozen=True)
class Target:
    """What is wanted: one of bits (a weight, of all streamed weights), kl (nats a token) or bytes (a token)."""

    bits: float | None = None
    kl: float | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Layer:
    """What became of one layer.

    kept: whether the codes are the file's; bytes: read for a token; error: share of its output's energy that is lost;
    kl: its share of the KL expected; sensitivity: KL measured with it alone at the reference format; cost: nats for a
    squared error of 1 of its output, 0 for a table that is looked up in.
    """

    site: Site
    format: Format
    kept: bool
    bytes: int
    error: float
    kl: float
    sensitivity: float
    cost: float


@dataclass(frozen=True)
class Quantized:
    """A whole plan.

    layers: in the order of the model; weights, bytes: of the streams that a token reads; summed: what the layers cost
    alone, added up; expected: KL measured with all of them rounded, on held-out text; held_out: what the errors of
    layers cost there, added up; choices: what there was to choose from, its KL as if layers added up.
    """

    layers: tuple[Layer, ...]
    weights: int
    bytes: int
    summed: float
    expected: float
    held_out: float
    choices: Mapping[str, list[Choice]]

    @property
    def bits_per_weight(self) -> float:
        """Bits a token moves for each streamed weight, headers and padding included."""
        return 8 * self.bytes / self.weights

    @property
    def together(self) -> float:
        """By how much layers cost more together than alone."""
        return self.expected / max(self.summed, 1e-12)


@dataclass
class Quantizer:
    """The work on one model.

    windows: [W, T] token ids that calibrate; held_out: [W, T] others that measure, the first of them sensitivities too;
    folder: for what is done already, so that a stopped run goes on; beat, channels: of the processor that will read the
    streams. Raises ElastixError as the parts it calls do.
    """

    model: StreamedModel
    windows: Tensor
    held_out: Tensor
    folder: Path
    stages: Stages
    beat: int = 256
    channels: int = 1
    activation_bits: int = 11
    threads: int = 2
    formats: tuple[Format, ...] = FORMATS
    _moments_now: dict[str, InputMoments] = field(default_factory=dict[str, InputMoments])

    def prepare(self) -> None:
        """Stages 1 to 3."""
        with self.stages.stage("calibrate", total=work(self.model, self.windows)) as advance:
            self.calibration: Calibration = calibrate(self.model, self.windows, folder=self.folder, progress=advance)
        self.rows = RoundedRows(self.folder)
        self.errors = self._errors()
        self.sensitivity = self._sensitivities()

    @property
    def streamed(self) -> list[Site]:
        """The sites whose every byte is read for every token: all but an embedding of its own."""
        return [site for site in self.model.sites if site.block >= 0]

    @property
    def weights(self) -> int:
        """Weights of the streamed sites."""
        return sum(site.rows * site.columns for site in self.streamed)

    def choices(self) -> dict[str, list[Choice]]:
        """What every format costs each streamed layer, alone."""
        found: dict[str, list[Choice]] = {}
        for site in self.streamed:
            errors = self.errors[site.name]
            unit = self._unit(site)
            found[site.name] = [self._choice(site, form, unit * errors[str(form)]) for form in self.formats]
        return found

    def _unit(self, site: Site) -> float:
        """KL of losing all of a streamed layer's output, if it went on as it begins."""
        return self.sensitivity[site.name] / max(self.errors[site.name][str(REFERENCE)], 1e-12)

    def quantize(self, target: Target) -> Quantized:
        """Stage 4, until the target is met. Raises ElastixError, naming the nearest, where none can."""
        choices = self.choices()
        if target.kl is None:
            limit = target.bytes if target.bits is None else int(target.bits * self.weights / 8)
            try:
                return self.rounded(allocate(choices, at_most_bytes=limit), choices)
            except TargetMissed as missed:
                raise ElastixError(
                    f"no choice of formats has {8 * missed.limit / self.weights:.3f} bits a weight or less",
                    wanted=f"at least {8 * missed.nearest / self.weights:.3f}, the nearest that can be met",
                ) from missed
        return self._within(target.kl, choices)

    def uniform(self, form: Format) -> Quantized:
        """Every streamed layer in one format: what a choice is compared with."""
        choices = self.choices()
        allocation = {name: next(each for each in of if each.format == form) for name, of in choices.items()}
        return self.rounded(allocation, choices)

    def _within(self, kl: float, choices: dict[str, list[Choice]]) -> Quantized:
        """The smallest plan found whose measured KL is at most `kl`."""
        found = self.rounded(allocate(choices, at_most_kl=kl / TOGETHER), choices)
        fitting = [found] if found.expected <= kl else []
        for _ in range(ROUNDS - 1):
            if (1 - CLOSE) * kl <= found.expected <= kl:
                break
            found = self.rounded(allocate(choices, at_most_kl=(1 - CLOSE / 2) * kl / found.together), choices)
            fitting += [found] if found.expected <= kl else []
        if not fitting:
            raise ElastixError(
                f"no plan found with a measured KL of at most {kl:g}",
                wanted=f"at least {found.expected:.4g}, which the last of {ROUNDS} plans had",
            )
        smallest = min(fitting, key=lambda each: each.bytes)
        # The rows kept are those of the plan that was rounded last.
        return smallest if smallest is found else self.rounded(_allocation(smallest), choices)

    def rounded(self, allocation: Allocation, choices: dict[str, list[Choice]]) -> Quantized:
        """Round all layers as allocated, and measure."""
        chosen = {
            site.name: allocation.get(site.name) or self._choice(site, EMBEDDING, 0.0) for site in self.model.sites
        }
        with self.stages.stage("round", total=sum(site.rows * site.columns for site in self.model.sites)) as advance:
            done = self._round_all(chosen, advance)
        found = self._measured(self.held_out)
        expected, errors = found.kl, found.errors
        costs = {site.name: self._unit(site) / max(errors.energy(site.name), 1e-30) for site in self.streamed}
        summed = sum(choice.kl for choice in allocation.values())
        share = expected / max(summed, 1e-12)
        layers = tuple(
            Layer(
                site,
                chosen[site.name].format,
                done[site.name].kept,
                chosen[site.name].bytes if site.block >= 0 else 0,
                done[site.name].error,
                chosen[site.name].kl * share,
                self.sensitivity[site.name],
                costs.get(site.name, 0.0),
            )
            for site in self.model.sites
        )
        total = sum(choice.bytes for choice in allocation.values())
        return Quantized(layers, self.weights, total, summed, expected, errors.summed(costs), choices)

    def measure(self, ids: Tensor) -> float:
        """KL of the plan that was rounded last, in nats a token, over texts [W, T]."""
        return self._measured(ids).kl

    def _measured(self, ids: Tensor) -> Measured:
        with self.stages.stage("measure", total=work_of_measuring(self.model, ids)) as advance:
            return measured(self.model, ids, self.rows.values, activation_bits=self.activation_bits, progress=advance)

    def _round_all(self, chosen: Mapping[str, Choice], advance: Callable[[float], None]) -> dict[str, RoundedLayer]:
        """Round every site for good, with feedback where there is text enough for it."""
        done: dict[str, RoundedLayer] = {}

        def round_site(site: Site, second: Tensor | None = None, corrected: Tensor | None = None) -> Tensor:
            if site.name not in done:
                weights, moments = self._read(site), None
                if second is not None and corrected is not None:
                    weights = weights.corrected(corrected.numpy())
                    moments = InputMoments(second.numpy(), name=site.name)
                form = chosen[site.name].format
                done[site.name] = self._round(weights, moments or self._moments(site), form, SWEEPS)
                advance(site.rows * site.columns)
            return self.rows.values(site)

        if not has_enough(self.model, self.windows.numel()):
            for site in self.model.sites:
                round_site(site)
            return done
        # A tied head is an embedding first.
        table = self.model.sites[-1 if self.model.tied else 0]
        with self.model.replaced({table.name: round_site(table)}):
            hidden = self.model.embed(self.windows)
        round_in_order(self.model, self.calibration.hidden, hidden, round_site)
        return done

    def _round(self, weights: Weights, moments: InputMoments, form: Format, sweeps: int) -> RoundedLayer:
        found = round_layer(weights, moments, form, sweeps=sweeps, threads=self.threads)
        self.rows.put(weights.site, found.rows)
        return found

    def _choice(self, site: Site, form: Format, kl: float) -> Choice:
        geometry = Geometry(form, site.rows, site.columns, self.beat, self.channels)
        return Choice(form, geometry.stream_bytes, geometry.segment_beats(0), kl)

    def _moments(self, site: Site) -> InputMoments:
        """Second moments of a layer's input; a table that is only looked up counts every column alike."""
        source = site.source or site.name
        if source not in self._moments_now:
            second = self.calibration.moments(source) if site.source else np.eye(site.columns)
            self._moments_now = {source: InputMoments(second, name=site.name)}
        return self._moments_now[source]

    def _read(self, site: Site) -> Weights:
        return Weights.read(self.model.store, site, self.model.store.read(site.name))

    def _errors(self) -> dict[str, dict[str, float]]:
        """By site and format."""
        formats = list(dict.fromkeys((REFERENCE, *self.formats)))

        def errors(site: Site) -> dict[str, float]:
            found = relative_errors(self._read(site), self._moments(site), formats, threads=self.threads)
            return {str(form): error for form, error in zip(formats, found, strict=True)}

        key = " ".join(str(form) for form in formats)
        with self.stages.stage("formats", total=len(self.streamed)) as advance:
            return _resumed(self.folder / "errors.json", key, self.streamed, errors, advance)

    def _sensitivities(self) -> dict[str, float]:
        text, file = self.held_out[:1], self.folder / "sensitivity.json"
        key = f"{REFERENCE} {hashlib.sha256(text.numpy().tobytes()).hexdigest()}"
        if file.exists() and (found := json.loads(file.read_text(encoding="utf-8")))["key"] == key:
            return found["kl"]

        def rounded(site: Site) -> Tensor:
            self._round(self._read(site), self._moments(site), REFERENCE if site.source else EMBEDDING, 0)
            return self.rows.values(site)

        with self.stages.stage("sensitivity", total=len(self.model.sites)) as advance:
            kl = sensitivities(self.model, text, rounded, progress=advance)
        file.write_text(json.dumps({"key": key, "kl": kl}), encoding="utf-8")
        return kl


def _allocation(found: Quantized) -> Allocation:
    """The formats that a plan has."""
    return {
        layer.site.name: next(each for each in found.choices[layer.site.name] if each.format == layer.format)
        for layer in found.layers
        if layer.site.name in found.choices
    }


def _resumed(
    file: Path,
    key: str,
    sites: list[Site],
    compute: Callable[[Site], dict[str, float]],
    advance: Callable[[float], None],
) -> dict[str, dict[str, float]]:
    """What `compute` gives for each site by name, of which the file has what an earlier run of the same key did."""
    found: dict[str, dict[str, float]] = {}
    if file.exists() and (before := json.loads(file.read_text(encoding="utf-8")))["key"] == key:
        found = before["sites"]
    for site in sites:
        if site.name not in found:
            found[site.name] = compute(site)
            file.write_text(json.dumps({"key": key, "sites": found}), encoding="utf-8")
        advance(1)
    return found
