"""Precision plans: which format each layer's weights get, and how many bits its activations.

A plan file is YAML:

    default: 8                                  # bits, or a format: '6b g32 s6 half_step', or {bits: 6, group: 32}
    layers:                                     # names or patterns (* ? [ ]); the last line that matches wins
      model.layers.*.mlp.down_proj: 6
      lm_head: {bits: 8, group: 128, activation_bits: 10, why: "people may note what they like here"}
    rotate: none                                # as `--rotate`: what was rotated before these layers were chosen

A plan folder has such a file, plan.yaml, beside weights rounded for it (compiler/precision/plan_weights.py).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.views import stored_name
from elastix.compiler.numbers.formats import ACTIVATION_BITS, SCALES, ZEROS, Format

DEFAULT_FORMATS: Final = {
    8: Format(8, 64, "s8", "symmetric"),
    7: Format(7, 64, "s8", "symmetric"),
    6: Format(6, 64, "s8c8", "asymmetric"),
    5: Format(5, 64, "s8c8", "asymmetric"),
    4: Format(4, 32, "s8c8", "asymmetric"),
    3: Format(3, 32, "s8c8", "asymmetric"),
    2: Format(2, 32, "s8c8", "asymmetric"),
    1: Format(1, 32, "s6", "half_step"),
}
"""Formats of `--bits N`: least divergence at their size; the measurements are in compiler/numbers/README.md."""
PLAN_FILE: Final = "plan.yaml"
WEIGHTS_FILE: Final = "weights.safetensors"
ROTATE: Final = ("none", "norms", "residual", "values", "all")
"""What may be rotated before weights are rounded."""
_KEYS: Final = ("bits", "group", "scale", "zero", "activation_bits")
_NOTES: Final = ("error", "kl", "why")
"""Keys for people, which nothing reads."""


def default_format(bits: int) -> Format:
    """The format of `--bits N`; raises ElastixError unless 1 ≤ bits ≤ 8."""
    if bits not in DEFAULT_FORMATS:
        raise ElastixError(f"weights of {bits} bits", wanted="1 to 8 bits")
    return DEFAULT_FORMATS[bits]


@dataclass(frozen=True)
class Override:
    """One line of a plan: the layers it means, their format, and where it stands.

    activation_bits: of what a linear layer reads, 8 … 12; None as the processor has.
    """

    pattern: str
    format: Format
    where: str
    activation_bits: int | None = None

    def matches(self, name: str) -> bool:
        """Whether a weight's name matches, or that of the stored tensor it is a view of; `.weight` may be left out.

        So `model.layers.*.mlp.down_proj` means a rotated weight too, and one view alone can be named in full.
        """
        names = {name, stored_name(name)}
        short = {each.removesuffix(".weight") for each in names}
        return self.pattern == name or any(fnmatchcase(each, self.pattern) for each in names | short)


@dataclass(frozen=True)
class Plan:
    """A format for every layer: the last override that matches, else the default.

    activation_bits: of the layers that no override matches; rotate: one of ROTATE, empty if the plan does not say;
    folder: where the weights rounded for it lie, if there are any.
    """

    default: Format
    overrides: tuple[Override, ...] = ()
    activation_bits: int | None = None
    rotate: str = ""
    folder: Path | None = None

    def line_of(self, name: str) -> Override:
        """The line that says how one weight is written."""
        default = Override("*", self.default, "the plan's default", self.activation_bits)
        return next((o for o in reversed(self.overrides) if o.matches(name)), default)

    def format_of(self, name: str) -> Format:
        """The format of one weight."""
        return self.line_of(name).format

    def check(self, names: Sequence[str]) -> None:
        """Raise ElastixError, with the plan's line, if an override means none of the model's weights."""
        for override in self.overrides:
            if not any(override.matches(name) for name in names):
                short = [name.removesuffix(".weight") for name in names]
                close = difflib.get_close_matches(override.pattern, short, 1, cutoff=0.4)
                raise ElastixError(
                    f"{override.where}: no layer of the model matches {override.pattern!r}",
                    wanted=f"one of its {len(names)} layers" if names else "a model with layers",
                    do=f"did you mean {close[0]!r}?" if close else "",
                )


def uniform(bits: int) -> Plan:
    """The plan of `--bits N`."""
    return Plan(default_format(bits))


def load_plan(path: Path) -> Plan:
    """Read a plan file or folder; raises ElastixError with file and line for whatever is not as the module's head says.

    A file that lies in a plan folder means the folder.
    """
    file = path / PLAN_FILE if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        wanted = f"a YAML file, or a folder with {PLAN_FILE}"
        raise ElastixError(f"cannot read the plan {file}: {reason}", wanted=wanted) from error
    try:
        root = yaml.SafeLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ElastixError(f"{file}:{line}: {error.problem or 'not YAML'}", wanted="a YAML plan") from error
    except yaml.YAMLError as error:
        raise ElastixError(f"{file}:1: {str(error).splitlines()[0]}", wanted="a YAML plan") from error
    if root is None:
        raise ElastixError(f"{file}: an empty plan", wanted="default: and layers:")
    has_weights = file.name == PLAN_FILE and (file.parent / WEIGHTS_FILE).is_file()
    return replace(_Reader(str(file)).plan(root), folder=file.parent if has_weights else None)


@dataclass(frozen=True)
class _Reader:
    """Turns YAML nodes, which know their lines, into a plan."""

    path: str

    def at(self, node: Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"

    def fail(self, node: Node, found: str, wanted: str, do: str = "") -> ElastixError:
        return ElastixError(f"{self.at(node)}: {found}", wanted=wanted, do=do)

    def items(self, node: Node, what: str, wanted: str) -> list[tuple[str, Node, Node]]:
        """Keys of a mapping with their nodes; a key that is no text or stands twice is an error."""
        if not isinstance(node, MappingNode):
            raise self.fail(node, f"{what} is no mapping", wanted)
        seen: list[tuple[str, Node, Node]] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise self.fail(key, f"a key of {what} is no text", wanted)
            if any(key.value == name for name, _, _ in seen):
                raise self.fail(key, f"{key.value!r} stands twice", "each key once")
            seen.append((key.value, key, value))
        return seen

    def known(self, key: str, node: Node, names: Sequence[str]) -> None:
        if key not in names:
            close = difflib.get_close_matches(key, names, 1)
            raise self.fail(
                node, f"unknown key {key!r}", " or ".join(names), f"did you mean {close[0]!r}?" if close else ""
            )

    def plan(self, root: Node) -> Plan:
        plan = Plan(DEFAULT_FORMATS[8])
        for key, key_node, value in self.items(root, "the plan", "default: and layers:"):
            self.known(key, key_node, ("default", "layers", "rotate"))
            if key == "default":
                plan = replace(plan, default=self.format(value), activation_bits=self.activation_bits(value))
            elif key == "rotate":
                plan = replace(plan, rotate=self.one_of(ROTATE, "rotate", value))
            else:
                plan = replace(plan, overrides=self.overrides(value))
        return plan

    def overrides(self, node: Node) -> tuple[Override, ...]:
        return tuple(
            Override(name, self.format(form), self.at(name_node), self.activation_bits(form))
            for name, name_node, form in self.items(node, "layers", "layer: format")
        )

    def activation_bits(self, form: Node) -> int | None:
        """Of a format that was read before."""
        if not isinstance(form, MappingNode):
            return None
        value = next((value for key, _, value in self.items(form, "a format", "") if key == "activation_bits"), None)
        if value is None:
            return None
        bits = self.integer(value, "activation_bits")
        if bits not in ACTIVATION_BITS:
            raise self.fail(value, f"activations of {bits} bits", "8 to 12 bits")
        return bits

    def format(self, node: Node) -> Format:
        """Bits, a short form, or a mapping with `bits`; what a mapping leaves out is as in the default for its bits."""
        try:
            if isinstance(node, ScalarNode):
                return self._integer_format(node) if node.tag.endswith(":int") else Format.parse(node.value)
            return self._mapping_format(node)
        except ElastixError as error:
            if error.found.startswith(self.path):
                raise
            raise self.fail(node, error.found, error.wanted, error.do) from None

    def _integer_format(self, node: Node) -> Format:
        return default_format(self.integer(node, "bits"))

    def _mapping_format(self, node: Node) -> Format:
        values = self.items(node, "a format", "bits, a format such as '4b g64 s6 half_step', or {bits: 4, group: 64}")
        for key, key_node, _ in values:
            self.known(key, key_node, (*_KEYS, *_NOTES))
        found = {key: value for key, _, value in values}
        if "bits" not in found:
            raise self.fail(node, "a format without bits", "{bits: 4, …}")
        base = default_format(self.integer(found["bits"], "bits"))
        scale, zero = self.text(found, "scale"), self.text(found, "zero")
        group = self.integer(found["group"], "group") if "group" in found else base.group
        if not scale and not zero:
            return Format(base.bits, group, base.scale, base.zero)
        # One of the two says whether the other is asymmetric.
        asymmetric = "asymmetric" in (zero, {"s8c8": "asymmetric"}.get(scale, ""))
        scale = scale or ("s8c8" if asymmetric else "s8")
        return Format(base.bits, group, scale, zero or ("asymmetric" if asymmetric else "half_step"))

    def integer(self, node: Node, what: str) -> int:
        if isinstance(node, ScalarNode) and node.value.lstrip("-").isdecimal() and len(node.value) < 10:
            return int(node.value)
        raise self.fail(
            node,
            f"{what} is {node.value!r}" if isinstance(node, ScalarNode) else f"{what} is no number",
            "a whole number",
        )

    def text(self, found: dict[str, Node], key: str) -> str:
        return self.one_of(SCALES if key == "scale" else ZEROS, key, found[key]) if key in found else ""

    def one_of(self, names: Sequence[str], key: str, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            raise self.fail(node, f"{key} is no text", " or ".join(names))
        if node.value in names:
            return node.value
        close = difflib.get_close_matches(str(node.value), names, 1)
        do = f"did you mean {close[0]!r}?" if close else ""
        raise self.fail(node, f"{key} is {node.value!r}", " or ".join(names), do)
