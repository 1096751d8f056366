"""What a terminal shows of a run: one live display where a person looks on, and elsewhere a line for each message."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from pipelines.commands.terminal import Terminal, coloured, console
from pipelines.escaping import escaped

BLOCKED = "blocked by limit for pool"
"""What Dagster says of a step that waits for a slot of its pool."""
PROGRESS = re.compile(r"(?:^|: )(?:step )?(\d+)/(\d+)(?: units,)? +(.*)")
"""How far a table or a training is, as `storage.progress` and `ops.training` tell it, and the rest of the line."""
PACE = re.compile(r"[\d.]+ (?:units|samples)/s|(?:about )?[\d.]+ (?:s|min|h) left")
"""What of that rest a narrow terminal has to show."""
REFRESHES = 4
"""Per second."""


def _untie() -> None:
    """In a forked process: write past the display, whose lock another thread may have held."""
    sys.stdout, sys.stderr = sys.__stdout__ or sys.stdout, sys.__stderr__ or sys.stderr


os.register_at_fork(after_in_child=_untie)


class RunDisplay:
    """Stage 5 of 12 with its bar, pace and time left; what is no progress stands above as a line."""

    def __init__(self, stages: int, out: Terminal = console) -> None:
        """Of a run of so many stages."""
        self._stages, self._out = stages, out
        self._begun: dict[str, int] = {}
        self._bars = _bars(out) if out.is_interactive else None
        self._bar = self._bars.add_task("run", total=None, rest="") if self._bars else None

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Within it the display is there; the lines stay."""
        if self._bars is None or self._bar is None:
            yield
            return
        with self._bars:
            self._out.show_cursor()  # a run that is ended by force leaves it as it is
            try:
                yield
            finally:
                self._bars.update(self._bar, visible=False)

    def tell(self, step: str, text: str) -> None:
        """What a stage says.

        Args:
            step: Dagster's name of it; empty for the run itself.
            text: one line.
        """
        new = bool(step) and step not in self._begun
        place = self._begun.setdefault(step, len(self._begun) + 1) if step else 0
        title = f"stage {place:>2} of {self._stages} {step.rpartition('__')[2]}:" if step else "run:"
        progress = PROGRESS.search(text)
        if self._bars is None or progress is None:
            self._out.print(coloured(title, "cyan"), escaped(text), highlight=False)
        if self._bars is None or self._bar is None:
            return
        if new:
            self._bars.reset(self._bar, total=None)
        done, total, rest = progress.groups() if progress else (0, 0, text)
        self._bars.update(
            self._bar,
            description=title,
            completed=int(done),
            total=int(total) or None,  # without one the bar pulses
            rest=self._out.shown(escaped(_pace_first(rest))),
        )


def _pace_first(rest: str) -> str:
    """Pace and time left before all else, which may be cut off."""
    return ", ".join(filter(None, [*PACE.findall(rest), PACE.sub("", rest).strip(" ,")]))


def _bars(out: Terminal) -> Progress:
    cut = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, style="cyan", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rest]}", markup=False, table_column=cut),
        console=out,
        expand=True,
        refresh_per_second=REFRESHES,
    )


class _Messages(logging.Handler):
    """Passes messages of stages on to the display."""

    def __init__(self, display: RunDisplay, waits: Callable[[str, str], str]) -> None:
        super().__init__()
        self._display, self._waits = display, waits

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", None) or {}
        step, event = meta.get("step_key") or "", meta.get("dagster_event")
        if event is None and record.levelno >= logging.INFO:
            self._display.tell(step, str(meta.get("orig_message", record.getMessage())))
        elif event is not None and BLOCKED in (event.message or ""):
            self._display.tell(step, self._waits(str(meta.get("run_id")), str(event.message)))


def terminal_logger(display: RunDisplay, waits: Callable[[str, str], str]) -> dg.LoggerDefinition:
    """Messages of stages, on a display; Dagster's own events stay in the UI.

    Args:
        display: of the run.
        waits: id of a run and what Dagster says of its waiting -> what a person is told.
    """

    def logger(_: dg.InitLoggerContext) -> logging.Logger:
        made = logging.getLogger("wordmask.terminal")
        made.setLevel(logging.DEBUG)  # Dagster tells of its events so
        made.propagate = False
        made.handlers = [_Messages(display, waits)]
        return made

    return dg.LoggerDefinition(logger, description="The messages of every stage.")
