"""What came out, in figures: for people (`report.md`) and for scripts (`report.json`). All are counted, none measured."""

import json
from pathlib import Path
from typing import Any

from elastix.compiler.image import ImageLayout
from elastix.compiler.manifest import Manifest


def report(manifest: Manifest, layout: ImageLayout, folder: Path) -> dict[str, Any]:
    """Write both files into `folder`; returns the figures.

    bits_per_weight counts every byte of the weight stream (headers, padding, CRC). bytes_per_token: streams that one
    token reads, by the processor. predicted_cycles: a token's weight beats, one a cycle and channel, launch overhead not
    counted.
    """
    geometries = {place.name: place.geometry for place in layout.layers}
    streamed = [geometries[layer.weight] for layer in manifest.layers if layer.tokens]
    processor = manifest.processor
    figures: dict[str, Any] = {
        "layers": len(manifest.layers),
        "weights": layout.weights,
        "bits_per_weight": layout.bits_per_weight,
        "bytes_per_token": sum(geometry.stream_bytes for geometry in streamed),
        "predicted_cycles": sum(8 * g.stream_bytes // (processor.beat * processor.channels) for g in streamed),
        "image_bytes": layout.bytes,
    }
    rows = [
        f"| {layer.name} | {layer.rows} × {layer.columns} | {layer.format} | {geometries[layer.weight].stream_bytes:,} | {layer.error or 0:.2e} |"
        for layer in manifest.layers
    ]
    head = ["| layer | shape | format | stream bytes | relative squared error |", "|---|---|---|---|---|"]
    facts = [f"- {name.replace('_', ' ')}: {value:,.3f}" if isinstance(value, float) else f"- {name.replace('_', ' ')}: {value:,}" for name, value in figures.items()]  # fmt: skip
    text = "\n".join(["# What was compiled", "", *facts, f"- processor: {processor}", "", *head, *rows, ""])
    (folder / "report.md").write_text(text, encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures
