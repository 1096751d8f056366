"""What a training learns from: which masks an object may take; and the score that may pick an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assets.data.tables import Referent, by_image, images_of, read_image, referents_of
from assets.framework.stage import Work
from assets.knobs_old import Classes
from assets.segmenters.training_set import Encoder, Offer
from storage.masks import decode

if TYPE_CHECKING:
    from ops.segmenters.prediction import Segmenter


def chosen_mask(work: Work) -> Callable[[Referent], Offer]:
    """The one mask that `mask_choices` chose for an object."""
    return _given(work.inputs["mask_choices"].table("choices").to_pylist(), key="chosen")


def matched_mask(work: Work) -> Callable[[Referent], Offer]:
    """The one candidate that the corrected model gives to an object, see `corrected_labels`."""
    return _given(work.inputs["corrected_labels"].table("labels").to_pylist(), key="candidate")


def all_candidates(work: Work) -> Callable[[Referent], Offer]:
    """Every candidate of an object (S1)."""
    masks = {
        (row["image_id"], row["candidate"]): row
        for row in work.inputs["candidate_masks"].table("candidates").to_pylist()
    }
    offered = {
        row["ref_id"]: {number: masks[row["image_id"], number] for number in row["candidates"]}
        for row in work.inputs["mask_choices"].table("choices").to_pylist()
    }
    return lambda one: offered.get(one.ref_id, {})


def refined_mask(work: Work) -> Callable[[Referent], Offer]:
    """The pseudo-label that TRIS refined for an object."""
    return _given(work.inputs["refined_labels"].table("labels").to_pylist(), key="ref_id")


def drawn_mask(work: Work, *, classes: Classes = "all") -> Callable[[Referent], Offer]:
    """An object's ground truth; of objects of the seen classes only, if asked for."""
    from ops.open_vocabulary_split import SEEN

    rows = work.inputs["ground_truth"].table("objects").to_pylist()
    drawn = {row["object_id"]: row for row in rows if classes == "all" or row["category"] in SEEN}
    return lambda one: {one.object_id: drawn[one.object_id]} if one.object_id in drawn else {}


def val_score(work: Work, tokenizer: Encoder, *, size: int) -> Callable[[Segmenter, int], float]:
    """Score an epoch by oIoU at the model's size on the first scored split, as the authors do. Reads ground truth."""
    import torch

    from ops.evaluation.iou import ScoreState, intersection_union
    from ops.images import resize_image, resize_labels, to_tensor
    from ops.segmenters.prediction import predict

    split = work.instance.source.evaluate[:1]
    images = images_of(work.inputs["references"])
    truth_of = drawn_mask(work)
    objects = [one for one in referents_of(work.inputs["references"], splits=split) if truth_of(one)]
    if not objects:
        raise ValueError(f"split {split[0]} has no ground truth to pick the epoch by; set select: last")

    def score(model: Segmenter, _: int) -> float:
        state = ScoreState()
        for image_id, group in by_image(objects).items():
            pixels = read_image(work, images[image_id])
            for one in group:
                ids, mask = tokenizer.encode(one.sentences)
                picture = resize_image(to_tensor(pixels), height=size, width=size)
                found = predict(model, picture, token_ids_ST=ids, token_mask_ST=mask, original_size=(size, size))
                (row,) = truth_of(one).values()
                truth = torch.from_numpy(decode(row["rle"], row["height"], row["width"]))
                squashed = resize_labels(truth, height=size, width=size)
                for predicted in found.model_size_Shw:
                    state.update(*intersection_union(predicted, squashed))
        return state.compute().oiou

    return score


def _given(rows: Sequence[Mapping[str, Any]], *, key: str) -> Callable[[Referent], Offer]:
    """At most one mask an object, from rows with `ref_id`, `rle`, `height`, `width` and the mask's own name `key`."""
    given = {row["ref_id"]: row for row in rows if row["rle"] is not None}
    return lambda one: {given[one.ref_id][key]: given[one.ref_id]} if one.ref_id in given else {}
