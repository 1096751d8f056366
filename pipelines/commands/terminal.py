"""The terminal: where commands print, and the form of their tables. What is printed is text; nothing in it acts."""

import os
import sys
from typing import IO, Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.escaping import escaped

STOPPED = 130
"""Exit status of a command that a person stopped, as shells have it."""


class Terminal(Console):
    """A console to which every string is text: no markup, no emoji codes, no control characters."""

    def __init__(self, file: IO[str] | None = None) -> None:
        """On standard output, unless another file is given."""
        super().__init__(file=file, markup=False, emoji=False)

    def shown(self, text: str) -> str:
        """The text without what acts, or what the encoding of this terminal lacks."""
        return escaped(text, lines=True).encode(self.encoding, errors="backslashreplace").decode(self.encoding)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed, wherever it stands, comes through here."""
        return super().render_str(self.shown(text), **options)


class TextTable(Table):
    """A table that breaks long words instead of cutting them, and whose cells are text."""

    def __init__(self, *names: str, title: str | None = None, show_lines: bool = False) -> None:
        """A column of each name."""
        super().__init__(title=None if title is None else coloured(escaped(title)), show_lines=show_lines)
        for name in names:
            self.add_column(coloured(escaped(name)), overflow="fold")

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Strings are one line of text; cells with a colour, or of several lines, come from `coloured`."""
        super().add_row(*(coloured(escaped(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


console = Terminal()


def coloured(text: str, colour: str = "") -> Text:
    """Text in a colour."""
    return Text(console.shown(text), style=colour)


def complain(text: str) -> None:
    """Print what a person has to act on."""
    console.print(text, style="red")


def say(label: str, text: str, colour: str) -> None:
    """Print one line with a coloured label."""
    console.print(coloured(label, colour), escaped(text), highlight=False)


def folding(*names: str, title: str | None = None, show_lines: bool = False) -> TextTable:
    """A table that breaks long words instead of cutting them."""
    return TextTable(*names, title=title, show_lines=show_lines)


def leave(message: str) -> NoReturn:
    """Say a last line and end the process at once: unloading libraries takes seconds."""
    console.print(message)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STOPPED)
