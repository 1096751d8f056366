"""Precision over recall of the pixels of every compared model, for one plot (MERES Fig. 4), and the areas below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assets.evaluation.tables import AREAS, CURVE
from assets.reports.gallery.reading import Finished
from assets.stages import SEGMENTERS

OWN_SIZE = "original"
"""The resolution that all models have in common: the image's own size."""


@dataclass(frozen=True, kw_only=True)
class Traced:
    """The curves of one experiment."""

    experiment: str
    method: str
    """Whose probabilities."""
    curves: Mapping[str, Sequence[tuple[float, float]]]
    """Split -> recall and precision; thresholds fall."""
    areas: Mapping[str, float]
    """Split -> AUC-PR."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Those of all experiments that have any."""

    traced: Sequence[Traced] = ()
    absent: tuple[str, ...] = ()
    """Experiments without a curve, where others have one."""

    @property
    def splits(self) -> list[str]:
        """In the order in which they were counted."""
        return list(dict.fromkeys(split for one in self.traced for split in one.areas))

    def lines(self, split: str) -> dict[str, Sequence[tuple[float, float]]]:
        """Name in the legend -> curve on a split."""
        return {self.name(one): one.curves[split] for one in self.traced if split in one.curves}

    def name(self, one: Traced) -> str:
        """The experiment, and its model where they end in different ones."""
        return one.experiment if len({each.method for each in self.traced}) == 1 else f"{one.experiment}: {one.method}"


def curves_of(made: Mapping[str, Finished]) -> Curves:
    """Of each experiment the model that it is about, of those whose curve is finished.

    Args:
        made: experiment -> what is finished of it.

    Raises:
        StoreError: a table is damaged.
    """
    found = [one for name, finished in made.items() if (one := _traced(name, finished))]
    names = {one.experiment for one in found}
    return Curves(traced=found, absent=tuple(name for name in made if found and name not in names))


def _traced(experiment: str, finished: Finished) -> Traced | None:
    artifacts = {one.stage.name: artifact for one, artifact in finished}
    model = next((model for model in SEGMENTERS if model.predictions.name in artifacts), None)
    if model is None or model.curve.name not in artifacts:
        return None
    curves: dict[str, list[tuple[float, float]]] = {}
    for point in CURVE.rows(artifacts[model.curve.name]):
        if point.resolution == OWN_SIZE:
            curves.setdefault(point.split, []).append((point.recall, point.precision))
    areas = AREAS.rows(artifacts[model.curve.name])
    found = {row.split: row.AUC_PR for row in areas if row.resolution == OWN_SIZE}
    return Traced(experiment=experiment, method=model.method, curves=curves, areas=found) if found else None
