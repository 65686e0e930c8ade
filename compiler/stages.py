"""What a long job is doing, for people and for scripts: named stages with seconds, a bar where one waits."""

import resource
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

Advance = Callable[[float], None]


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Stages:
    """Seconds of each stage in order; shows bars on standard error when `show` is set."""

    show: bool = False
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @contextmanager
    def stage(self, name: str, total: float | None = None) -> Generator[Advance, None, None]:
        """Time the block as `name`; the value given is called with the amount of `total` that was done."""
        begin = time.perf_counter()
        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self.console, disable=not self.show, transient=not self.console.is_terminal
        ) as bar:
            task = bar.add_task(name, total=total)
            yield lambda amount: bar.advance(task, amount)
            bar.update(task, total=total or 1, completed=total or 1)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def print_table(self) -> None:
        """The seconds of every stage and their sum, on standard error."""
        table = Table("stage", "seconds", title="where the time went", title_justify="left")
        for name, seconds in self.seconds.items():
            table.add_row(name, f"{seconds:.2f}")
        table.add_row("all", f"{sum(self.seconds.values()):.2f}", style="bold")
        self.console.print(table)
