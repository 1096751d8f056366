"""Training samples out of artifacts: pictures and masks at the model's size, sentences as word pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assets.records import Mask, ObjectRecord, by_image, images_of, objects_of, read_image
from assets.stage import Work
from resources.datasets import ImageProblem
from storage.masks import decode

if TYPE_CHECKING:
    from torch import Tensor

    from ops.lavt import Lavt
    from ops.training.batches import InMemorySamples, TrainingObject
    from resources.models.backbones import Tokenizer


def training_samples(
    work: Work, label_of: Callable[[ObjectRecord], Mask | None], *, size: int, tokenizer: Tokenizer
) -> InMemorySamples:
    """The training split, one mask per object.

    Pictures lie in a memory-mapped scratch file of the slot, (N, 3, size, size) uint8: they may exceed the memory.

    Args:
        work: the running stage; needs `references`.
        label_of: an object's mask at the image's size, or None where there is none.
        size: side of the model's square input.
        tokenizer: of the model's BERT.

    Raises:
        ValueError: no object of the training splits has a mask.
    """
    import torch

    from ops.images import resize_image, resize_labels, to_tensor
    from ops.training.batches import InMemorySamples

    images = images_of(work.inputs["references"])
    labelled = _labelled(objects_of(work.inputs["references"], splits=work.instance.source.train), label_of)
    scratch = work.slot.scratch / "images.npy"
    pixels = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.uint8, shape=(len(labelled), 3, size, size))
    stacks: list[Tensor] = []
    samples: list[TrainingObject] = []
    for image_id, objects in labelled.items():
        try:
            image = to_tensor(read_image(work, images[image_id]))
        except ImageProblem as problem:
            work.log(f"image {image_id} is left out of training: {problem}")
            continue
        row = len(stacks)
        pixels[row] = resize_image(image, height=size, width=size).numpy()
        masks = torch.from_numpy(np.stack([mask for _, mask in objects]))
        stacks.append(resize_labels(masks, height=size, width=size))
        samples += [_sample(one, tokenizer, image=row, candidate=number) for number, (one, _) in enumerate(objects)]
    if not samples:
        raise ValueError(f"no object of the splits {work.instance.source.train} has a mask to train on")
    return InMemorySamples(pixels[: len(stacks)], stacks, samples)


def chosen_mask(work: Work) -> Callable[[ObjectRecord], Mask | None]:
    """The mask that `mask_choices` chose for an object."""
    chosen = {row["ref_id"]: row for row in work.inputs["mask_choices"].table("choices").to_pylist()}

    def label_of(one: ObjectRecord) -> Mask | None:
        row = chosen.get(one.ref_id)
        return None if row is None or row["rle"] is None else decode(row["rle"], row["height"], row["width"])

    return label_of


def val_score(work: Work, tokenizer: Tokenizer, *, size: int) -> Callable[[Lavt, int], float]:
    """Score an epoch by oIoU at the model's size on the first scored split, as the authors do. Reads ground truth."""
    import torch

    from ops.images import resize_image, resize_labels, to_tensor
    from ops.metrics import ScoreState, intersection_union
    from ops.prediction import predict

    split = work.instance.source.evaluate[:1]
    images = images_of(work.inputs["references"])
    truths = {row["object_id"]: row for row in work.inputs["ground_truth"].table("objects").to_pylist()}
    objects = [one for one in objects_of(work.inputs["references"], splits=split) if one.object_id in truths]
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
                row = truths[one.object_id]
                truth = torch.from_numpy(decode(row["rle"], row["height"], row["width"]))
                squashed = resize_labels(truth, height=size, width=size)
                for predicted in found.model_size_Shw:
                    state.update(*intersection_union(predicted, squashed))
        return state.compute().oiou

    return score


def _labelled(
    objects: Sequence[ObjectRecord], label_of: Callable[[ObjectRecord], Mask | None]
) -> dict[str, list[tuple[ObjectRecord, Mask]]]:
    found = {
        image_id: [(one, mask) for one in group if (mask := label_of(one)) is not None]
        for image_id, group in by_image(objects).items()
    }
    return {image_id: group for image_id, group in found.items() if group}


def _sample(one: ObjectRecord, tokenizer: Tokenizer, *, image: int, candidate: int) -> TrainingObject:
    from ops.training.batches import TrainingObject

    ids_ST, mask_ST = tokenizer.encode(one.sentences)
    return TrainingObject(image=image, candidates=(candidate,), token_ids_ST=ids_ST, token_mask_ST=mask_ST)
