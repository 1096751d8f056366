"""MERES: a segmenter guided by what the words say and by what their pixels show, trained on any source of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from assets.data.tables import Referent
from assets.evaluation.iou_scores import scores_of
from assets.framework.stage import Outcome, Work
from assets.meres.knobs import Labels, MeresKnobs, MeresMatchedKnobs
from assets.segmenters.fit import fit
from assets.segmenters.label_sources import chosen_mask, drawn_mask, matched_mask, refined_mask
from assets.segmenters.load import read_segmenter
from assets.segmenters.predict import predicted_by
from assets.segmenters.training_set import Offer
from assets.ssc.train import matching_of, offers_of, pretrained

OFFERS: Mapping[Labels, Callable[[Work], Callable[[Referent], Offer]]] = {
    "mask_choices": chosen_mask,
    "corrected": matched_mask,
    "refined_labels": refined_mask,
    "ground_truth": drawn_mask,
}
"""What an object may learn from under each source of labels."""


def meres(work: Work) -> Outcome:
    """MERES from pretrained towers, on S2, last matches of S+S+C, TRIS's labels or drawn masks.

    The paper is fully supervised; only with `labels: ground_truth` are drawn masks read here. Resumes as ZSBootstrap
    does (MERES spec 6, 7).
    """
    from ops.meres.contrastive_loss import MeresLoss
    from ops.meres.model import Meres, optimiser_groups

    knobs = work.knobs_as(MeresKnobs)
    start = pretrained(work, knobs, Meres)
    loss = MeresLoss(**knobs.loss_terms())
    offer_of = drawn_mask(work, classes="seen") if knobs.classes == "seen" else OFFERS[knobs.labels](work)
    found = fit(work, knobs, start, offer_of, loss=loss, groups=optimiser_groups)
    model, _ = start
    return replace(
        found, metrics={**found.metrics, "labels": knobs.labels, "tokens heard at most": model.config.max_tokens}
    )


def meres_matched(work: Work) -> Outcome:
    """Training goes on from MERES over all candidates, matched anew at every step (S+S+C Eq. 3), for both its losses.

    Beyond the paper, and what `corrected` is to ZSBootstrap: with MERES on S2 no drawn mask is read.
    """
    from ops.meres.contrastive_loss import MeresLoss, first_candidates
    from ops.meres.model import optimiser_groups

    knobs = work.knobs_as(MeresMatchedKnobs)
    model, matching = read_segmenter(work.inputs["meres"], work.runtime), matching_of(knobs)
    loss = MeresLoss(assign=matching.match if matching else first_candidates, **knobs.loss_terms())
    offer_of = offers_of(work, matching)
    found = fit(work, knobs, model, offer_of, loss=loss, matching=matching, groups=optimiser_groups)
    labels = work.inputs["meres"].manifest.metrics["labels"]
    return replace(found, metrics={**found.metrics, "labels": labels})


def meres_predictions(work: Work) -> Outcome:
    """The mask of MERES for every sentence of the scored splits, at the model's size and at the image's."""
    return predicted_by(work, "meres")


def meres_matched_predictions(work: Work) -> Outcome:
    """The mask of matched MERES for every sentence of the scored splits, at the model's size and at the image's."""
    return predicted_by(work, "meres_matched")


def meres_scores(work: Work) -> Outcome:
    """MERES per expression, at the model's size (the paper's headline) and at the image's own."""
    return scores_of(work, "meres_predictions", method="MERES")


def meres_matched_scores(work: Work) -> Outcome:
    """Matched MERES per expression, at the model's size and at the image's own."""
    return scores_of(work, "meres_matched_predictions", method="MERES, matched")
