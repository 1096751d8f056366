"""Every trained model's mask for every expression of the scored splits."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from assets.data.images import ImageTask, Pixels, per_image
from assets.data.tables import Referent, by_image, images_of, scored_referents
from assets.framework.stage import Outcome, Stage
from assets.framework.tables import Table
from assets.framework.work import Work
from assets.reports.previews import expression_preview
from assets.segmenters.inference import ReferringMasks, open_referring_masks
from assets.segmenters.tables import PREDICTIONS, PredictionRow
from storage.digest import digest
from storage.masks import Rle


class OfExpression(Protocol):
    """A row that belongs to an expression."""

    @property
    def sent_id(self) -> int:
        """The expression."""

    @property
    def mask(self) -> Rle:
        """What is predicted for it, at the image's size."""


R = TypeVar("R", bound=OfExpression)


def predictions(work: Work) -> Outcome:
    """Masks at the model's size and at the image's, by the model that this stage was declared for."""
    (trained,) = (stage for stage in work.instance.stage.needs if stage.trains)
    return predict_expressions(work, trained, open_predictions, PREDICTIONS)


def open_predictions(work: Work) -> Callable[[Sequence[Referent], Pixels], list[PredictionRow]]:
    """The trained model."""
    (trained,) = (stage for stage in work.instance.stage.needs if stage.trains)
    return partial(prediction_rows, open_referring_masks(work.input(trained), work.runtime))


def predict_expressions(
    work: Work,
    trained: Stage,
    opens: Callable[[Work], Callable[[Sequence[Referent], Pixels], Sequence[R]]],
    table: Table[R],
    *,
    referents: Sequence[Referent] | None = None,
) -> Outcome:
    """Fill the table image by image; what `opens` gives has a row for every expression of an image's referents.

    Without `referents` they are those of the scored splits.
    """
    asked = scored_referents(work) if referents is None else referents
    images, fingerprint = images_of(work), work.input(trained).manifest.fingerprint
    tasks = []
    for image_id, group in by_image(asked).items():
        said = [[referent.ref_id, referent.sent_ids, referent.expressions] for referent in group]
        key = digest([fingerprint, image_id, images[image_id].sha256, said])
        tasks.append(ImageTask(image=images[image_id], payload=group, key=key))
    tally = per_image(work, table, tasks, opens)
    masks = {row.sent_id: row.mask for row in table.read_slot(work.slot)}
    return Outcome(tallies={table.name: tally}, preview=expression_preview(work, masks))


def prediction_rows(segment: ReferringMasks, group: Sequence[Referent], pixels: Pixels) -> list[PredictionRow]:
    """A row for every expression of an image's referents."""
    masks = segment([text for referent in group for text in referent.expressions], pixels)
    named = [(referent.ref_id, sent_id) for referent in group for sent_id in referent.sent_ids]
    return [
        PredictionRow(
            ref_id=ref_id,
            sent_id=sent_id,
            rle_model=Rle.of(at_model.numpy()).counts,
            model_size=segment.size,
            **Rle.of(at_original.numpy()).columns(),
        )
        for (ref_id, sent_id), at_model, at_original in zip(
            named, masks.model_size_Shw, masks.original_size_SHW, strict=True
        )
    ]
