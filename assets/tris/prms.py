"""PRMS: of the response maps of a referent, one per expression, the one that suits them all (TRIS spec 3).

Shapes: M expressions of a referent, h x w pixels at the model's size, E embedding width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent, by_image, images_of, referents_of, training_referents
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import referent_preview
from assets.tris.knobs import SelectionKnobs
from assets.tris.load import squashed
from assets.tris.response_maps import ResponseMaps, read_maps
from assets.tris.stages import RESPONSE_MAPS
from assets.tris.tables import SELECTED, SelectedRow
from ops.evaluation.localisation import localise
from ops.images import normalise
from ops.tris.calibration import Scorer
from ops.tris.decoder import upsample_unaligned
from ops.tris.prms import agreements, select
from resources.models.loading import open_scorer
from resources.models.tris import TrisTokenizer
from storage.digest import digest
from storage.masks import Rle

Agreement = Callable[[Referent, Pixels, Tensor], NDArray[np.float64]]
"""(referent, pixels, its maps (M, h, w)) -> how well each map agrees with each expression, (M, M)."""


def selected_responses(work: Work) -> Outcome:
    """One map for each training referent, and where the knob says so for each scored one."""
    knobs, images = work.knobs_as(SelectionKnobs), images_of(work)
    fingerprint = work.input(RESPONSE_MAPS).manifest.fingerprint
    selected, tasks = referents_of(work) if knobs.splits == "all" else training_referents(work), []
    for image_id, referents in by_image(selected).items():
        said = [[referent.ref_id, referent.sent_ids, referent.expressions] for referent in referents]
        key = digest([fingerprint, image_id, images[image_id].sha256, said])
        tasks.append(ImageTask(image=images[image_id], payload=referents, key=key))
    tally = per_image(work, SELECTED, tasks, open_selection)
    return Outcome(tallies={"selected": tally}, preview=referent_preview(work, SELECTED.slot_rows(work.slot)))


def open_selection(work: Work) -> "Selection":
    """The maps, and the scorer of the knobs, if they ask for one."""
    knobs, maps = work.knobs_as(SelectionKnobs), read_maps(work.input(RESPONSE_MAPS))
    return Selection(maps=maps, agreement=scored_agreement(work, knobs, maps) if knobs.rule == "prms" else None)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rule of selection; without an agreement the first map is taken."""

    maps: ResponseMaps
    agreement: Agreement | None

    def __call__(self, referents: Sequence[Referent], pixels: Pixels) -> list[SelectedRow]:
        """The selected map of each referent of an image; a referent with one expression needs no scorer."""
        rows = []
        for referent in referents:
            if not self.maps.has(referent.sent_ids):
                continue
            maps_Mhw = self.maps.positive(referent.sent_ids)
            chosen, sums = 0, [0.0] * len(referent.sent_ids)
            if self.agreement is not None and len(referent.sent_ids) > 1:
                agreements_MM = self.agreement(referent, pixels, maps_Mhw)
                chosen, sums = select(agreements_MM), agreements_MM.sum(1).tolist()
            located = localise(maps_Mhw[chosen], (pixels.shape[0], pixels.shape[1]))
            rows.append(
                SelectedRow(
                    ref_id=referent.ref_id,
                    sent_id=referent.sent_ids[chosen],
                    agreement=sums,
                    **Rle.of(located.mask_HW).columns(),
                )
            )
        return rows


def scored_agreement(work: Work, knobs: SelectionKnobs, maps: ResponseMaps) -> Agreement:
    """The agreement that a frozen CLIP finds."""
    scorer, tokenizer = open_scorer(knobs.scorer, work.runtime, rule=knobs.tokens)
    return ScoredAgreement(knobs=knobs, maps=maps, scorer=scorer, tokenizer=tokenizer)


@dataclass(frozen=True, kw_only=True)
class ScoredAgreement:
    """Cosine of each expression with the image under each map, by a frozen CLIP."""

    knobs: SelectionKnobs
    maps: ResponseMaps
    scorer: Scorer
    tokenizer: TrisTokenizer

    def __call__(self, referent: Referent, pixels: Pixels, maps_Mhw: Tensor) -> NDArray[np.float64]:
        """(M, M): maps x expressions."""
        device = self.scorer.clip.logit_scale.device
        if self.knobs.mask == "sigmoid":
            maps_Mhw = upsample_unaligned(self.maps.low(referent.sent_ids)[:, None], maps_Mhw.shape[-2:])[
                :, 0
            ].sigmoid()
        texts_ME = self.scorer.embed_texts(self.tokenizer.encode(referent.expressions)[0].to(device))
        image_3hw = normalise(squashed(pixels, self.maps.image_size)).to(device)
        return agreements(self.scorer, image_3hw, maps_Mhw.to(device), texts_ME)
