"""A language model's decode step into an output folder: step processor, weights, program, manifest, report."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from elastix.compiler import tokenizer
from elastix.compiler.arena import aligned
from elastix.compiler.boards import board
from elastix.compiler.errors import ElastixError
from elastix.compiler.image import Weights, write_image
from elastix.compiler.importer.imported import Imported
from elastix.compiler.ir import ModuleOp, build_at
from elastix.compiler.ir.core import InsertionPoint, Location
from elastix.compiler.manifest import FILE_NAME, HostParameter, Layer, file_hash
from elastix.compiler.options import CompileOptions
from elastix.compiler.precision.plan_weights import PlanWeights
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction, Opcode
from elastix.compiler.processor.step.parameters import VECTOR_LANES, StepParameters
from elastix.compiler.program_runner import HOST_FOLDER, PROGRAM_FILE, WEIGHTS_FILE
from elastix.compiler.stages import Stages
from elastix.compiler.step.choose import CHANNELS, chosen_parameters
from elastix.compiler.step.choose_board import Choice, choose, expected
from elastix.compiler.step.host_driver import HEADER_FILE, header
from elastix.compiler.step.layout import lay_out_step, tables_of
from elastix.compiler.step.manifest import StepManifest, StepMemoryMap
from elastix.compiler.step.memory import PAGE, StepMemory
from elastix.compiler.step.nearest import Draft, check_memory
from elastix.compiler.step.parts import pays
from elastix.compiler.step.program import step_processor_of, step_program_of, with_addresses
from elastix.compiler.step.report import write_report
from elastix.compiler.step.reuse import check_fits, read_processor
from elastix.compiler.step.tables import Table, WithTables
from elastix.compiler.step_function import step_function
from elastix.dialects.epu import StepProcessorOp

TOKENIZER_FOLDER: Final = "tokenizer"


@dataclass(frozen=True)
class LoweredStep:
    """A decode step past `s5_lower`: the program, the processor it is for, and where everything lies. choice: how it
    was chosen, if for a board."""

    imported: Imported
    parameters: StepParameters
    memory: StepMemory
    tables: tuple[Table, ...]
    program: tuple[Instruction, ...]
    choice: Choice | None = None

    @property
    def program_bytes(self) -> bytes:
        """program.bin."""
        return b"".join(each.encode() for each in self.program)

    def weights(self) -> Weights:
        """The model's weights and what the compiler computed beside them."""
        store = self.imported.store
        return WithTables(store, {each.name: each.values(store) for each in self.tables})

    def draft(self, options: CompileOptions) -> Draft:
        """What a board must have room for."""
        bits = max((each.values["bits"] for each in self.program if each.opcode is Opcode.LINEAR), default=8)
        size, planned = self.manifest().memory.size, options.plan is not None
        return Draft(self.program, self.parameters, self.memory, size, bits, planned)

    def manifest(self) -> StepManifest:
        """Without hashes, errors and facts about the model."""
        image = self.memory.image
        caches = self.memory.caches
        begin = caches[0].address if caches else self.memory.logits_address
        memory = StepMemoryMap(
            weights_bytes=image.bytes,
            cache_address=begin,
            cache_bytes=sum(each.bytes for each in caches),
            logits_address=self.memory.logits_address,
            logits_stride=self.memory.logits_stride,
            program_address=self.memory.program_address,
            program_bytes=len(self.program) * INSTRUCTION_BYTES,
            # Programs are read in aligned pieces, the last of which may end behind END.
            size=aligned(self.memory.program_address + len(self.program) * INSTRUCTION_BYTES, PAGE),
        )
        used = Counter(each["weights"] for each in self.program if each.opcode is Opcode.LINEAR)
        looked_up = Counter(each["weights"] for each in self.program if each.opcode is Opcode.EMBED)
        layers = tuple(
            Layer(
                name=place.name.removesuffix(".weight"),
                weight=place.name,
                rows=place.geometry.rows,
                columns=place.geometry.columns,
                format=str(place.geometry.format),
                address=place.address,
                bytes=place.bytes,
                descriptor=0,
                tokens=used[place.address],
                look_ups=looked_up[place.address],
            )
            for place in image.layers
        )
        parameters = tuple(HostParameter(each.name, each.address, each.shape, each.dtype) for each in image.parameters)
        vocabulary = next(each["rows"] for each in reversed(self.program) if each.opcode is Opcode.LINEAR)
        return StepManifest(self.parameters, memory, layers, parameters, vocabulary)


def lower_step_of(imported: Imported, options: CompileOptions, stages: Stages) -> LoweredStep:
    """Run the stages up to instructions over the module, in place; a processor is chosen on the way."""
    from elastix.compiler.pipeline import run_stage  # which imports us

    module, choice = imported.module, None
    for stage in ("s1_clean", "s2_fuse", "s3_precision"):
        with stages.stage(stage):
            run_stage(stage, module, options)
    if options.board:
        with stages.stage("choose"):
            choice = _choice(imported, options)
            options = replace(options, **chosen_parameters(choice.chosen))
    if options.processor is not None:
        there = read_processor(options.processor)
        check_fits(_wanted(imported, options), there, options.processor)
        with build_at(InsertionPoint.at_block_begin(module.body), Location.unknown(module.context)):
            StepProcessorOp.of("processor", there)
        lowered = _lowered(imported, options, stages)
        check_fits(lowered.parameters, there, options.processor)
        return replace(lowered, parameters=there)
    lowered = replace(_lowered(imported, options, stages), choice=choice)
    if options.board:
        check_memory(lowered.draft(options), options.board)  # more channels leave larger gaps
    return lowered


def _copied(imported: Imported) -> Imported:
    """The same with a module of its own, for a try."""
    return replace(imported, module=cast(ModuleOp, imported.module.operation.clone().opview))


def _choice(imported: Imported, options: CompileOptions) -> Choice:
    """A processor for the options' board, by a program for another one."""
    draft = _lowered(_copied(imported), replace(options, channels=options.attention_channels), Stages()).draft(options)
    given = {name: getattr(options, name) for name in options.fixed}
    draft = replace(draft, in_parts=_in_parts(imported, options, draft.parameters, given))
    return choose(draft, options.board, options.objective, given)


def _in_parts(
    imported: Imported, options: CompileOptions, draft: StepParameters, given: dict[str, int]
) -> Sequence[Instruction]:
    """The program with weights in parts, as on most of the board's channels; nothing where that would not pay there."""
    channels = given.get("channels") or max(each for each in CHANNELS if each <= board(options.board).channels)
    most = {
        "channels": channels,
        "attention_channels": 1 << (channels.bit_length() - 1),
        "vector_lanes": min(VECTOR_LANES[-1], draft.head_dim),
        **given,
    }
    sizes = {name: aligned(getattr(draft, name), VECTOR_LANES[-1]) for name in ("vector_elements", "constant_elements")}
    wide = {name: most[name] for name in ("channels", "attention_channels", "vector_lanes")}
    if channels == 1 or not pays(replace(draft, **sizes, **wide)):
        return ()
    lowered = _lowered(_copied(imported), replace(options, **wide), Stages())
    return lowered.program if any(each.parts > 1 for each in lowered.memory.image.layers) else ()


def _wanted(imported: Imported, options: CompileOptions) -> StepParameters:
    """What the model wants of a processor, but for the sizes of memories."""
    from elastix.compiler.pipeline import run_stage

    copied = _copied(imported).module
    run_stage("s4_partition", copied, options)
    with copied.context:
        return _processor(copied).parameters()


def _lowered(imported: Imported, options: CompileOptions, stages: Stages) -> LoweredStep:
    """From `s4_partition` on."""
    from elastix.compiler.pipeline import run_stage

    module = imported.module
    with stages.stage("s4_partition"):
        run_stage("s4_partition", module, options)
    with module.context:
        step = step_function(module)
        parameters = _processor(module).parameters()
        memory, tables = lay_out_step(step, parameters), tables_of(step, parameters)
    with stages.stage("s5_lower"):
        run_stage("s5_lower", module, options)
    with module.context:
        program = step_program_of(module)
        if program is None:
            raise ElastixError("a module without a step program", wanted="one", do="run elx-to-step")
        addresses = {each.sym_name: each.address for each in program.buffers}
        instructions = tuple(with_addresses(program.instructions, addresses))
        return LoweredStep(imported, program.processor.parameters(), memory, tables, instructions)


def _processor(module: ModuleOp) -> StepProcessorOp:
    found = step_processor_of(module)
    if found is None:
        raise ElastixError("a module without a step processor", wanted="one", do="run choose-step-processor")
    return found


def write_step(
    imported: Imported,
    folder: Path,
    options: CompileOptions,
    stages: Stages,
    planned: PlanWeights | None,
    *,
    source: str,
) -> dict[str, Any]:
    """Everything of the output folder; returns the report's figures."""
    from elastix.compiler.pipeline import run_stage

    lowered = lower_step_of(imported, options, stages)
    with stages.stage("s6_hardware"):
        if options.processor is None:  # else it is there
            run_stage("s6_hardware", imported.module, options, folder=str(folder / "rtl"))
    image = lowered.memory.image
    written = None
    if options.weights:
        with stages.stage("weights", total=image.weights) as advance:
            written = write_image(folder / WEIGHTS_FILE, image, lowered.weights(), planned=planned, progress=advance)
    (folder / PROGRAM_FILE).write_bytes(lowered.program_bytes)
    host = folder / HOST_FOLDER
    host.mkdir()
    (host / HEADER_FILE).write_text(header(lowered.manifest()), encoding="utf-8")
    with stages.stage("tokenizer"):
        if imported.tokenizer is not None:
            tokenizer.save(imported.tokenizer, folder / TOKENIZER_FOLDER)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != WEIGHTS_FILE)
    hashes = {str(path.relative_to(folder)): file_hash(path) for path in files}
    manifest = replace(lowered.manifest(), model={"max_context": imported.max_context, "source": source}, hashes=hashes)
    if written is not None:
        manifest = replace(
            manifest,
            layers=tuple(
                replace(layer, error=written.errors.get(layer.weight), codes=written.codes.get(layer.weight, ""))
                for layer in manifest.layers
            ),
            hashes={WEIGHTS_FILE: written.sha256, **hashes},
        )
    (folder / FILE_NAME).write_text(manifest.to_json(), encoding="utf-8")
    found = expected(lowered.program, lowered.parameters, lowered.choice)
    return write_report(manifest, lowered.memory.image, lowered.program, found, lowered.choice, folder)
