"""Signals: values of a fixed width inside one module, with the operators a circuit is written in."""

from collections.abc import Sequence
from typing import Protocol, Self

from elastix.compiler.errors import ElastixError


class Body(Protocol):
    """The module a signal lives in: it takes ops as text and gives their results as signals."""

    name: str

    def emit(self, operation: str, width: int) -> "Signal": ...

    def constant(self, value: int, width: int) -> "Signal": ...


class Signal:
    """One value of `width` bits (>= 1) in module `body`; `ssa` is its name in the IR.

    Operators want equal widths and never widen; an int operand becomes a constant of the signal's width.
    Bit 0 is the lowest; `s[3]` is one bit, `s[0:8]` the low byte, `s[-1]` the top bit.
    Comparisons are unsigned unless the name says signed, and give one bit.
    """

    __slots__ = ("body", "ssa", "width")

    def __init__(self, body: Body, ssa: str, width: int) -> None:
        self.body, self.ssa, self.width = body, ssa, width

    def __repr__(self) -> str:
        return f"{self.body.name}.{self.ssa}:i{self.width}"

    __hash__ = object.__hash__

    def same_width(self, other: "Signal | int", operation: str) -> "Signal":
        """The other operand as a signal; raises ElastixError when widths or modules differ."""
        if isinstance(other, int):
            return self.body.constant(other, self.width)
        if other.body is not self.body:
            raise ElastixError(
                f"{operation} of {self} and {other}", wanted="signals of one module", do="pass the value through a port"
            )
        if other.width != self.width:
            raise ElastixError(
                f"{operation} of {self.width} and {other.width} bits in module {self.body.name}",
                wanted="equal widths",
                do="use zext, sext or a slice",
            )
        return other

    def _binary(self, operation: str, other: "Signal | int") -> "Signal":
        right = self.same_width(other, operation)
        return self.body.emit(f"comb.{operation} bin {self.ssa}, {right.ssa} : i{self.width}", self.width)

    def _compare(self, predicate: str, other: "Signal | int") -> "Signal":
        right = self.same_width(other, f"comparison {predicate}")
        return self.body.emit(f"comb.icmp bin {predicate} {self.ssa}, {right.ssa} : i{self.width}", 1)

    def __add__(self, other: "Signal | int") -> "Signal":
        return self._binary("add", other)

    def __sub__(self, other: "Signal | int") -> "Signal":
        return self._binary("sub", other)

    def __mul__(self, other: "Signal | int") -> "Signal":
        return self._binary("mul", other)

    def __and__(self, other: "Signal | int") -> "Signal":
        return self._binary("and", other)

    def __or__(self, other: "Signal | int") -> "Signal":
        return self._binary("or", other)

    def __xor__(self, other: "Signal | int") -> "Signal":
        return self._binary("xor", other)

    def __invert__(self) -> "Signal":
        return self._binary("xor", (1 << self.width) - 1)

    def __neg__(self) -> "Signal":
        return self.body.constant(0, self.width) - self

    def __eq__(self, other: "Signal | int") -> "Signal":  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("eq", other)

    def __ne__(self, other: "Signal | int") -> "Signal":  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("ne", other)

    def __lt__(self, other: "Signal | int") -> "Signal":
        return self._compare("ult", other)

    def __le__(self, other: "Signal | int") -> "Signal":
        return self._compare("ule", other)

    def __gt__(self, other: "Signal | int") -> "Signal":
        return self._compare("ugt", other)

    def __ge__(self, other: "Signal | int") -> "Signal":
        return self._compare("uge", other)

    def signed_lt(self, other: "Signal | int") -> "Signal":
        return self._compare("slt", other)

    def signed_ge(self, other: "Signal | int") -> "Signal":
        return self._compare("sge", other)

    def __bool__(self) -> bool:
        raise ElastixError(
            f"{self} used as a Python condition", wanted="a value known while generating", do="use mux(condition, a, b)"
        )

    def __lshift__(self, amount: "Signal | int") -> "Signal":
        """Shift left within the width; bits beyond the top fall off."""
        if isinstance(amount, Signal):
            return self._binary("shl", amount)
        if amount == 0:
            return self
        if amount >= self.width:
            return self.body.constant(0, self.width)
        return concat(self[0 : self.width - amount], self.body.constant(0, amount))

    def __rshift__(self, amount: "Signal | int") -> "Signal":
        """Shift right, zeros come in at the top."""
        if isinstance(amount, Signal):
            return self._binary("shru", amount)
        return self.body.constant(0, self.width) if amount >= self.width else self[amount : self.width].zext(self.width)

    def signed_shift_right(self, amount: int) -> "Signal":
        """Shift right by a constant, copies of the sign come in at the top."""
        return self[min(amount, self.width - 1) : self.width].sext(self.width)

    def __getitem__(self, index: int | slice) -> "Signal":
        if isinstance(index, slice):
            low, high, step = index.indices(self.width)
            in_range = index.stop is None or -self.width <= index.stop <= self.width
            if step != 1 or high <= low or not in_range:
                raise ElastixError(
                    f"slice [{index.start}:{index.stop}] of {self.width} bits in module {self.body.name}",
                    wanted=f"0 <= low < high <= {self.width}",
                )
        else:
            low = index + self.width if index < 0 else index
            high = low + 1
            if not 0 <= low < self.width:
                raise ElastixError(
                    f"bit {index} of {self.width} bits in module {self.body.name}", wanted=f"0 ... {self.width - 1}"
                )
        if (low, high) == (0, self.width):
            return self
        return self.body.emit(f"comb.extract {self.ssa} from {low} : (i{self.width}) -> i{high - low}", high - low)

    def zext(self, width: int) -> "Signal":
        """Widened with zeros; raises ElastixError when `width` is less than the signal's."""
        extra = self._extra(width, "zext")
        return concat(self.body.constant(0, extra), self) if extra else self

    def sext(self, width: int) -> "Signal":
        """Widened with copies of the top bit; raises ElastixError when `width` is less than the signal's."""
        extra = self._extra(width, "sext")
        return concat(self[-1].replicate(extra), self) if extra else self

    def _extra(self, width: int, operation: str) -> int:
        if width < self.width:
            raise ElastixError(
                f"{operation} of {self.width} bits to {width} in module {self.body.name}",
                wanted="a width not smaller",
                do="use a slice",
            )
        return width - self.width

    def replicate(self, times: int) -> "Signal":
        width = self.width * times
        return self if times == 1 else self.body.emit(f"comb.replicate {self.ssa} : (i{self.width}) -> i{width}", width)

    def any(self) -> "Signal":
        """One bit: some bit is 1."""
        return self if self.width == 1 else self != 0

    def all(self) -> "Signal":
        """One bit: every bit is 1."""
        return self if self.width == 1 else self == (1 << self.width) - 1

    def parity(self) -> "Signal":
        """One bit: the exclusive or of all bits."""
        return self.body.emit(f"comb.parity bin {self.ssa} : i{self.width}", 1)


class Wire(Signal):
    """A named signal whose value is given later, exactly once, by `assign`; needed for feedback between instances."""

    __slots__ = ("label", "source")

    def __init__(self, body: Body, ssa: str, width: int, label: str) -> None:
        super().__init__(body, ssa, width)
        self.label = label
        self.source: Signal | None = None

    def assign(self, value: Signal | int) -> Self:
        if self.source is not None:
            raise ElastixError(
                f"second assignment to wire {self.label} of module {self.body.name}", wanted="exactly one"
            )
        self.source = self.same_width(value, f"assignment to {self.label}")
        return self


class Register(Signal):
    """A register whose next value is given later, once, by `next`; needed where that depends on the register."""

    __slots__ = ("enable", "label", "reset", "source")

    def __init__(self, body: Body, ssa: str, width: int, label: str, reset: int | None) -> None:
        super().__init__(body, ssa, width)
        self.label, self.reset = label, reset
        self.source: Signal | None = None
        self.enable: Signal | None = None

    def next(self, value: Signal | int, *, enable: Signal | None = None) -> Self:
        """Take `value` at each clock edge where `enable` (if given) is 1; reset wins over enable."""
        if self.source is not None:
            raise ElastixError(
                f"second next value for register {self.label} of module {self.body.name}", wanted="exactly one"
            )
        if enable is not None and enable.width != 1:
            raise ElastixError(
                f"enable of {enable.width} bits for register {self.label} of module {self.body.name}", wanted="1 bit"
            )
        self.source, self.enable = self.same_width(value, f"next value of {self.label}"), enable
        return self


def concat(*parts: Signal) -> Signal:
    """Join signals, the most significant first (as in Verilog's braces)."""
    if len(parts) == 1:
        return parts[0]
    for part in parts[1:]:
        if part.body is not parts[0].body:
            raise ElastixError(
                f"concat of {parts[0]} and {part}", wanted="signals of one module", do="pass the value through a port"
            )
    operands, types = ", ".join(part.ssa for part in parts), ", ".join(f"i{part.width}" for part in parts)
    return parts[0].body.emit(f"comb.concat {operands} : {types}", sum(part.width for part in parts))


def mux(condition: Signal, if_one: Signal | int, if_zero: Signal | int) -> Signal:
    """`if_one` where the one-bit condition is 1, else `if_zero`; one of the two may be an int."""
    if condition.width != 1:
        raise ElastixError(
            f"mux condition of {condition.width} bits in module {condition.body.name}",
            wanted="1 bit",
            do="compare, or use .any()",
        )
    if isinstance(if_one, int):
        if isinstance(if_zero, int):
            raise ElastixError(
                f"mux of {if_one} and {if_zero}", wanted="a width", do="make one of them a constant(value, width)"
            )
        if_one = if_zero.same_width(if_one, "mux")
    if_zero = if_one.same_width(if_zero, "mux")
    if condition.body is not if_one.body:
        raise ElastixError(
            f"mux of {if_one} by {condition}", wanted="signals of one module", do="pass the value through a port"
        )
    return condition.body.emit(
        f"comb.mux bin {condition.ssa}, {if_one.ssa}, {if_zero.ssa} : i{if_one.width}", if_one.width
    )


def select(index: Signal, choices: Sequence[Signal]) -> Signal:
    """`choices[index]` as a tree of muxes; an index beyond the end gives one of the choices."""
    if len(choices) == 1:
        return choices[0]
    if len(choices) > 1 << index.width:
        raise ElastixError(
            f"select among {len(choices)} by {index.width} bits in module {index.body.name}",
            wanted="a wide enough index",
        )
    halves = [mux(index[0], odd, even) for even, odd in zip(choices[0::2], choices[1::2], strict=False)]
    if len(choices) % 2:
        halves.append(choices[-1])
    return halves[0] if len(halves) == 1 else select(index[1 : index.width], halves)
