"""What came out, in figures: for people (`report.md`) and scripts (`report.json`). All are counted, none measured."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from elastix.compiler.crossings import Crossing, crossing_figures, crossing_table
from elastix.compiler.image import PLANNED, ImageLayout
from elastix.compiler.manifest import Layer, Manifest
from elastix.compiler.precision.plan_weights import NOT_AS_PLANNED

Reasons = Mapping[tuple[str, str, str], int]
"""How many ops of this name run on this side, for this reason."""
_CROSSINGS: Final = (
    "The host writes activations, starts what is launched together, waits, and reads results. Cycles are those of the",
    "processor behind a memory that always has the next beat: other cycles are descriptors, activations and the start",
    "and end of launches. The host's own work and the way to a board are not in them.",
)


def report(
    manifest: Manifest,
    layout: ImageLayout,
    folder: Path,
    *,
    reasons: Reasons | None = None,
    crossings: Sequence[Crossing] = (),
) -> dict[str, Any]:
    """Write both files into `folder`; returns the figures.

    bits_per_weight counts every byte of the weight stream (headers, padding, CRC). bytes_per_token: what the processor
    reads of it for one token. predicted_cycles: a token's weight beats, one a cycle and channel; launches cost more.
    codes_kept: layers whose codes are the file's, only the scales fitted anew; codes_planned: those that a plan folder
    has rounded; not_as_planned: names of weights that it has in another format, so that they were rounded anew, without
    its care. report.json says it layer by layer.
    reasons: the table of what runs where, and why; crossings: what goes between host and processor, of which
    other_cycles are those that launches cost beside weights; both are left out of the report without them.
    """
    places = {place.name: place for place in layout.layers}
    processor = manifest.processor
    streamed = [places[layer.weight] for layer in manifest.layers if layer.tokens]
    cycles = sum(8 * each.stream_bytes // (processor.beat * processor.channels) for each in streamed)
    figures = {**weight_figures(manifest.layers, layout), "predicted_cycles": cycles, **crossing_figures(crossings)}
    rows = [_row(layer, places[layer.weight].stream_bytes) for layer in manifest.layers]
    columns = ("layer", "runs on", "shape", "format", "stream bytes", "relative squared error", "codes")
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    facts = [f"- {name.replace('_', ' ')}: {round(value, 3):,}" for name, value in figures.items()]
    text = "\n".join(["# What was compiled", "", *facts, f"- processor: {processor}", "", *head, *rows, ""])
    if reasons:
        text += "\n".join(["", "## What runs where, and why", "", *reason_table(reasons), ""])
    if crossings:
        text += "\n".join(["", "## What crosses between host and processor", "", *_CROSSINGS, ""])
        text += "\n".join([*crossing_table(crossings), ""])
    (folder / "report.md").write_text(text, encoding="utf-8")
    return write_json(figures, manifest.layers, folder)


def weight_figures(layers: Sequence[Layer], layout: ImageLayout) -> dict[str, Any]:
    """What a compiled model's packed weights come to."""
    places = {place.name: place for place in layout.layers}
    return {
        "layers": len(layers),
        "weights": layout.weights,
        "bits_per_weight": layout.bits_per_weight,
        "bytes_per_token": sum(places[layer.weight].stream_bytes for layer in layers if layer.tokens),
        "image_bytes": layout.bytes,
        "codes_kept": sum(layer.codes.startswith("kept") for layer in layers),
        "codes_planned": sum(layer.codes == PLANNED for layer in layers),
    }


def write_json(figures: Mapping[str, Any], layers: Sequence[Layer], folder: Path) -> dict[str, Any]:
    """report.json: the figures and, layer by layer, what quantizing did; returns the figures with `not_as_planned`."""
    anew = [layer.weight for layer in layers if NOT_AS_PLANNED in layer.codes]
    whole = {**figures, "not_as_planned": list(dict.fromkeys(anew))}
    details = [
        {"name": layer.name, "format": layer.format, "error": layer.error, "codes": layer.codes} for layer in layers
    ]
    (folder / "report.json").write_text(json.dumps({**whole, "by_layer": details}, indent=1) + "\n", encoding="utf-8")
    return whole


def reason_table(reasons: Reasons) -> list[str]:
    """Its lines, the host's first, and of those what there is most of."""
    order = sorted(reasons.items(), key=lambda each: (each[0][1], -each[1], each[0]))
    rows = [f"| {count} | `{name}` | {side} | {reason} |" for (name, side, reason), count in order]
    return ["| ops | name | runs on | because |", "|---|---|---|---|", *rows]


def _row(layer: Layer, stream_bytes: int) -> str:
    error = "" if layer.error is None else f"{layer.error:.2e}"
    # A table that only look-ups read is never launched.
    side = "processor" if layer.tokens else "host"
    shape = f"{layer.rows} × {layer.columns}"
    return "| " + " | ".join((layer.name, side, shape, layer.format, f"{stream_bytes:,}", error, layer.codes)) + " |"
