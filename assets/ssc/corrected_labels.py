"""Labels out of a trained model, for other models to learn from: what S+S+C gives to every referent in the end.

They are candidates, not the model's own masks: a candidate has the image's resolution and the outline that SAM drew,
the model's mask only that of its small square; and matching keeps two referents from sharing one.
Shapes: K candidates of an image, S expressions, H x W pixels, h x w of the model's square.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent, by_image, images_of, training_referents
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.segmenters.inference import ReferringMasks, open_referring_masks
from assets.segmenters.label_sources import TargetMasks, all_candidates
from assets.ssc.knobs import LabelKnobs
from assets.ssc.stages import CANDIDATE_MASKS, CORRECTED, MASK_CHOICES
from assets.ssc.tables import MATCHED_LABELS, MatchedLabelRow
from ops.images import resize_image, resize_labels, to_tensor
from ops.segmenters.prediction import foreground_probabilities, quarter_logits
from ops.ssc.matching import NONE, Agreement, Rule, match, soft_iou
from ops.training.dataset import usable_rows
from storage.digest import digest

Offers = Sequence[tuple[Referent, TargetMasks]]
"""The referents of an image with what each may take."""


def corrected_labels(work: Work) -> Outcome:
    """One candidate, or none, for every referent of the training splits."""
    images, targets_of = images_of(work), all_candidates(work)
    sources = [work.input(stage).manifest.fingerprint for stage in (CORRECTED, CANDIDATE_MASKS, MASK_CHOICES)]
    tasks = []
    for image_id, referents in by_image(training_referents(work)).items():
        said = [[referent.ref_id, referent.expressions] for referent in referents]
        key = digest([*sources, image_id, images[image_id].sha256, said])
        offers = [(referent, targets_of(referent)) for referent in referents]
        tasks.append(ImageTask(image=images[image_id], payload=offers, key=key))
    tally = per_image(work, MATCHED_LABELS, tasks, open_matching)
    left = sum(row.candidate is None for row in MATCHED_LABELS.slot_rows(work.slot))
    return Outcome(tallies={"labels": tally}, metrics={"objects without a label": left})


def open_matching(work: Work) -> "Matching":
    """The trained model, and the rules of the knobs."""
    knobs = work.knobs_as(LabelKnobs)
    segment = open_referring_masks(work.input(CORRECTED), work.runtime)
    return Matching(segment=segment, rule=knobs.rule, agreement=knobs.agreement)


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Constrained matching of an image's candidates by a trained model (S+S+C Eq. 3)."""

    segment: ReferringMasks
    rule: Rule = "greedy"
    agreement: Agreement = "best"

    def __call__(self, offers: Offers, pixels: Pixels) -> list[MatchedLabelRow]:
        """One row per referent."""
        distinct = {name: mask for _, targets in offers for name, mask in targets.items()}
        taken = self._taken(offers, distinct, pixels) if distinct else {}
        return [label_row(referent, taken.get(row), targets, pixels) for row, (referent, targets) in enumerate(offers)]

    def _taken(self, offers: Offers, distinct: TargetMasks, pixels: Pixels) -> dict[int, Hashable]:
        """Row of `offers` -> the candidate that it takes."""
        size, names = self.segment.size, list(distinct)
        masks_KHW = np.stack([mask.decode() for mask in distinct.values()])
        masks_Khw = resize_labels(torch.from_numpy(masks_KHW), height=size, width=size)
        usable = usable_rows(masks_Khw)
        expressions = [text for referent, _ in offers for text in referent.expressions]
        ids_ST, mask_ST = self.segment.tokenizer.encode(expressions)
        image_3hw = resize_image(to_tensor(pixels), height=size, width=size)
        quarters = quarter_logits(
            self.segment.model, image_3hw, token_ids_ST=ids_ST, token_mask_ST=mask_ST, bf16=self.segment.bf16
        )
        scores_SK = [
            soft_iou(foreground_probabilities(part, (size, size)), masks_Khw.to(part.device)).cpu() for part in quarters
        ]
        allowed = [[row for row in map(names.index, targets) if row in usable] for _, targets in offers]
        referent_of_S = [row for row, (referent, _) in enumerate(offers) for _ in referent.expressions]
        matched = match(
            torch.cat(scores_SK).double().numpy(),
            referent_of_S,
            [allowed[row] for row in referent_of_S],
            rule=self.rule,
            agreement=self.agreement,
        )
        given = dict(zip(referent_of_S, matched.candidates, strict=True))
        return {row: names[candidate] for row, candidate in given.items() if candidate != NONE}


def label_row(referent: Referent, candidate: Hashable | None, targets: TargetMasks, pixels: Pixels) -> MatchedLabelRow:
    """A row of the table `labels`; `candidate` names one of the referent's targets."""
    height, width = pixels.shape[:2]
    return MatchedLabelRow(
        ref_id=referent.ref_id,
        candidate=cast("int | None", candidate),
        rle=None if candidate is None else targets[candidate].counts,
        height=height,
        width=width,
    )
