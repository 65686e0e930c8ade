"""Where every tensor of a step lies for the host: device memory, an argument, a result, a constant, or the arena."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from elastix.compiler.arena import Lifetime, place
from elastix.compiler.errors import ElastixError
from elastix.compiler.ir.core import DenseElementsAttr, OpView, Value
from elastix.compiler.kernels import bytes_of
from elastix.compiler.manifest import HostParameter
from elastix.compiler.schedule import moves_no_data, schedule
from elastix.compiler.step_function import StepFunction
from elastix.dialects.elx import CacheUpdateOp, QuantizedCacheUpdateOp, QuantizeOp

CONSTANT = "arith.constant"


@dataclass(frozen=True)
class Place:
    """Bytes from `offset` on in a region; index: which argument, result or constant."""

    region: str
    offset: int = 0
    index: int | None = None


@dataclass(frozen=True)
class Copy:
    """A tensor to copy when the step ends."""

    source: Value
    target: Place


@dataclass
class Storage:
    """The plan: a place for every tensor but quantized activations.

    first_copies: for each result of a cache update that must not be in place, the value that it is a copy of at first.
    last_copies: what goes to results and caches at the end, in order. arena_bytes: size of the arena.
    """

    places: dict[Value, Place] = field(default_factory=dict[Value, Place])
    constants: list[DenseElementsAttr] = field(default_factory=list[DenseElementsAttr])
    first_copies: dict[Value, Value] = field(default_factory=dict[Value, Value])
    last_copies: list[Copy] = field(default_factory=list[Copy])
    arena_bytes: int = 0


def plan_storage(step: StepFunction, parameters: Sequence[HostParameter]) -> Storage:
    """Places for all tensors of the step. Temporaries whose lifetimes do not meet share bytes of the arena.

    A reshape is its operand. A cache update is in place where the old cache may be written and nobody reads it later.
    A returned tensor lies in its result from the beginning where it can; else it is copied there at the end.
    """
    return _Planning(step, parameters).run()


def _updates(op: OpView) -> dict[Value, Value]:
    """The results of a cache update, and what each was before."""
    match op:
        case CacheUpdateOp():
            return {op.result: op.cache}
        case QuantizedCacheUpdateOp():
            return {op.result: op.cache, op.new_scales: op.scales}
        case _:
            return {}


class _Planning:
    def __init__(self, step: StepFunction, parameters: Sequence[HostParameter]) -> None:
        self._step, self._plan, self._storage = step, schedule(step.block), Storage()
        self._addresses = {each.name: each.address for each in parameters}
        self._end = len(self._plan.ops) - 1
        self._root: dict[Value, Value] = {}
        self._aliases: dict[Value, list[Value]] = {}
        self._born: dict[Value, int] = {}
        self._writable: set[Value] = set()

    def run(self) -> Storage:
        self._place_arguments()
        for at, op in enumerate(self._plan.ops[:-1]):
            self._find_roots(at, op)
        self._place_results()
        self._place_arena()
        places = self._storage.places
        places.update({value: places[root] for value, root in self._root.items() if root in places})
        return self._storage

    def _new_root(self, value: Value) -> None:
        self._root[value], self._aliases[value] = value, [value]

    def _alias(self, value: Value, of: Value) -> None:
        self._root[value] = self._root[of]
        self._aliases[self._root[of]].append(value)

    def _place_arguments(self) -> None:
        index = 0
        for each in self._step.arguments:
            self._new_root(each.value)
            if each.kind in ("cache", "input"):
                self._storage.places[each.value] = Place("argument", index=index)
                index += 1
            elif each.name in self._addresses:
                self._storage.places[each.value] = Place("memory", self._addresses[each.name])
            if each.kind == "cache":
                self._writable.add(each.value)

    def _find_roots(self, at: int, op: OpView) -> None:
        if isinstance(op, QuantizeOp):
            return
        if moves_no_data(op):
            self._alias(op.results[0], op.operands[0])
            return
        updates = _updates(op)
        for result in op.results:
            if result in updates:
                if self._may_write(updates[result], at):
                    self._alias(result, updates[result])
                    continue
                self._storage.first_copies[result] = updates[result]
            self._new_root(result)
            if op.operation.name == CONSTANT:
                self._storage.places[result] = Place(CONSTANT, index=len(self._storage.constants))
                self._storage.constants.append(DenseElementsAttr(op.attributes["value"]))
            else:
                self._born[result] = at
                self._writable.add(result)

    def _may_write(self, value: Value, at: int) -> bool:
        root = self._root[value]
        return root in self._writable and all(self._last_use(each) <= at for each in self._aliases[root])

    def _last_use(self, value: Value) -> int:
        """Position of the last op that reads a value; what a launch's end reads, it reads when the host waits."""
        readers = [use.owner for use in value.uses]
        return max((self._plan.waits.get(op, self._plan.position[op]) for op in readers), default=-1)

    def _place_results(self) -> None:
        arguments = {each.name: self._storage.places.get(each.value) for each in self._step.arguments}
        values = {each.name: each.value for each in self._step.arguments}
        outputs = [each for each in self._step.results if not each.writes]
        for index, each in enumerate(outputs):
            root, target = self._root[each.value], Place("result", index=index)
            if root not in self._storage.places:
                self._storage.places[root] = target
            else:
                self._storage.last_copies.append(Copy(each.value, target))
        for each in self._step.results:
            if not each.writes or self._root[each.value] == values.get(each.writes):
                continue
            target = arguments.get(each.writes)
            if target is None:
                raise ElastixError(f"a result that writes {each.writes!r}", wanted="the name of an argument")
            self._refuse_exchange(each.writes, self._root[each.value])
            self._storage.last_copies.append(Copy(each.value, target))

    def _refuse_exchange(self, name: str, root: Value) -> None:
        """Copies to caches run one after another, so none may come from a cache."""
        other = self._step.argument_of(root)
        if other is not None and other.kind == "cache":
            wanted = "each cache to be written with its own update"
            raise ElastixError(f"cache {name} is to get what cache {other.name} holds", wanted=wanted)

    def _place_arena(self) -> None:
        roots = [root for root in self._born if root not in self._storage.places]
        lifetimes = [Lifetime(bytes_of(root), self._born[root], self._death(root)) for root in roots]
        offsets, self._storage.arena_bytes = place(lifetimes)
        for root, offset in zip(roots, offsets, strict=True):
            self._storage.places[root] = Place("arena", offset)

    def _death(self, root: Value) -> int:
        # A launch's result is written when the host waits, even if nobody reads it.
        owner = root.owner
        written = self._plan.waits.get(owner, self._born[root]) if isinstance(owner, OpView) else self._born[root]
        return max(written, *(self._last_use(each) for each in self._aliases[root]))
