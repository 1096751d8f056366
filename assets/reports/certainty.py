"""How sure the choices of a page are: the least sure ones first, and what the threshold of absent objects does."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from math import inf

from assets.data.tables import Referent
from assets.reports.html import PageTable, page_table
from assets.ssc.absent_objects import THRESHOLD
from assets.ssc.tables import ChoiceRow
from storage.artifact import Artifact

LISTED = 12
"""Choices that a page names."""
COLUMNS = ("expressions", "because", "candidates", "confidence", "margin")


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What all choices say of how sure they are, in a number for each."""

    margins: Mapping[int, float]
    """Of the referents that have one."""
    choices: int
    by_person: int

    def least_sure(self, referents: Iterable[Referent]) -> list[Referent]:
        """The few of smallest margin, smallest first."""
        known = (referent for referent in referents if referent.ref_id in self.margins)
        return nsmallest(LISTED, known, key=lambda referent: self.margins[referent.ref_id])


def certainty_of(choices: Iterable[ChoiceRow]) -> Certainty:
    """Of choices as they come."""
    margins: dict[int, float] = {}
    count = by_person = 0
    for choice in choices:
        count += 1
        by_person += choice.by_person
        if (margin := choice.margin) is not None:
            margins[choice.ref_id] = margin
    return Certainty(margins=margins, choices=count, by_person=by_person)


def least_sure_first(referents: Sequence[Referent], choices: Mapping[int, ChoiceRow]) -> list[Referent]:
    """In the order of their margins; at the end, in their own order, those that have none."""

    def margin(referent: Referent) -> float:
        choice = choices.get(referent.ref_id)
        return inf if choice is None or choice.margin is None else choice.margin

    return sorted(referents, key=margin)


def least_sure(referents: Sequence[Referent], choices: Mapping[int, ChoiceRow]) -> PageTable | None:
    """The choices of smallest margin; None where none has any."""
    rows = [
        {
            "expressions": " | ".join(referent.expressions),
            "because": choice.reason,
            "confidence": _number(choice.confidence),
            "margin": _number(choice.margin),
            "candidates": len(choice.candidates),
        }
        for referent in least_sure_first(referents, choices)
        if (choice := choices.get(referent.ref_id)) is not None and choice.margin is not None
    ]
    return page_table(rows[:LISTED], COLUMNS) if rows else None


def told(choice: ChoiceRow) -> str:
    """The reason of a choice, and how sure it is."""
    sure = "" if choice.confidence is None else f", confidence {_number(choice.confidence)}"
    ahead = "" if choice.margin is None else f", margin {_number(choice.margin)}"
    return f"{choice.reason}{sure}{ahead}"


def is_calibration(metric: str) -> bool:
    """Whether a metric of `mask_choices` tells of the threshold of absent objects, and counts no reason."""
    return metric.startswith("absent: ")


def absence(mask_choices: Artifact) -> str:
    """A sentence on the threshold; empty where there is none."""
    metrics = mask_choices.manifest.metrics
    if THRESHOLD not in metrics:
        return ""
    n_acc, lost = (100 * float(metrics[f"absent: {name}"]) for name in ("N-acc", "true sentences lost"))
    return (
        f"What scores below {float(metrics[THRESHOLD]):.2f} is absent and gets no mask: {n_acc:.1f} % of sentences of "
        f"other images (N-acc), and {lost:.1f} % of an image's own, which are lost."
    )


def reviewed(certainty: Certainty) -> str:
    """A sentence on the choices that persons made; empty where there are none."""
    if not certainty.by_person:
        return ""
    return (
        f"Supervised: {certainty.by_person} of {certainty.choices} referents have a mask that a person chose or "
        "refused among the candidates (reviews); what follows from the choices is weakly supervised but for these."
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
