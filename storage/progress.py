"""How far a table is: one line every few seconds for a person, and the tally at the end."""

import time
from collections.abc import Callable, Iterable

from storage.manifest import Tally
from storage.parquet_shards import Record

LOG_SECONDS = 5.0


class Progress:
    """Counts units as they are settled and says so now and then."""

    def __init__(self, title: str, *, total: int, log: Callable[[str], None], every: float = LOG_SECONDS) -> None:
        self._title, self._total, self._log, self._every = title, total, log, every
        self._begun = self._told = time.monotonic()
        self._reused = self._computed = self._quarantined = self._rows = self._inherited = 0

    def inherit(self, records: Iterable[Record]) -> None:
        """Count units that an earlier run or artifact settled."""
        for record in records:
            self._inherited += 1
            if record.reason:
                self._quarantined += 1
            else:
                self._reused += 1
        self._tell()

    def settle(self, *, rows: int, quarantined: bool) -> None:
        """Count a unit that this run settled."""
        self._rows += rows
        if quarantined:
            self._quarantined += 1
        else:
            self._computed += 1
        self._tell()

    def done(self, rows: int) -> Tally:
        """Say the last line and return the tally of a table with so many rows."""
        seconds = time.monotonic() - self._begun
        self._log(f"{self._title}: {rows} rows of {self._total} units in {seconds:.1f} s, {self._counts()}")
        return Tally(reused=self._reused, computed=self._computed, quarantined=self._quarantined, rows=rows)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told < self._every:
            return
        self._told = now
        settled = self._reused + self._computed + self._quarantined
        fresh, seconds = settled - self._inherited, now - self._begun
        eta = f"{(self._total - settled) * seconds / fresh:.0f} s left" if fresh else "time left unknown"
        self._log(
            f"{self._title}: {settled}/{self._total} units, {fresh / seconds:.1f} units/s, "
            f"{self._rows / seconds:.1f} rows/s, {eta}, {self._counts()}"
        )

    def _counts(self) -> str:
        return f"{self._reused} reused, {self._computed} computed, {self._quarantined} quarantined"
