"""MERES, trained on any source of labels, and its training over all candidates."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.meres.knobs import Labels, MeresKnobs, MeresMatchedKnobs
from assets.meres.stages import MERES
from assets.segmenters.fit import fit
from assets.segmenters.label_sources import (
    Targets,
    chosen_masks,
    ground_truth_masks,
    matched_masks,
    refined_masks,
)
from assets.segmenters.load import read_segmenter
from assets.ssc.train import matching_of, pretrained, targets_under
from ops.meres.contrastive_loss import MeresLoss, first_candidates
from ops.meres.model import Meres, optimizer_groups

LABELS: Mapping[Labels, Callable[[Work], Targets]] = {
    "mask_choices": chosen_masks,
    "corrected": matched_masks,
    "refined_labels": refined_masks,
    "ground_truth": ground_truth_masks,
}
"""What a referent may learn from under each source of labels."""


def meres(work: Work) -> Outcome:
    """MERES from pretrained backbones (MERES spec 6, 7)."""
    knobs = work.knobs_as(MeresKnobs)
    start = pretrained(work, knobs, Meres)
    loss = MeresLoss(**knobs.loss_terms())
    targets_of = ground_truth_masks(work, classes="seen") if knobs.classes == "seen" else LABELS[knobs.labels](work)
    outcome = fit(work, knobs, start, targets_of, loss=loss, groups=optimizer_groups)
    model, _ = start
    return replace(
        outcome, metrics={**outcome.metrics, "labels": knobs.labels, "tokens at most": model.config.max_tokens}
    )


def meres_matched(work: Work) -> Outcome:
    """MERES goes on over all candidates, matched anew at every step (S+S+C Eq. 3), for both its losses."""
    knobs = work.knobs_as(MeresMatchedKnobs)
    trained = work.input(MERES)
    model, matching = read_segmenter(trained, work.runtime), matching_of(knobs)
    loss = MeresLoss(assign=matching.match if matching else first_candidates, **knobs.loss_terms())
    targets_of = targets_under(work, matching)
    outcome = fit(work, knobs, model, targets_of, loss=loss, matching=matching, groups=optimizer_groups)
    return replace(outcome, metrics={**outcome.metrics, "labels": trained.manifest.metrics["labels"]})
