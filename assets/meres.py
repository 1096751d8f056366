"""MERES: a segmenter guided by what the words say and by what their pixels show, trained on any source of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from assets.evaluate import scores_of
from assets.meres_knobs import Labels, MeresKnobs
from assets.predict import predicted_by
from assets.records import ObjectRecord
from assets.samples import all_candidates, chosen_mask, drawn_mask, matched_mask, refined_mask
from assets.stage import Outcome, Work
from assets.train import fit, pretrained
from assets.training_set import Offer

OFFERS: Mapping[Labels, Callable[[Work], Callable[[ObjectRecord], Offer]]] = {
    "mask_choices": chosen_mask,
    "corrected": matched_mask,
    "candidates": all_candidates,
    "refined_labels": refined_mask,
    "ground_truth": drawn_mask,
}
"""What an object may learn from under each source of labels."""


def meres(work: Work) -> Outcome:
    """MERES from pretrained towers, on S2, last matches of S+S+C, all candidates (S1), TRIS's labels or drawn masks.

    Candidates are matched anew at every step by constrained greedy matching (S+S+C Eq. 3), for both losses of MERES.
    The paper is fully supervised; only with `labels: ground_truth` are drawn masks read here. Resumes as ZSBootstrap
    does (MERES spec 6, 7).
    """
    from ops.matching import MatchingLoss
    from ops.meres.contrast import MeresLoss, first_candidates
    from ops.meres.model import Meres, optimiser_groups

    knobs = work.knobs_as(MeresKnobs)
    start = pretrained(work, knobs, Meres)
    matching = MatchingLoss() if knobs.labels == "candidates" else None
    loss = MeresLoss(assign=matching.match if matching else first_candidates, contrast_weight=knobs.contrast_weight)
    offer_of = drawn_mask(work, classes="seen") if knobs.classes == "seen" else OFFERS[knobs.labels](work)
    found = fit(work, knobs, start, offer_of, loss=loss, matching=matching, groups=optimiser_groups)
    return replace(found, metrics={**found.metrics, "labels": knobs.labels})


def meres_predictions(work: Work) -> Outcome:
    """The mask of MERES for every sentence of the scored splits, at the model's size and at the image's."""
    return predicted_by(work, "meres")


def meres_scores(work: Work) -> Outcome:
    """MERES per expression, at the model's size (the paper's headline) and at the image's own."""
    return scores_of(work, "meres_predictions", method="MERES")
