"""The figures of finished rows in a file beside the page of results, so that several machines and days fill one page.

Every figure stands with the recipe of the run that it was read from: a run that is planned otherwise by now is none.
"""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path

from assets.framework.stage import StageInstance
from ops.refusal import Refused
from pipelines.config.paper_tables import Row
from resources.opening import read_file
from storage.files import write_bytes

Figures = dict[str, tuple[float, ...]]
"""Split -> measures."""


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """Where a figure belongs."""

    dataset: str
    experiment: str
    stage: str
    method: str
    classes: str
    split: str
    measure: str
    recipe: str


@dataclass(kw_only=True)
class ResultCells:
    """The figures of a file."""

    path: Path
    values: dict[Place, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "ResultCells":
        """The figures of a file, which may be absent.

        Raises:
            Refused: it holds something else.
        """
        if not path.exists():
            return cls(path=path)
        names = [one.name for one in fields(Place)]
        lines = list(csv.reader(read_file(path).decode(errors="replace").splitlines()))
        if not lines or lines[0] != [*names, "value"]:
            raise Refused(f"{path} holds no figures of results and would be lost; move it away")
        values = {}
        for number, line in enumerate(lines[1:], 2):
            try:
                values[Place(**dict(zip(names, line[:-1], strict=True)))] = float(line[-1])
            except (ValueError, IndexError) as wrong:
                raise Refused(f"{path}, line {number}: {','.join(line)[:80]} is no figure; delete the line") from wrong
        return cls(path=path, values=values)

    def of(self, instance: StageInstance, row: Row, measures: Sequence[str]) -> Figures:
        """The figures of a row, if its run is planned as it was when they were read."""
        splits = dict.fromkeys(
            place.split for place in self.values if place == self._place(instance, row, place.split, place.measure)
        )
        found = {}
        for split in splits:
            with suppress(KeyError):
                found[split] = tuple(self.values[self._place(instance, row, split, one)] for one in measures)
        return found

    def note(self, instance: StageInstance, row: Row, measures: Sequence[str], figures: Figures) -> None:
        """Keep the figures of a finished row; those of its earlier recipes go."""
        for place in [place for place in self.values if _same_run(place, instance, row)]:
            del self.values[place]
        for split, values in figures.items():
            for measure, value in zip(measures, values, strict=True):
                self.values[self._place(instance, row, split, measure)] = value

    def write(self) -> None:
        """Write the file, sorted, so that two of them merge as texts."""
        if not self.values:
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*(one.name for one in fields(Place)), "value"])
        table.writerows((*astuple(place), f"{self.values[place]:.6f}") for place in sorted(self.values))
        write_bytes(self.path, text.getvalue().encode())

    def _place(self, instance: StageInstance, row: Row, split: str, measure: str) -> Place:
        return Place(
            dataset=instance.dataset,
            experiment=row.experiment,
            stage=row.stage,
            method=row.method,
            classes=row.classes,
            split=split,
            measure=measure,
            recipe=instance.recipe,
        )


def _same_run(place: Place, instance: StageInstance, row: Row) -> bool:
    """Whether a figure is of a row's run, by an earlier recipe."""
    ours = (instance.dataset, row.experiment, row.stage, row.method, row.classes)
    theirs = (place.dataset, place.experiment, place.stage, place.method, place.classes)
    return theirs == ours and place.recipe != instance.recipe
