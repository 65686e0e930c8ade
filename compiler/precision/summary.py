"""A plan for the terminal: a table with the bits of every layer as bars, and the curve with the chosen point."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from elastix.compiler.precision.bits_picture import bars, kinds
from elastix.compiler.precision.curve_picture import Curve, chosen_line, curve_text
from elastix.compiler.precision.planned_layer import PlannedLayer


def print_summary(layers: Sequence[PlannedLayer], curve: Curve | None, console: Console) -> None:
    """Print both; without a curve the table alone."""
    console.print(bits_table(layers))
    if curve is not None:
        console.print()
        for row in curve_text(curve, width=min(72, max(24, console.width - 24))):
            console.print(row, markup=False, highlight=False, soft_wrap=True)
        console.print(f"chosen: {chosen_line(curve)}", style="bold", highlight=False, soft_wrap=True)


def bits_table(layers: Sequence[PlannedLayer]) -> Table:
    """A row for each kind of layer: its bits from the first block to the last, bytes read a token, error and KL."""
    table = Table(title="bits of every layer, a bar a block: ▁ 1 … █ 8", title_justify="left")
    for name in ("layer", "bits", "formats"):
        table.add_column(name, overflow="fold")
    for name in ("mean bits", "MB a token", "error", "KL"):
        table.add_column(name, justify="right")
    for kind in kinds(layers):
        error = sum(each.error for each in kind.layers.values()) / len(kind.layers)
        figures = (f"{kind.bits:.2f}", f"{kind.bytes / 1e6:.2f}", f"{error:.2g}", f"{kind.kl:.3g}")
        table.add_row(kind.name, bars(kind), kind.formats, *figures)
    table.add_section()
    total, kl = sum(each.bytes for each in layers), sum(each.kl for each in layers)
    streamed = sum(each.rows * each.columns for each in layers if each.bytes)
    mean = f"{8 * total / streamed:.3f}" if streamed else ""
    table.add_row("all that is read", "", "headers included", mean, f"{total / 1e6:.2f}", "", f"{kl:.3g}", style="bold")
    return table
