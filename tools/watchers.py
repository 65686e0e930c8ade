"""Watchers of a run of passes: print the IR after each, show what changed, time them."""

import sys

from elastix.compiler.ir import ModuleOp, text_of
from elastix.tools.show import show


class PrintAfterAll:
    """Prints the IR after every pass to stderr, in MLIR's form."""

    def before(self, name: str, module: ModuleOp) -> None:
        pass

    def after(self, name: str, module: ModuleOp, seconds: float) -> None:
        print(f"// -----// IR Dump After {name} //----- //\n{text_of(module)}", file=sys.stderr)


class ShowEveryPass:
    """Shows the IR, in the readable form, at the start and after every pass that changed something, on stderr."""

    def __init__(self) -> None:
        self._last = ""

    def before(self, name: str, module: ModuleOp) -> None:
        if not self._last:
            self._last = text_of(module)
            print(f"// at the start\n{show(module)}", file=sys.stderr)

    def after(self, name: str, module: ModuleOp, seconds: float) -> None:
        text = text_of(module)
        if text != self._last:
            print(f"// after {name} ({seconds * 1000:.1f} ms)\n{show(module)}", file=sys.stderr)
        self._last = text


class Timing:
    """Collects the seconds of every pass."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    def before(self, name: str, module: ModuleOp) -> None:
        pass

    def after(self, name: str, module: ModuleOp, seconds: float) -> None:
        self.seconds.append((name, seconds))

    def report(self) -> str:
        """A table: milliseconds and share of each pass, in running order, and their sum."""
        total = sum(seconds for _, seconds in self.seconds)
        rows = [(name, seconds) for name, seconds in self.seconds] + [("total", total)]
        return "\n".join(f"{s * 1000:10.2f} ms {100 * s / (total or 1):5.1f} %  {name}" for name, s in rows)
