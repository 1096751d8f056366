"""The published numbers beside a comparison, or why none compares with it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from assets.data.source import Source
from assets.data.tables import ExpressionRow
from assets.evaluation.published import PublishedRow, published_on, whole_splits

MEASURES = ("oIoU", "mIoU")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Rows of papers, or why there are none."""

    rows: Sequence[PublishedRow] = ()
    why_not: str = ""

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Measure and split."""
        found = {(row.measure, split): None for row in self.rows for split in row.values}
        return sorted(found, key=lambda pair: MEASURES.index(pair[0]))

    @property
    def systems(self) -> dict[tuple[str, str, str], dict[tuple[str, str], float]]:
        """System, supervision and source -> measure and split -> percent."""
        found: dict[tuple[str, str, str], dict[tuple[str, str], float]] = {}
        for row in self.rows:
            source = f"{row.paper}, {row.table}" if row.table else row.paper
            values = {(row.measure, split): value for split, value in row.values.items()}
            found.setdefault((row.system, row.supervision, source), {}).update(values)
        return found

    @property
    def notes(self) -> list[str]:
        """What is known to be wrong with them."""
        return list(dict.fromkeys(f"{row.system}: {row.note}" for row in self.rows if row.note))


def published_beside(source: Source, expressions: Sequence[ExpressionRow], *, embedded: bool) -> Beside:
    """What is published of the splits that are here as they were published.

    Args:
        source: the data set.
        expressions: all that were read.
        embedded: whether small models of rendered scenes made the masks.
    """
    config = source.config
    if source.toy is not None or embedded:
        what = "scenes are rendered" if source.toy is not None else "models are small and learnt from rendered scenes"
        return Beside(why_not=f"No number here can be compared with a paper's: {what}.")
    public = {"refer": (config.name, config.split_by), "referit": ("referit", "")}.get(config.kind)
    rows = published_on(*public, MEASURES) if public else []
    if not rows:
        return Beside(why_not="No published number is shown: this is no public data set.")
    counts = Counter(row.split for row in expressions)
    whole = whole_splits(config, counts)
    kept = [replace(row, values={split: row.values[split] for split in row.values if split in whole}) for row in rows]
    kept = [row for row in kept if row.values]
    return Beside(
        rows=kept, why_not="" if kept else "No published number is shown: no split is here as it was published."
    )
