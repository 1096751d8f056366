"""Train LAVT: on chosen masks (ZSBootstrap), on all candidates (S+S+C), on ground-truth masks (the upper bound)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from assets.data.tables import Referent
from assets.framework.stage import Outcome, Work
from assets.knobs_old import BootstrapKnobs, CorrectKnobs, SupervisedKnobs
from assets.segmenters.fit import fit
from assets.segmenters.label_sources import all_candidates, chosen_mask, drawn_mask
from assets.segmenters.load import read_segmenter
from assets.segmenters.training_set import Encoder, Offer
from resources.models.loading import open_referring

if TYPE_CHECKING:
    from ops.ssc.matching import MatchingLoss
    from resources.models.referring import S


def zs_bootstrap(work: Work) -> Outcome:
    """ZSBootstrap: LAVT trained on the chosen masks with weighted cross-entropy (S+S+C spec 4.7-4.9).

    Resumes from its last checkpoint with the weights that an undisturbed run would have. The last epoch is kept, which
    needs no ground truth; `best_on_val` is the authors' way, and the report says when it was used.
    """
    from ops.segmenters.lavt import Lavt

    knobs = work.knobs_as(BootstrapKnobs)
    return fit(work, knobs, pretrained(work, knobs, Lavt), chosen_mask(work))


def corrected(work: Work) -> Outcome:
    """S+S+C: training goes on from ZSBootstrap over all candidates, matched anew at every step (Eq. 3, spec 4.10).

    The rule `chosen` keeps training on the chosen masks instead, the paper's "+40 epochs". Resumes as ZSBootstrap does.
    """
    knobs = work.knobs_as(CorrectKnobs)
    model, matching = read_segmenter(work.inputs["zs_bootstrap"], work.runtime), matching_of(knobs)
    return fit(work, knobs, model, offers_of(work, matching), loss=matching, matching=matching)


def supervised(work: Work) -> Outcome:
    """Fully supervised LAVT, trained on drawn masks: the upper bound of every table, and never an input of another."""
    from ops.segmenters.lavt import Lavt
    from ops.training.loop import first_candidate, pixels_of_a_pass

    knobs = work.knobs_as(SupervisedKnobs)
    loss = pixels_of_a_pass if knobs.loss == "batch" else first_candidate
    return fit(work, knobs, pretrained(work, knobs, Lavt), drawn_mask(work, classes=knobs.classes), loss=loss)


def pretrained(work: Work, knobs: BootstrapKnobs, kind: type[S]) -> tuple[S, Encoder]:
    """`Lavt` or `Meres` as training finds it: pretrained towers, and everything else at random."""
    seed = knobs.seed + work.instance.source.seed
    return open_referring(
        kind, knobs.size, switches=knobs.switches(), **knobs.towers(), runtime=work.runtime, seed=seed
    )


def matching_of(knobs: CorrectKnobs) -> MatchingLoss | None:
    """How masks are given to objects; none where the chosen masks stay."""
    from ops.ssc.matching import MatchingLoss

    if knobs.rule == "chosen":
        return None
    return MatchingLoss(rule=knobs.rule, leftovers=knobs.leftovers, rivals=knobs.rivals)


def offers_of(work: Work, matching: MatchingLoss | None) -> Callable[[Referent], Offer]:
    """All candidates where they are matched, the chosen masks otherwise."""
    return all_candidates(work) if matching else chosen_mask(work)
