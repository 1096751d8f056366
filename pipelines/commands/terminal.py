"""The terminal: where commands print, and the form of their tables."""

from rich.console import Console
from rich.table import Table

console = Console()


def folding(*names: str, title: str | None = None, show_lines: bool = False) -> Table:
    """A table that breaks long words instead of cutting them."""
    table = Table(title=title, show_lines=show_lines)
    for name in names:
        table.add_column(name, overflow="fold")
    return table
