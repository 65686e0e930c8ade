"""Precision plans: which format each layer's weights get.

A plan file is YAML:

    default: 8                                  # bits, or a format: '6b g32 s6 half_step', or {bits: 6, group: 32}
    layers:                                     # names or patterns (* ? [ ]); the last line that matches wins
      model.layers.*.mlp.down_proj: 6
      lm_head: {bits: 8, group: 128}
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from elastix.compiler.errors import ElastixError
from elastix.compiler.importer.views import stored_name
from elastix.compiler.numbers.formats import SCALES, ZEROS, Format

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
_KEYS: Final = ("bits", "group", "scale", "zero")


def default_format(bits: int) -> Format:
    """The format of `--bits N`; raises ElastixError unless 1 ≤ bits ≤ 8."""
    if bits not in DEFAULT_FORMATS:
        raise ElastixError(f"weights of {bits} bits", wanted="1 to 8 bits")
    return DEFAULT_FORMATS[bits]


@dataclass(frozen=True)
class Override:
    """One line of a plan: the layers it means, their format, and where it stands."""

    pattern: str
    format: Format
    where: str

    def matches(self, name: str) -> bool:
        """Whether a weight's name matches, or that of the stored tensor it is a view of; `.weight` may be left out.

        So `model.layers.*.mlp.down_proj` means a rotated weight too, and one view alone can be named in full.
        """
        names = {name, stored_name(name)}
        short = {each.removesuffix(".weight") for each in names}
        return self.pattern == name or any(fnmatchcase(each, self.pattern) for each in names | short)


@dataclass(frozen=True)
class Plan:
    """A format for every layer: the last override that matches, else the default."""

    default: Format
    overrides: tuple[Override, ...] = ()

    def format_of(self, name: str) -> Format:
        """The format of one weight."""
        return next((o.format for o in reversed(self.overrides) if o.matches(name)), self.default)

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
    """Read a plan file; raises ElastixError with file and line for whatever is not as the module's head says."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ElastixError(f"cannot read the plan {path}: {reason}", wanted="a YAML file") from error
    try:
        root = yaml.SafeLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ElastixError(f"{path}:{line}: {error.problem or 'not YAML'}", wanted="a YAML plan") from error
    except yaml.YAMLError as error:
        raise ElastixError(f"{path}:1: {str(error).splitlines()[0]}", wanted="a YAML plan") from error
    if root is None:
        raise ElastixError(f"{path}: an empty plan", wanted="default: and layers:")
    return _Reader(str(path)).plan(root)


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
        default = DEFAULT_FORMATS[8]
        overrides: list[Override] = []
        for key, key_node, value in self.items(root, "the plan", "default: and layers:"):
            self.known(key, key_node, ("default", "layers"))
            if key == "default":
                default = self.format(value)
                continue
            for name, name_node, form in self.items(value, "layers", "layer: format"):
                overrides.append(Override(name, self.format(form), self.at(name_node)))
        return Plan(default, tuple(overrides))

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
            self.known(key, key_node, _KEYS)
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
        if key not in found:
            return ""
        node, names = found[key], SCALES if key == "scale" else ZEROS
        if isinstance(node, ScalarNode) and node.value in names:
            return node.value
        if not isinstance(node, ScalarNode):
            raise self.fail(node, f"{key} is no text", " or ".join(names))
        close = difflib.get_close_matches(str(node.value), names, 1)
        do = f"did you mean {close[0]!r}?" if close else ""
        raise self.fail(node, f"{key} is {node.value!r}", " or ".join(names), do)
