"""Whole decode steps to be measured: compiled for one processor after another, their caches full, one token run."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import numpy as np
import yaml
from numpy.typing import NDArray

from elastix.compiler.image import ImageLayout, write_image
from elastix.compiler.importer.files import import_file
from elastix.compiler.ir import ModuleOp
from elastix.compiler.numbers.pack import QuantizedRows, pack_layer, place_segments
from elastix.compiler.options import CompileOptions
from elastix.compiler.pipeline import with_plan
from elastix.compiler.processor.step.instructions import Instruction, decode_program
from elastix.compiler.processor.step.parameters import StepParameters
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import LoweredStep, lower_step_of
from elastix.compiler.step.cycles import predict
from elastix.compiler.step.cycles_stream import Supply
from elastix.compiler.step.memory import CachePlace
from elastix.runtime.memory_model import MemoryModel
from elastix.runtime.step_checked import CheckedStepEngine
from elastix.runtime.step_device import StepDevice, StepLayout
from elastix.runtime.step_engines import EmulatorEngine
from elastix.runtime.step_simulate import SimulatedStep

_SCALE: Final = 0x3C00
"""2^−7 in bf16."""
_ROW_SCALE: Final = 0x3580
"""2^−20 in bf16: with random codes and scales, weights of about 2^−6."""
_SHOWN: Final = 6
"""Causes of stalls in a figure."""


@dataclass(frozen=True)
class Step:
    """One decode step in memory. weights: empty where only the cycle model is asked."""

    layout: StepLayout
    weights: NDArray[np.uint8]
    program: bytes

    @property
    def parameters(self) -> StepParameters:
        return self.layout.parameters

    @property
    def instructions(self) -> list[Instruction]:
        return decode_program(self.program)

    def device(self) -> StepDevice:
        """Its memory on the emulator, every cache full of rows that a model might have written."""
        device = StepDevice(self.layout, self.weights, self.program)
        fill_caches(device)
        return device


class Model:
    """A model that is read once. weights: whether it has any, else they are random, in the format that is wanted."""

    def __init__(self, path: Path, max_context: int, *, weights: bool = True) -> None:
        self._imported = import_file(path, max_context, weights=weights)
        self._weights = weights

    def step(self, options: CompileOptions, stages: Stages, *, image: bool = True) -> Step:
        """Compiled for whole steps. image: whether with weights. Raises ElastixError as compiling does."""
        options, planned = with_plan(replace(options, whole_step=True))
        module = cast(ModuleOp, self._imported.module.operation.clone().opview)
        lowered = lower_step_of(replace(self._imported, module=module), options, stages)
        layout = StepLayout.of(lowered.manifest())
        if not image:
            return Step(layout, np.zeros(0, np.uint8), lowered.program_bytes)
        with stages.stage("weights", total=lowered.memory.image.weights) as advance:
            if not self._weights:
                return Step(layout, random_image(lowered), lowered.program_bytes)
            with TemporaryDirectory(prefix="elastix-bench-") as folder:
                path = Path(folder) / "weights.bin"
                write_image(path, lowered.memory.image, lowered.weights(), planned=planned, progress=advance)
                return Step(layout, np.fromfile(path, np.uint8), lowered.program_bytes)


def step_of_folder(folder: Path) -> Step:
    """What a folder of `elastix compile --whole-step` holds. Raises ElastixError as StepDevice.load."""
    device = StepDevice.load(folder)
    layout = device.layout
    at = layout.program_address
    program = device.memory[at : at + layout.program_bytes].tobytes()
    return Step(layout, device.memory[: layout.weights_bytes], program)


@contextmanager
def processor_file(parameters: StepParameters) -> Generator[Path]:
    """A file that `CompileOptions.processor` takes."""
    words = {"activations": list(parameters.activations), "features": list(parameters.features)}
    values: dict[str, Any] = {**asdict(parameters), **words}
    with TemporaryDirectory(prefix="elastix-bench-") as folder:
        path = Path(folder) / "processor.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        yield path


def random_image(lowered: LoweredStep) -> NDArray[np.uint8]:
    """weights.bin with random codes and scales, norm weights of 1, and the tables that are computed."""
    layout: ImageLayout = lowered.memory.image
    random = np.random.default_rng(0)
    image = np.zeros(layout.bytes, np.uint8)
    for place in layout.layers:
        geometry, form = place.geometry, place.geometry.format
        shape = geometry.rows, geometry.groups
        steps = 256 // form.c8_step if form.zero == "asymmetric" else 0
        rows = QuantizedRows(
            form,
            random.integers(0, 1 << form.bits, (geometry.rows, geometry.columns), np.uint8),
            random.integers(1, form.scale_maximum, shape, np.uint8, endpoint=True),
            np.full(geometry.rows, _ROW_SCALE, np.uint16),
            (random.integers(0, steps, shape) * form.c8_step).astype(np.uint8) if steps else None,
        )
        for number in range(place.parts):
            part = rows.slice(number * place.part.rows, (number + 1) * place.part.rows)
            for offset, segment in place_segments(pack_layer(part, place.part), place.part):
                at = place.part_address(number) + offset
                image[at : at + len(segment)] = np.frombuffer(segment, np.uint8)
    tables = {each.name: each.values(lowered.imported.store) for each in lowered.tables}
    for place in layout.parameters:
        values = tables.get(place.name, np.ones(place.shape, np.float32))
        image[place.address : place.address + place.bytes] = values.astype("<f4").reshape(-1).view(np.uint8)
    return image


def fill_caches(device: StepDevice) -> None:
    """Random codes, and scales of 2^−7: rows that a model might have written, for counting cycles."""
    layout, parameters = device.layout, device.layout.parameters
    caches = device.memory[layout.cache_address : layout.cache_address + layout.cache_bytes]
    caches[:] = np.random.default_rng(0).integers(0, 256, len(caches), dtype=np.uint8)
    place = CachePlace.of("", 0, parameters)
    for part in range(0, len(caches), place.channel_bytes):
        scales = caches[part + place.codes_bytes : part + place.codes_bytes + 2 * parameters.channel_rows]
        scales.view("<u2")[:] = _SCALE


def simulated(step: Step, position: int, model: MemoryModel, *, check: bool = False) -> dict[str, Any]:
    """One token at a position on the RTL in this process. check: and on the emulator, every bit compared.

    Raises ElastixError for a bit that differs, and as SimulatedStep.
    """
    parameters, device = step.parameters, step.device()
    with SimulatedStep(parameters, "rtl", model) as rtl:
        if check:
            device.engine = CheckedStepEngine(rtl, EmulatorEngine(parameters), step.layout.cache_address)
        else:
            device.engine = rtl
        device.step([1], position)
        counters, cycles, seconds = rtl.counters, rtl.cycles, rtl.engine.total.seconds
    run = counters.run
    beats = run.beats, counters.cache_beats, counters.constant_beats
    channel_0 = _beats(sum(beats), parameters)
    predicted = predict(step.instructions, parameters, position, 1, model)
    waits = cycles - channel_0 - counters.stream_stall - counters.stream_empty
    return {
        **_share(beats, cycles, parameters, model),
        "kind": "simulated: RTL in process" + (", equal in every bit to the emulator" if check else ""),
        "position": position,
        "stalls_of_channel_0": {
            "a beat that nothing took": counters.stream_stall,
            "a unit wanted a beat that was not there": counters.stream_empty,
            "no unit wanted one": max(0, round(waits)),
        },
        "stall_load": run.stall_load,
        "stall_output": run.stall_output,
        "instructions": counters.instructions,
        "cycle_model": {
            "cycles": round(predicted.cycles),
            "over_rtl": round(predicted.cycles / cycles, 4),
            "longest_stall": round(predicted.longest_stall),
            "stall_causes": dict(list(predicted.lost.items())[:_SHOWN]),
        },
        "khz": round(cycles / seconds / 1e3),
    }


def modelled(step: Step, position: int, model: MemoryModel) -> dict[str, Any]:
    """The same of the cycle model alone. It knows channel 0's beats: the others have as many weights, or a row block
    less, and as many rows, where they have any."""
    parameters = step.parameters
    found = predict(step.instructions, parameters, position, 1, model)
    weights, cache = found.weight_beats * parameters.channels, found.cache_beats * parameters.attention_channels
    return {
        **_share((weights, cache, found.constant_beats), round(found.cycles), parameters, model),
        "kind": "cycle model",
        "position": position,
        "longest_stall": round(found.longest_stall),
        "stall_causes": dict(list(found.lost.items())[:_SHOWN]),
    }


def difference(larger: dict[str, Any], smaller: dict[str, Any]) -> dict[str, Any]:
    """What a token of one model takes more than that of another, for figures of `simulated` or of `modelled`: its
    layers alone, without embedding and head."""
    counts = ("cycles", "data_beats", "weight_beats", "cache_beats", "constant_beats")
    same = ("kind", "memory", "rho", "beat", "channels", "vector_lanes", "attention_lanes", "attention_channels")
    more = {name: larger[name] - smaller[name] for name in counts}
    share = more["data_beats"] / larger["channels"] / more["cycles"]
    figures = {**{name: larger[name] for name in (*same, "position")}, **more, "share_of_cycles": round(share, 4)}
    if "share_of_peak" in larger:
        figures["share_of_peak"] = round(larger["share_of_peak"] * share / larger["share_of_cycles"], 4)
    return figures


def _beats(all_channels: int, parameters: StepParameters) -> float:
    return all_channels / parameters.channels


def _share(beats: tuple[int, ...], cycles: int, parameters: StepParameters, model: MemoryModel) -> dict[str, Any]:
    """Data beats (weights with their headers and CRCs; keys, values, their scales) of the cycles of all channels, and
    of the memory's own peak; norm weights, rope and embedding rows are counted beside them."""
    weights, cache, constants = beats
    data, channels = weights + cache, parameters.channels
    figures: dict[str, Any] = {
        "memory": model.name,
        "rho": round(Supply.of(model, parameters.beat).rate, 3),
        "beat": parameters.beat,
        "channels": channels,
        "vector_lanes": parameters.vector_lanes,
        "attention_lanes": parameters.attention_lanes,
        "attention_channels": parameters.attention_channels,
        "cycles": cycles,
        "data_beats": data,
        "weight_beats": weights,
        "cache_beats": cache,
        "constant_beats": constants,
        "share_of_cycles": round(_beats(data, parameters) / cycles, 4),
        "share_of_cycles_with_constants": round(_beats(data + constants, parameters) / cycles, 4),
    }
    if model.dram:
        rate = data * parameters.beat / 8 * model.core_hz / cycles
        figures["share_of_peak"] = round(rate / (model.peak(parameters.beat) * channels), 4)
        figures["gb_per_s"] = round(rate / 1e9, 3)
        figures["core_mhz_assumed"] = model.core_hz / 1e6
    return figures
