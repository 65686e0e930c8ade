"""The folder that `elastix quantize` makes: the plan to read and edit, the weights rounded for it, figures, pictures.

`plan.yaml` (numbers/plan.py) · `weights.safetensors` (plan_weights.py) · `report.json` · `curve.svg`, `bits.svg`
(curve_picture.py, bits_picture.py). A terminal shows the same as text (summary.py).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from elastix.compiler.importer.views import stored_name
from elastix.compiler.numbers.pack import QuantizedRows
from elastix.compiler.numbers.plan import PLAN_FILE, WEIGHTS_FILE
from elastix.compiler.output import new_folder
from elastix.compiler.precision.bits_picture import bits_svg
from elastix.compiler.precision.curve_picture import Curve, curve_svg
from elastix.compiler.precision.plan_weights import RoundedLayer, Store, write_weights
from elastix.compiler.precision.planned_layer import PlannedLayer

REPORT_FILE: Final = "report.json"
CURVE_FILE: Final = "curve.svg"
BITS_FILE: Final = "bits.svg"
_PLAIN: Final = re.compile(r"[A-Za-z_][\w./-]*")


@dataclass(frozen=True)
class PlanContent:
    """All that a plan folder says, but for the weights.

    layers: in the order of the model; rotate: one of numbers.plan.ROTATE; heading: lines of comment at the top of the
    plan; figures: for report.json; curve: for the picture of size against KL, left out without one.
    """

    layers: tuple[PlannedLayer, ...]
    curve: Curve | None = None
    rotate: str = "none"
    heading: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])


def write_plan(
    out: Path,
    content: PlanContent,
    rounded: Callable[[str], QuantizedRows],
    store: Store,
    *,
    overwrite: bool = False,
) -> None:
    """Make the folder: whole afterwards, or not there.

    rounded: the integers of a layer by name; store: the model's weights, which rounding began with. Raises ElastixError
    where `out` exists and `overwrite` is not set, or the disk fills up.
    """
    with new_folder(out, overwrite=overwrite, marker=PLAN_FILE, maker="elastix quantize") as folder:
        (folder / PLAN_FILE).write_text(plan_text(content), encoding="utf-8")
        layers = [RoundedLayer(each.name, each.format, (each.rows, each.columns)) for each in content.layers]
        write_weights(folder / WEIGHTS_FILE, layers, rounded, store)
        report = {**content.figures, "layers": [_record(each) for each in content.layers]}
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (folder / BITS_FILE).write_text(bits_svg(content.layers), encoding="utf-8")
        if content.curve is not None:
            (folder / CURVE_FILE).write_text(curve_svg(content.curve), encoding="utf-8")


def plan_text(content: PlanContent) -> str:
    """The YAML of a plan: a line a layer, its parts below each other."""
    lines = [*(f"# {line}".rstrip() for line in content.heading), "default: 8", f"rotate: {content.rotate}", "layers:"]
    layers = _ordered(content.layers)
    names = [_key(each.name) for each in layers]
    width = max((len(name) for name in names), default=0) + 1
    lines += [f"  {name + ':':<{width}} {_line(each)}" for name, each in zip(names, layers, strict=True)]
    return "\n".join(lines) + "\n"


def _ordered(layers: Sequence[PlannedLayer]) -> list[PlannedLayer]:
    """As in the model; but a stored tensor's line comes before those of its views, which it would overrule."""
    stored = {each.name for each in layers}
    return sorted(layers, key=lambda each: stored_name(each.name) != each.name and stored_name(each.name) in stored)


def _key(name: str) -> str:
    short = name.removesuffix(".weight")
    return short if _PLAIN.fullmatch(short) else json.dumps(name)


def _line(layer: PlannedLayer) -> str:
    form = layer.format
    parts = {
        "bits": str(form.bits),
        "group": str(form.group),
        "scale": form.scale,
        "zero": form.zero,
        **({} if layer.activation_bits is None else {"activation_bits": str(layer.activation_bits)}),
        "error": f"{layer.error:.2e}",
        "kl": f"{layer.kl:.2e}",
        **({"why": json.dumps(layer.why, ensure_ascii=False)} if layer.why else {}),
    }
    return "{" + ", ".join(f"{key}: {value}" for key, value in parts.items()) + "}"


def _record(layer: PlannedLayer) -> dict[str, Any]:
    return {**asdict(layer), "format": str(layer.format)}
