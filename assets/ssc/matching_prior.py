"""What the choice thought of each candidate, for the matching that follows it."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from assets.framework.work import Work
from assets.segmenters.training_set import TrainingSet
from assets.ssc.stages import MASK_CHOICES
from assets.ssc.tables import choices_of
from ops.ssc.consensus import candidate_prior
from ops.ssc.matching import MatchingLoss


@dataclass(frozen=True, kw_only=True)
class Prior:
    """How likely each candidate is before a model is asked."""

    weight: float
    """What a probability of 1 adds to a soft IoU at first."""
    of_referent: Mapping[int, Mapping[Hashable, float]]
    """Referent -> candidate -> probability."""


def prior_of_choices(work: Work, *, weight: float) -> Prior:
    """Probabilities by the scores of `mask_choices`; a referent without a choice has none."""
    rows = choices_of(work.input(MASK_CHOICES))
    known: dict[int, Mapping[Hashable, float]] = {
        ref_id: dict(zip(row.candidates, candidate_prior(row.scores), strict=True)) for ref_id, row in rows.items()
    }
    return Prior(weight=weight, of_referent=known)


def with_prior(matching: MatchingLoss, data: TrainingSet, prior: Prior) -> MatchingLoss:
    """The matching, told how likely the candidates of every referent are that it trains on."""
    known = {}
    for number, referent in enumerate(data.dataset.referents):
        keys, likely = data.keys[referent.image], prior.of_referent.get(referent.name, {})
        known[number] = {row: likely.get(keys[row], 0.0) for row in referent.candidates}
    return replace(matching, prior=known, prior_weight=prior.weight)
