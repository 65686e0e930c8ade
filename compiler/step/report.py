"""What a compiled decode step comes to, in figures; all are counted, none measured."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elastix.compiler.image import ImageLayout
from elastix.compiler.processor.step.instructions import INSTRUCTION_BYTES, Instruction
from elastix.compiler.report import weight_figures, write_json
from elastix.compiler.step.choose_board import Choice
from elastix.compiler.step.cycles import Prediction
from elastix.compiler.step.manifest import StepManifest


def write_report(
    manifest: StepManifest,
    layout: ImageLayout,
    program: Sequence[Instruction],
    expected: Prediction,
    choice: Choice | None,
    folder: Path,
) -> dict[str, Any]:
    """Write report.md and report.json into `folder`; returns the figures.

    bytes_per_token counts weights and their headers; cache_bytes_per_row what each position behind the first adds;
    program_bytes what is fetched of instructions a token. predicted_cycles: `expected`, of a token in the middle of the
    context, on the chosen board, or behind a memory that always has the next beat; channel 0 gives a beat in
    predicted_efficiency of them.
    """
    places = {place.name: place for place in layout.layers}
    processor = manifest.step_processor
    figures = {
        **weight_figures(manifest.layers, layout),
        "cache_bytes_per_row": manifest.memory.cache_bytes // processor.max_context,
        "program_bytes": len(program) * INSTRUCTION_BYTES,
        "memory_bytes": manifest.memory.size,
        "predicted_cycles": round(expected.cycles),
        "predicted_efficiency": round(expected.efficiency, 4),
        "rho": round(expected.rho, 3),
        "longest_stall": round(expected.longest_stall),
        "stalls": round(expected.stalls),
    }
    kinds = Counter(each.opcode.name.lower() for each in program)
    columns = ("layer", "shape", "format", "stream bytes", "relative squared error", "codes")
    rows = [
        f"| {layer.name} | {layer.rows} × {layer.columns} | {layer.format} | "
        f"{places[layer.weight].stream_bytes:,} | "
        f"{'' if layer.error is None else f'{layer.error:.2e}'} | {layer.codes} |"
        for layer in manifest.layers
    ]
    lines = ["# What was compiled", "", "A whole decode step: the host writes token ids and a position.", ""]
    lines += [f"- {name.replace('_', ' ')}: {round(value, 3):,}" for name, value in figures.items()]
    lines += [f"- instructions: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}"]
    lines += [
        f"- processor: {processor}",
        "",
        *_stalls(expected),
        *_candidates(choice),
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *rows,
        "",
    ]
    (folder / "report.md").write_text("\n".join(lines), encoding="utf-8")
    if choice is not None:
        figures["board"] = choice.board
        figures["tokens_per_second"] = round(choice.chosen.tokens_per_second, 2)
        figures["candidates"] = choice.rows()
    return write_json(figures, manifest.layers, folder)


def _stalls(expected: Prediction) -> list[str]:
    """What keeps the memory waiting, by the cycle model."""
    lines = ["## Where cycles go that give no beat (cycle model, channel 0, a token in the middle of the context)", ""]
    lines += [
        f"Memory gives ρ = {expected.rho:.3f} of what the engine takes; the longest stall is "
        f"{expected.longest_stall:,.0f} cycles, all stalls together {expected.stalls:,.0f} of {expected.cycles:,.0f}.",
        "",
        "| waits for | cycles |",
        "|---|---|",
    ]
    return [*lines, *(f"| {name} | {cycles:,.0f} |" for name, cycles in expected.lost.items()), ""]


def _candidates(choice: Choice | None) -> list[str]:
    """The processors that were thought of."""
    if choice is None:
        return []
    rows = choice.rows()
    lines = [
        f"## Processors for {choice.board}, by {choice.objective} (models of cycles and area, nothing measured)",
        "",
    ]
    lines += [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    return [*lines, *(f"| {' | '.join(map(str, each.values()))} |" for each in rows), ""]
