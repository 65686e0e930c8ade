"""What lies where in the output folder of a whole decode step."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from elastix.compiler.manifest import (
    FILE_NAME,
    FORMAT_VERSION,
    HostParameter,
    Layer,
    check_hashes,
    manifest_text,
    read_json,
    sealed,
)
from elastix.compiler.processor.step.parameters import StepParameters


@dataclass(frozen=True)
class StepMemoryMap:
    """Regions of the device's memory, in bytes.

    weights.bin from 0 on; the caches, zeros before the first token; logits, token m's at
    `logits_address + m · logits_stride`; program.bin. size: of all.
    """

    weights_bytes: int
    cache_address: int
    cache_bytes: int
    logits_address: int
    logits_stride: int
    program_address: int
    program_bytes: int
    size: int


@dataclass(frozen=True)
class StepManifest:
    """Everything about an output folder that its files do not say themselves.

    vocabulary: token ids and logits. layers: packed weights in the order of memory; their `descriptor` is 0, `tokens`
    how many instructions multiply by them. model, hashes: as in Manifest.
    """

    step_processor: StepParameters
    memory: StepMemoryMap
    layers: tuple[Layer, ...]
    parameters: tuple[HostParameter, ...]
    vocabulary: int
    model: dict[str, Any] = field(default_factory=dict[str, Any])
    hashes: dict[str, str] = field(default_factory=dict[str, str])
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The same text for the same manifest, keys in the order of the fields, sealed."""
        return sealed(asdict(self))


def is_step_folder(folder: Path) -> bool:
    """Whether the folder holds a whole decode step: its manifest names a step processor."""
    path = folder / FILE_NAME
    return path.is_file() and b'"step_processor"' in path.read_bytes()[:200]


def load_step_manifest(folder: Path) -> StepManifest:
    """The manifest of an output folder, every file it names being there with its hash; raises ElastixError else."""
    manifest = read_json(StepManifest, manifest_text(folder), str(folder / FILE_NAME))
    check_hashes(folder, manifest.hashes)
    return manifest
