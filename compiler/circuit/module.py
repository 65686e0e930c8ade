"""Modules: ports, instances, named wires and registers, written out as one `hw.module` each."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Literal

from elastix.compiler.circuit.signal import Register, Signal, Wire
from elastix.compiler.errors import ElastixError

Target = Literal["verilog", "simulation"]


class Module:
    """One hardware module. `clk` and `rst` (synchronous, high) appear as first ports as soon as something needs them.

    Instances of modules with a clock or reset are connected to them without being told.
    """

    def __init__(self, name: str, comment: str | None = None, parameters: Mapping[str, object] | None = None) -> None:
        """comment: what it is and how its ports are used, as a docstring; parameters: what it was generated with."""
        self.name, self.comment, self.parameters = name, inspect.cleandoc(comment or ""), dict(parameters or {})
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int] = {}
        self.clocked = False
        self.resettable = False
        self.instances: list[Module] = []
        self._lines: list[str] = []
        self._results: list[Signal] = []
        self._later: list[Wire | Register] = []
        self._unused: list[Signal] = []
        self._labels: set[str] = set()
        self._count = 0
        self._text: dict[Target, str] = {}
        self.contents: dict[str, tuple[int, ...]] = {}

    @classmethod
    def from_text(
        cls,
        name: str,
        inputs: dict[str, int],
        outputs: dict[str, int],
        *,
        verilog: str,
        simulation: str,
        contents: Mapping[str, tuple[int, ...]] | None = None,
    ) -> "Module":
        """A clocked module given as CIRCT IR, where the two targets need different ops (memories).

        contents: words that memories have from the start in simulation, by name of the memory.
        """
        module = cls(name)
        module.inputs, module.outputs, module.clocked = inputs, outputs, True
        module._text = {"verilog": verilog, "simulation": simulation}
        module.contents = dict(contents or {})
        return module

    # ports

    def input(self, name: str, width: int = 1) -> Signal:
        self._declare(name, width)
        self.inputs[name] = width
        return Signal(self, f"%{name}", width)

    def output(self, name: str, value: Signal) -> None:
        self._declare(name, value.width)
        self._own(value, f"output {name}")
        self.outputs[name] = value.width
        self._results.append(value)

    # values

    def constant(self, value: int, width: int) -> Signal:
        """A constant, negative ones in two's complement; raises ElastixError when `value` does not fit."""
        return self.emit(f"hw.constant {self._literal(value, width)}", width)

    def named(self, name: str, value: Signal) -> Signal:
        """The same value under a name, which the Verilog shows."""
        self._own(value, f"wire {name}")
        return self.emit(f'hw.wire {value.ssa} name "{self._label(name)}" : i{value.width}', value.width)

    def wire(self, name: str, width: int) -> Wire:
        """A named value that is assigned later."""
        wire = Wire(self, self._fresh(), width, self._label(name))
        self._later.append(wire)
        return wire

    def unused(self, value: Signal) -> None:
        """Says that not every bit of an input is looked at, so that lint has nothing to ask."""
        self._own(value, "unused value")
        self._unused.append(value)

    def register(self, name: str, next: Signal, *, enable: Signal | None = None, reset: int | None = None) -> Signal:
        """A register taking `next` at each clock edge (where `enable` is 1).

        reset: its value after reset, which wins over enable; None leaves it alone.
        """
        return self.state(name, next.width, reset=reset).next(next, enable=enable)

    def state(self, name: str, width: int, *, reset: int | None = None) -> Register:
        """A register whose next value is given later, by its method `next`."""
        if reset is not None:
            self._literal(reset, width)
        register = Register(self, self._fresh(), width, self._label(name), reset)
        self.clocked = True
        self.resettable |= reset is not None
        self._later.append(register)
        return register

    def delay(self, name: str, value: Signal, cycles: int, *, reset: int | None = None) -> Signal:
        """`value` as it was `cycles` clocks ago, through registers name_1 … name_`cycles`."""
        for cycle in range(1, cycles + 1):
            value = self.register(f"{name}_{cycle}", value, reset=reset)
        return value

    @property
    def rst(self) -> Signal:
        """The reset input, for logic that must know it; registers with `reset=` need not."""
        self.resettable = True
        return Signal(self, "%rst", 1)

    def instance(self, name: str, module: "Module", **inputs: Signal) -> Mapping[str, Signal]:
        """An instance of another module, its inputs by name; returns its outputs by name."""
        if inputs.keys() != module.inputs.keys():
            missing, unknown = (
                sorted(module.inputs.keys() - inputs.keys()),
                sorted(inputs.keys() - module.inputs.keys()),
            )
            raise ElastixError(
                f"instance {name} of {module.name} in {self.name}: missing inputs {missing}, unknown inputs {unknown}",
                wanted=f"{sorted(module.inputs)}",
            )
        for port, value in inputs.items():
            self._own(value, f"port {port} of instance {name}")
            if value.width != module.inputs[port]:
                raise ElastixError(
                    f"{value.width} bits for port {port} of instance {name} of {module.name}",
                    wanted=f"{module.inputs[port]} bits",
                )
        self.clocked |= module.clocked
        self.resettable |= module.resettable
        self.instances.append(module)
        operands = ["clk: %clk: !seq.clock"] if module.clocked else []
        operands += ["rst: %rst: i1"] if module.resettable else []
        operands += [f"{port}: {inputs[port].ssa}: i{width}" for port, width in module.inputs.items()]
        results = {port: Signal(self, self._fresh(), width) for port, width in module.outputs.items()}
        types = ", ".join(f"{port}: i{width}" for port, width in module.outputs.items())
        left = ", ".join(result.ssa for result in results.values())
        self._lines.append(
            f'{left} = hw.instance "{self._label(name)}" @{module.name}({", ".join(operands)}) -> ({types})'
        )
        return results

    def emit(self, operation: str, width: int) -> Signal:
        """Append an op with one result of `width` bits."""
        result = Signal(self, self._fresh(), width)
        self._lines.append(f"{result.ssa} = {operation}")
        return result

    # text

    def text(self, target: Target) -> str:
        """The module as CIRCT IR; raises ElastixError for wires and registers that never got a value."""
        if not self._text:
            self._text = {"verilog": self._build("verilog"), "simulation": self._build("simulation")}
        return self._text[target]

    def header(self) -> str:
        """The lines above the module in SystemVerilog: its comment, then its parameters; empty if it has none."""
        lines = self.comment.splitlines()
        if self.parameters:
            values = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
            lines += ["", *textwrap.wrap(f"Parameters: {values}.", 117)]
        return "".join(f"// {line}".rstrip() + "\n" for line in lines)

    def hierarchy(self) -> Iterator["Module"]:
        """This module and all below it, those below first, each name once.

        Raises ElastixError when two different modules share a name.
        """
        seen: dict[str, Module] = {}

        def visit(module: Module) -> None:
            known = seen.get(module.name)
            if known is not None:
                if known is not module and known.text("verilog") != module.text("verilog"):
                    raise ElastixError(
                        f"two different modules named {module.name}",
                        wanted="one name for one module",
                        do="put the parameters that differ into the name",
                    )
                return
            for below in module.instances:
                visit(below)
            seen[module.name] = module

        visit(self)
        yield from seen.values()

    def _build(self, target: Target) -> str:
        later = list[str]()
        for item in self._later:
            if item.source is None:
                raise ElastixError(
                    f"{item.label} of module {self.name} has no value", wanted="assign (wires) or next (registers)"
                )
            if isinstance(item, Wire):
                later.append(f'{item.ssa} = hw.wire {item.source.ssa} name "{item.label}" : i{item.width}')
            else:
                later += self._register_lines(item, item.source, target)
        if target == "verilog":
            # Lint knows by the name; the symbol keeps the wire, which nothing reads.
            for index, value in enumerate(self._unused):
                name = f"unused_{index}"
                later.append(f'%{name} = hw.wire {value.ssa} sym @{name} name "{name}" : i{value.width}')
        ports = (["in %clk : !seq.clock"] if self.clocked else []) + (["in %rst : i1"] if self.resettable else [])
        ports += [f"in %{name} : i{width}" for name, width in self.inputs.items()]
        ports += [f"out {name} : i{width}" for name, width in self.outputs.items()]
        types = ", ".join(f"i{value.width}" for value in self._results)
        output = f"hw.output {', '.join(value.ssa for value in self._results)} : {types}" if types else "hw.output"
        body = "\n  ".join([*self._lines, *later, output])
        return f"hw.module @{self.name}({', '.join(ports)}) {{\n  {body}\n}}\n"

    def _register_lines(self, register: Register, source: Signal, target: Target) -> list[str]:
        name, width, enable, lines = register.label, register.width, register.enable, list[str]()
        value, reset = source.ssa, ""
        if register.reset is not None:
            constant = f"{register.ssa}_reset"
            lines.append(f"{constant} = hw.constant {self._literal(register.reset, width)}")
            if target == "simulation" and register.reset:
                # The arc dialect resets to zero only, so a mux does the rest.
                held = value
                if enable is not None:
                    held = f"{register.ssa}_held"
                    lines.append(f"{held} = comb.mux {enable.ssa}, {value}, {register.ssa} : i{width}")
                    enable = None
                value = f"{register.ssa}_next"
                lines.append(f"{value} = comb.mux %rst, {constant}, {held} : i{width}")
            else:
                reset = f" reset %rst, {constant}"
        operands = f"{value}, %clk" if enable is None else f"{value}, %clk, {enable.ssa}"
        op = "seq.compreg" if enable is None else "seq.compreg.ce"
        return [*lines, f'{register.ssa} = {op} name "{name}" {operands}{reset} : i{width}']

    def _literal(self, value: int, width: int) -> str:
        if width < 1 or not -(1 << width - 1) <= value < 1 << width:
            raise ElastixError(f"constant {value} in {width} bits in module {self.name}", wanted="a width it fits")
        if width == 1:
            return "true" if value else "false"
        return f"{value - (1 << width) if value >> (width - 1) == 1 else value} : i{width}"

    def _fresh(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _label(self, name: str) -> str:
        if name in self._labels:
            raise ElastixError(
                f"second {name} in module {self.name}", wanted="each port, wire, register and instance its own name"
            )
        self._labels.add(name)
        return name

    def _declare(self, name: str, width: int) -> None:
        if name in ("clk", "rst"):
            raise ElastixError(
                f"port {name} of module {self.name} declared",
                wanted="no declaration, registers and instances bring clk and rst",
            )
        if width < 1:
            raise ElastixError(f"port {name} of {width} bits in module {self.name}", wanted="at least 1 bit")
        self._label(name)

    def _own(self, value: Signal, what: str) -> None:
        if value.body is not self:
            raise ElastixError(
                f"{what} of module {self.name} connected to {value}",
                wanted="a signal of the same module",
                do="pass the value through a port",
            )
