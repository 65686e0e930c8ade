"""The whole flow on one page: a model in; hardware, weights, program and host code out.

import ─▶ s1_clean ─▶ s2_fuse ─▶ s3_precision ─▶ s4_partition ─▶ s5_lower ─┬▶ s6_hardware ─▶ rtl/*.sv
                                                                           └▶ s7_host ─▶ host/step.*
What is legal is checked between the stages (levels.py); weights are read once, while they are packed (image.py).
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from elastix.compiler import levels, tokenizer
from elastix.compiler.crossings import Crossing, crossings
from elastix.compiler.describe import describe
from elastix.compiler.errors import CannotCompile, ElastixError
from elastix.compiler.host_program import HostProgram, llvm_module, write_host_files
from elastix.compiler.image import ImageLayout, WrittenImage, write_image
from elastix.compiler.importer.files import import_file
from elastix.compiler.importer.imported import Imported
from elastix.compiler.ir import ModuleOp, Pass, PassFailed, run_passes
from elastix.compiler.ir import stages as stages_of_passes
from elastix.compiler.levels import Level
from elastix.compiler.manifest import FILE_NAME, Manifest, file_hash
from elastix.compiler.numbers.plan import load_plan
from elastix.compiler.options import ROTATIONS, CompileOptions
from elastix.compiler.output import new_folder
from elastix.compiler.precision.plan_weights import PlanWeights, weights_of
from elastix.compiler.program import assemble, image_layout
from elastix.compiler.program_runner import HOST_FOLDER, PROGRAM_FILE, WEIGHTS_FILE, Program
from elastix.compiler.report import report
from elastix.compiler.stages import Stages
from elastix.compiler.step.compile import write_step
from elastix.passes.s4_partition.partition import reasons

RTL_FOLDER: Final = "rtl"
TOKENIZER_FOLDER: Final = "tokenizer"

LAUNCHES: Final = ("choose-processor", "partition", "elx-to-torch", "outline-torch", "elx-to-epu", "elx-to-host")
"""Passes for a processor of linear layers, launched by compiled host code."""
WHOLE_STEP: Final = ("choose-step-processor", "elx-to-step", "hoist-streams", "allocate-buffers", "set-waits")
"""Passes for a processor of whole decode steps."""
LEGAL_AFTER: Final[dict[str, Level]] = {
    "s1_clean": levels.TORCH,
    "s2_fuse": levels.ELX,
    "s3_precision": levels.ELX,
    "s4_partition": levels.ELX,
    "elx-to-epu": levels.EPU,
    "s5_lower": levels.HOST,
    "s7_host": levels.LLVM,
}
"""What is legal after a stage, or after a pass in the middle of one."""


@dataclass(frozen=True)
class Lowered:
    """A module past `s5_lower`, what its weights.bin must hold, and its manifest without hashes and errors.

    reasons: how often each kind of op runs on which side, and why. crossings: what goes from side to side.
    """

    imported: Imported
    layout: ImageLayout
    program: bytes
    manifest: Manifest
    reasons: dict[tuple[str, str, str], int]
    crossings: tuple[Crossing, ...]


def passes_of(stage: str, options: CompileOptions, *, folder: str = "") -> list[Pass]:
    """The passes of a stage in order, set to a user's options; rotations only where they are chosen.

    folder: where SystemVerilog goes.
    """
    left_out = {name for names in ROTATIONS.values() for name in names} - set(ROTATIONS[options.rotate])
    left_out |= set(LAUNCHES if options.whole_step else WHOLE_STEP)
    chosen: dict[str, dict[str, Any]] = {
        "assign-precision": {
            "bits": options.bits,
            "plan": str(options.plan or ""),
            "activation_bits": options.activation_bits,
            "positions": not options.whole_step,
        },
        "quantize-caches": {
            "key_bits": options.key_bits,
            "value_bits": options.value_bits,
            "rotate_keys": not options.whole_step,
            "rotate_values": "rotate-values" in left_out,  # twice is not at all
        },
        "choose-processor": {"beat": options.beat, "lanes": options.lanes, "channels": options.channels},
        "choose-step-processor": {
            "beat": options.beat,
            "lanes": options.lanes,
            "channels": options.channels,
            "vector_lanes": options.vector_lanes,
            "attention_lanes": options.attention_lanes,
            "attention_channels": options.attention_channels,
            "fifo_beats": options.fifo_beats,
        },
        "epu-to-circuit": {"folder": folder},
    }
    passes = [each for each in stages_of_passes()[stage] if each.name not in left_out]
    return [each.with_options(**chosen.get(each.name, {})) for each in passes]


def legal_after(name: str, options: CompileOptions) -> Level | None:
    """What is legal after a stage or pass of this name, for these options."""
    whole = {"s5_lower": levels.STEP} if options.whole_step else {}
    return {**LEGAL_AFTER, **whole}.get(name)


def run_stage(stage: str, module: ModuleOp, options: CompileOptions, *, folder: str = "") -> None:
    """Run the passes of a stage over the module and check what they left.

    What the user did wrong is raised as it was said, without the name of the pass that noticed.
    """
    try:
        for each in passes_of(stage, options, folder=folder):
            run_passes(module, [each])
            if level := legal_after(each.name, options):
                level.check(module)
    except PassFailed as failure:
        cause = failure.__cause__
        if isinstance(cause, CannotCompile) or (isinstance(cause, ElastixError) and not failure.diagnostics):
            if failure.reproducer is not None:
                failure.reproducer.unlink(missing_ok=True)
            raise cause from None
        raise
    if level := legal_after(stage, options):
        level.check(module)


def lower(imported: Imported, options: CompileOptions, stages: Stages) -> Lowered:
    """Run the stages up to host code and instructions over the module, in place."""
    module = imported.module
    why: dict[tuple[str, str, str], int] = {}
    for stage in ("s1_clean", "s2_fuse", "s3_precision", "s4_partition", "s5_lower"):
        with stages.stage(stage):
            run_stage(stage, module, options)
        if stage == "s4_partition":
            why = reasons(module)
    with module.context:
        layout, program, manifest = image_layout(module), assemble(module), describe(module)
    return Lowered(imported, layout, program, manifest, why, crossings(module))


def compile_model(
    model: Path | Imported, out: Path, options: CompileOptions, stages: Stages, *, overwrite: bool = False
) -> dict[str, Any]:
    """Compile a model's file or folder, or what was imported, into the folder `out`: whole afterwards, or not there.

    Returns the report's figures. Raises ElastixError for bad input, CannotCompile for an op that nothing of ours runs.
    """
    options, planned = with_plan(options)  # a mistake in the plan shows before the import, not after
    with new_folder(out, overwrite=overwrite) as folder:
        with stages.stage("import"):
            imported = (
                model
                if isinstance(model, Imported)
                else import_file(model, options.max_context, weights=options.weights)
            )
        source = str(model.resolve()) if isinstance(model, Path) else ""
        if options.whole_step:
            return write_step(imported, folder, options, stages, planned, source=source)
        lowered = lower(imported, options, stages)
        module = imported.module
        with stages.stage("s6_hardware"):
            run_stage("s6_hardware", module, options, folder=str(folder / RTL_FOLDER))
        with stages.stage("s7_host"):
            run_stage("s7_host", module, options)
            write_host_files(module, lowered.manifest, folder / HOST_FOLDER)
        with stages.stage("weights", total=lowered.layout.weights) as advance:
            written = write_image(
                folder / WEIGHTS_FILE, lowered.layout, imported.store, planned=planned, progress=advance
            )
        (folder / PROGRAM_FILE).write_bytes(lowered.program)
        with stages.stage("tokenizer"):
            if imported.tokenizer is not None:
                tokenizer.save(imported.tokenizer, folder / TOKENIZER_FOLDER)
        manifest = _finished(lowered, written, folder, source=source)
        (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
        return report(manifest, lowered.layout, folder, reasons=lowered.reasons, crossings=lowered.crossings)


def with_plan(options: CompileOptions) -> tuple[CompileOptions, PlanWeights | None]:
    """The options with what their plan says of them, and the weights that it has rounded already.

    Raises ElastixError for a plan with a mistake, and for one that was made with other rotations.
    """
    if options.plan is None:
        return options, None
    plan = load_plan(options.plan)
    rotate = plan.rotate or options.rotate
    if options.rotate not in ("none", rotate):
        raise ElastixError(
            f"--rotate {options.rotate} with the plan {options.plan}, which says rotate: {rotate}",
            wanted="the same in both",
            do="leave --rotate out",
        )
    return replace(options, rotate=rotate), weights_of(plan)


def _finished(lowered: Lowered, written: WrittenImage, folder: Path, *, source: str) -> Manifest:
    """The manifest with each layer's error and what became of its codes, and the hash of every file of the folder.

    source: where the model came from. It is absolute, so that the folder can be moved, and the same however the user
    spelled it, so that compiling twice gives the same bytes; empty for a model that was in memory.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {str(path.relative_to(folder)): file_hash(path) for path in files if path.name != WEIGHTS_FILE}
    layers = tuple(
        replace(layer, error=written.errors.get(layer.weight), codes=written.codes.get(layer.weight, ""))
        for layer in lowered.manifest.layers
    )
    model = {"max_context": lowered.imported.max_context, "source": source}
    return replace(lowered.manifest, layers=layers, hashes={WEIGHTS_FILE: written.sha256, **hashes}, model=model)


def compile_module(imported: Imported, options: CompileOptions, stages: Stages | None = None) -> Program:
    """Compile what was imported for use in this process, on the emulator; nothing is left on disk."""
    stages = stages or Stages()
    options, planned = with_plan(options)
    lowered = lower(imported, options, stages)
    with stages.stage("s7_host"):
        run_stage("s7_host", imported.module, options)
        step = HostProgram(llvm_module(imported.module))
    with tempfile.TemporaryDirectory(prefix="elastix-") as folder, stages.stage("weights"):
        weights = Path(folder) / WEIGHTS_FILE
        write_image(weights, lowered.layout, imported.store, planned=planned)
        return Program(lowered.manifest, step, weights, lowered.program)
