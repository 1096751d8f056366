"""Training samples out of artifacts: pictures and masks at the model's size, sentences as word pieces."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.records import ObjectRecord, by_image, images_of, objects_of, read_image
from assets.stage import Work
from resources.datasets import ImageProblem
from storage.masks import decode

if TYPE_CHECKING:
    from torch import Tensor

    from ops.lavt import Lavt
    from ops.training.batches import InMemorySamples
    from resources.models.backbones import Tokenizer


Offer = Mapping[Hashable, Mapping[str, Any]]
"""The masks that may be an object, as rows with `rle`, `height` and `width`; equal keys mean one mask."""


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Samples of a training split, and what their masks are called."""

    samples: InMemorySamples
    keys: Sequence[Sequence[Hashable]]
    """For each image the key of every mask of its stack."""


def training_set(
    work: Work, offer_of: Callable[[ObjectRecord], Offer], *, size: int, tokenizer: Tokenizer
) -> TrainingSet:
    """The training split with one or more masks per object; a mask that several objects may take is held once.

    Pictures lie in a memory-mapped scratch file of the slot, (N, 3, size, size) uint8: they may exceed the memory.

    Args:
        work: the running stage; needs `references`.
        offer_of: what an object may learn from; objects without any mask are left out.
        size: side of the model's square input.
        tokenizer: of the model's BERT.

    Raises:
        ValueError: no object of the training splits has a mask.
    """
    import torch

    from ops.images import resize_image, resize_labels, to_tensor
    from ops.training.batches import InMemorySamples, TrainingObject

    images = images_of(work.inputs["references"])
    offered = _offered(objects_of(work.inputs["references"], splits=work.instance.source.train), offer_of)
    scratch = work.slot.scratch / "images.npy"
    pixels = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=(len(offered), 3, size, size))
    stacks: list[Tensor] = []
    keys: list[list[Hashable]] = []
    samples: list[TrainingObject] = []
    for image_id, objects in offered.items():
        try:
            image = to_tensor(read_image(work, images[image_id]))
        except ImageProblem as problem:
            work.log(f"image {image_id} is left out of training: {problem}")
            continue
        row = len(stacks)
        pixels[row] = resize_image(image, height=size, width=size).numpy()
        distinct = {key: mask for _, offer in objects for key, mask in offer.items()}
        masks = torch.from_numpy(np.stack([decode(m["rle"], m["height"], m["width"]) for m in distinct.values()]))
        stacks.append(resize_labels(masks, height=size, width=size))
        keys.append(list(distinct))
        row_of = {key: number for number, key in enumerate(distinct)}
        for one, offer in objects:
            ids_ST, mask_ST = tokenizer.encode(one.sentences)
            rows = tuple(row_of[key] for key in offer)
            samples.append(
                TrainingObject(image=row, candidates=rows, token_ids_ST=ids_ST, token_mask_ST=mask_ST, name=one.ref_id)
            )
    if not samples:
        raise ValueError(f"no object of the splits {work.instance.source.train} has a mask to train on")
    return TrainingSet(samples=InMemorySamples(pixels[: len(stacks)], stacks, samples), keys=keys)


def chosen_mask(work: Work) -> Callable[[ObjectRecord], Offer]:
    """The one mask that `mask_choices` chose for an object."""
    chosen = {row["ref_id"]: row for row in work.inputs["mask_choices"].table("choices").to_pylist()}

    def offer_of(one: ObjectRecord) -> Offer:
        row = chosen.get(one.ref_id)
        return {} if row is None or row["rle"] is None else {row["chosen"]: row}

    return offer_of


def all_candidates(work: Work) -> Callable[[ObjectRecord], Offer]:
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


def drawn_mask(work: Work) -> Callable[[ObjectRecord], Offer]:
    """An object's ground truth."""
    drawn = {row["object_id"]: row for row in work.inputs["ground_truth"].table("objects").to_pylist()}
    return lambda one: {one.object_id: drawn[one.object_id]} if one.object_id in drawn else {}


def val_score(work: Work, tokenizer: Tokenizer, *, size: int) -> Callable[[Lavt, int], float]:
    """Score an epoch by oIoU at the model's size on the first scored split, as the authors do. Reads ground truth."""
    import torch

    from ops.images import resize_image, resize_labels, to_tensor
    from ops.metrics import ScoreState, intersection_union
    from ops.prediction import predict

    split = work.instance.source.evaluate[:1]
    images = images_of(work.inputs["references"])
    truth_of = drawn_mask(work)
    objects = [one for one in objects_of(work.inputs["references"], splits=split) if truth_of(one)]
    if not objects:
        raise ValueError(f"split {split[0]} has no ground truth to pick the epoch by; set zs_bootstrap select: last")

    def score(model: Lavt, _: int) -> float:
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


def _offered(
    objects: Sequence[ObjectRecord], offer_of: Callable[[ObjectRecord], Offer]
) -> dict[str, list[tuple[ObjectRecord, Offer]]]:
    found = {
        image_id: [(one, offer) for one in group if (offer := offer_of(one))]
        for image_id, group in by_image(objects).items()
    }
    return {image_id: group for image_id, group in found.items() if group}
