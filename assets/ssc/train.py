"""Train LAVT: on chosen masks (ZSBootstrap), on all candidates (S+S+C), on last matches, on ground-truth masks."""

from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.segmenters.fit import fit
from assets.segmenters.knobs import BootstrapKnobs, SupervisedKnobs, TrainingKnobs
from assets.segmenters.label_sources import (
    Targets,
    all_candidates,
    chosen_masks,
    ground_truth_masks,
    matched_masks,
)
from assets.segmenters.load import read_segmenter
from assets.segmenters.training_set import Encoder
from assets.ssc.knobs import CorrectKnobs, MatchingKnobs
from assets.ssc.matching_prior import prior_of_choices
from assets.ssc.stages import CORRECTED, ZS_BOOTSTRAP
from ops.segmenters.lavt import Lavt
from ops.segmenters.training import first_candidate, pixels_of_a_pass
from ops.ssc.matching import MatchingLoss
from resources.models.loading import open_referring
from resources.models.referring import S


def zs_bootstrap(work: Work) -> Outcome:
    """LAVT from pretrained backbones on S2, with weighted cross-entropy (S+S+C spec 4.7-4.9)."""
    knobs = work.knobs_as(BootstrapKnobs)
    return fit(work, knobs, pretrained(work, knobs, Lavt), chosen_masks(work))


def corrected(work: Work) -> Outcome:
    """ZSBootstrap goes on over all candidates, matched anew at every step (S+S+C Eq. 3, spec 4.10)."""
    knobs = work.knobs_as(CorrectKnobs)
    model, matching = read_segmenter(work.input(ZS_BOOTSTRAP), work.runtime), matching_of(knobs)
    targets_of, loss = targets_under(work, matching), matching or first_candidate
    prior = prior_of_choices(work, weight=knobs.prior) if knobs.with_prior else None
    return fit(work, knobs, model, targets_of, loss=loss, matching=matching, prior=prior)


def distilled(work: Work) -> Outcome:
    """The corrected model goes on on its last matches, with weighted cross-entropy."""
    knobs = work.knobs_as(TrainingKnobs)
    return fit(work, knobs, read_segmenter(work.input(CORRECTED), work.runtime), matched_masks(work))


def supervised(work: Work) -> Outcome:
    """LAVT from pretrained backbones on ground-truth masks."""
    knobs = work.knobs_as(SupervisedKnobs)
    loss = pixels_of_a_pass if knobs.loss == "batch" else first_candidate
    targets_of = ground_truth_masks(work, classes=knobs.classes)
    return fit(work, knobs, pretrained(work, knobs, Lavt), targets_of, loss=loss)


def pretrained(work: Work, knobs: BootstrapKnobs, kind: type[S]) -> tuple[S, Encoder]:
    """`Lavt` or `Meres` as training finds it: pretrained backbones, and everything else at random."""
    seed = knobs.seed + work.instance.source.seed
    return open_referring(
        kind, knobs.size, switches=knobs.switches(), **knobs.towers(), runtime=work.runtime, seed=seed
    )


def matching_of(knobs: MatchingKnobs) -> MatchingLoss | None:
    """How masks are given to referents; none where the chosen masks stay."""
    if knobs.rule == "chosen":
        return None
    return MatchingLoss(rule=knobs.rule, leftovers=knobs.leftovers, rivals=knobs.rivals, agreement=knobs.agreement)


def targets_under(work: Work, matching: MatchingLoss | None) -> Targets:
    """All candidates where they are matched, the chosen masks otherwise."""
    return all_candidates(work) if matching else chosen_masks(work)
