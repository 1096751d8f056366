"""A worker of arithmetic, which can be slow, wrong or deadly at a number."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resources.datasets import ImageChangedError
from resources.engines.worker import Log
from resources.runtime import Runtime
from storage.rows import Quarantined, Rows
from tests.storage.filling import rows_of

NAMES: dict[int, str] = {}


@dataclass(frozen=True, kw_only=True)
class Squares:
    """Rows of `tests.storage.filling`, in any process."""

    runtime: Runtime
    folder: Path
    """Workers leave a file here for what they do once."""
    deadly: tuple[int, ...] = ()
    """Numbers at which a worker kills itself the first time."""
    always_deadly: int = -1
    wrong: int = -1
    changed: int = -1
    seconds: float = 0.0
    gpu: bool = False
    small: bool = False
    missing: str = ""
    """Why it cannot be opened."""
    lines: list[str] = field(default_factory=list)

    def open(self, log: Log) -> Callable[[Sequence[int]], Iterator[Rows | Quarantined]]:
        """As `Worker.open`."""
        if self.missing:
            raise FileNotFoundError(self.missing)
        (self.folder / f"opened-{os.getpid()}").touch()
        self.runtime.note({"device": "abacus"})
        log(f"{os.getpid()} is open")
        return self._rows

    def _rows(self, numbers: Sequence[int]) -> Iterator[Rows | Quarantined]:
        for number in numbers:
            time.sleep(self.seconds)
            if number == self.wrong:
                _ = NAMES[number]
            if number == self.changed:
                raise ImageChangedError("a.png", "is another file now")
            if number == self.always_deadly or (number in self.deadly and self._first(number)):
                os.kill(os.getpid(), signal.SIGKILL)
            yield rows_of(number)

    def _first(self, number: int) -> bool:
        died = self.folder / f"died-{number}"
        try:
            died.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
