"""A quantized model as the plan folder has it: lines with reasons, figures, the curve that the choice was made on."""

from collections.abc import Mapping, Sequence
from typing import Any

from elastix.compiler.precision.allocate import Point, frontier
from elastix.compiler.precision.candidates import REFERENCE
from elastix.compiler.precision.curve_picture import Curve
from elastix.compiler.precision.planned_layer import PlannedLayer
from elastix.compiler.precision.quantizer import Layer, Quantized

CURVE_POINTS = 24


def planned(found: Quantized) -> tuple[PlannedLayer, ...]:
    """The lines of the plan."""
    return tuple(
        PlannedLayer(
            each.site.name,
            each.format,
            each.site.rows,
            each.site.columns,
            each.bytes,
            each.error,
            each.kl,
            why=_why(each),
            cost=each.cost,
        )
        for each in found.layers
    )


def _why(layer: Layer) -> str:
    if not layer.bytes:
        return "a table: one row is read for a token"
    how = "the file's codes, kept" if layer.kept else "rounded"
    return f"{how}; KL {layer.sensitivity:.2g} alone at {REFERENCE.bits} bits"


def curve(found: Quantized, others: Sequence[tuple[str, Quantized]] = ()) -> Curve:
    """Least KL at every size, layers counted as dear as they were together in the plan that was made."""
    points = tuple(
        Point(each.bytes, each.kl * found.together) for each in frontier(found.choices, CURVE_POINTS) if each.kl > 0
    )
    chosen = Point(found.bytes, found.summed * found.together)
    compared = tuple((name, Point(each.bytes, each.expected)) for name, each in others)
    return Curve(points, chosen, found.weights, measured=found.expected, others=compared)


def figures(found: Quantized) -> Mapping[str, Any]:
    """What scripts get."""
    return {
        "bits_per_weight": found.bits_per_weight,
        "bytes_per_token": found.bytes,
        "weights_per_token": found.weights,
        "kl_expected": found.expected,
        "kl_of_layers_held_out": found.held_out,
        "kl_of_layers_alone": found.summed,
        "codes_kept": sum(each.kept for each in found.layers),
    }
