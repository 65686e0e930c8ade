"""A processor that is there already: its parameters from a file, and whether a model fits it."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Final, cast

import yaml

from elastix.compiler.errors import ElastixError
from elastix.compiler.manifest import is_sealed
from elastix.compiler.processor.step.parameters import StepParameters

_SAME: Final = {
    "head_dim": "heads of {} values",
    "kv_heads": "{} heads of keys",
    "group": "{} queries to a head of keys",
    "max_context": "caches of {} rows",
}
_AT_MOST: Final = {
    "max_tiles": "rows of {} tiles of 32 columns",
    "vector_elements": "{} elements of vector memory",
    "constant_elements": "{} elements of constant memory",
}


def read_processor(path: Path) -> StepParameters:
    """The parameters in a manifest.json of a whole decode step, or in a YAML file with their names as keys.

    Raises ElastixError for a file that is not there, names that are none, and values that no processor can have.
    """
    if not path.is_file():
        raise ElastixError(f"no file {path}", wanted="a manifest.json, or parameters as YAML")
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = yaml.safe_load(text)  # of which JSON is a part
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ElastixError(f"{path} is not YAML: {error}", wanted="a manifest.json, or parameters as YAML") from None
    values = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    if "sha256" in values and not is_sealed(text):
        raise ElastixError(
            f"{path} is not as it was written",
            wanted="its own SHA-256 to fit",
            do="write what you want of its step_processor into a YAML file",
        )
    values = values.get("step_processor", values)
    known: dict[str, Any] = {each.name: each.default for each in fields(StepParameters)}
    if not values or not known.keys() >= values.keys():
        wrong = sorted(values.keys() - known.keys())[:3]
        raise ElastixError(
            f"{path} with {', '.join(wrong) if wrong else 'no parameters'}",
            wanted=f"parameters of a step processor: {', '.join(known)}",
        )
    given: dict[str, Any] = {}
    for name, value in values.items():
        default = known[name]
        if not isinstance(value, list if isinstance(default, tuple) else type(default)):
            raise ElastixError(f"{path}: {name} = {value!r}", wanted=f"as {default!r}")
        given[name] = tuple(cast(list[Any], value)) if isinstance(default, tuple) else value
    return StepParameters(**given)


def check_fits(wanted: StepParameters, there: StepParameters, path: Path) -> None:
    """Raises ElastixError that names the first thing that a model wants and the processor has not."""
    for name, what in _SAME.items():
        need, have = getattr(wanted, name), getattr(there, name)
        if need != have:
            raise _refused(what.format(need), what.format(have), path)
    for name, what in _AT_MOST.items():
        need, have = getattr(wanted, name), getattr(there, name)
        if need > have:
            raise _refused(what.format(f"{need:,}"), f"at most {what.format(f'{have:,}')}", path)
    if wanted.activation_bits > there.activation_bits:
        raise _refused(f"activations of {wanted.activation_bits} bits", f"at most {there.activation_bits}", path)
    for name in ("activations", "features"):
        need, have = getattr(wanted, name), getattr(there, name)
        if missing := [each for each in need if each not in have]:
            raise _refused(", ".join(missing), ", ".join(have) or "none", path)


def _refused(found: str, wanted: str, path: Path) -> ElastixError:
    return ElastixError(
        f"a model with {found} for the processor of {path}",
        wanted=f"{wanted}, as it is",
        do="compile without --processor, which makes one for the model",
    )
