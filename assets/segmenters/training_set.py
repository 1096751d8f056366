"""The training split at the model's size: made once a training, in the slot's scratch folder, and read by memory map.

A resumed training and every process of a team find it there. Pictures and masks may exceed the memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from assets.data.images import read_image
from assets.data.tables import Referent, by_image, images_of, training_referents
from assets.framework.work import Work
from assets.segmenters.label_sources import TargetMasks, Targets
from ops.refusal import Refused
from storage.files import make_folder, write_bytes
from storage.packed_masks import MaskStack, PackedMasks, write_packed_masks

if TYPE_CHECKING:
    from torch import Tensor

    from ops.training.dataset import InMemorySamples, TrainingObject
    from ops.training.distributed import Team

IMAGES, MASKS, INDEX = "images.npy", "masks.bits", "index.json"
"""Files of the folder; the index is written last."""


class Encoder(Protocol):
    """Turns sentences into tokens."""

    def encode(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask, both int64 (sentences, tokens)."""

    def card(self) -> dict[str, Any]:
        """What is saved beside weights, as JSON values."""


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Samples of a training split, and what their masks are called."""

    samples: InMemorySamples
    keys: Sequence[Sequence[Hashable]]
    """For each image the key of every mask of its stack."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the files hold."""

    images_N3SS: npt.NDArray[np.uint8]
    masks: PackedMasks
    """One stack an image."""
    objects: Sequence[TrainingObject]
    sentences: Sequence[Sequence[str]]
    """Of each object."""
    keys: Sequence[Sequence[Hashable]]
    """For each image the key of every mask of its stack."""


@dataclass(kw_only=True)
class _Index:
    """What lies in the other two files."""

    keys: list[list[Hashable]] = field(default_factory=list)
    """For each image the key of every mask."""
    objects: list[dict[str, Any]] = field(default_factory=list)
    """Image and masks by row, reference and sentences."""


def training_set(work: Work, targets_of: Targets, *, size: int, tokenizer: Encoder, team: Team) -> TrainingSet:
    """The training split with one or more masks per object; a mask that several objects may take is held once.

    Args:
        work: the running stage; needs `references`.
        targets_of: what an object may learn from; objects without any mask are left out.
        size: side of the model's square input.
        tokenizer: of the model.
        team: its first process writes the files, the others wait.

    Raises:
        Refused: no object of the training splits has a mask.
    """
    from ops.training.dataset import InMemorySamples

    written = prepared(work, lambda one: targets_of(one) or None, size=size, tokenizer=tokenizer, team=team)
    return TrainingSet(samples=InMemorySamples(written.images_N3SS, written.masks, written.objects), keys=written.keys)


def prepared(
    work: Work,
    targets_of: Callable[[Referent], TargetMasks | None],
    *,
    size: int,
    tokenizer: Encoder,
    team: Team | None = None,
) -> Written:
    """The training split's pictures, objects and masks; written by the first process of a team, read by all.

    Args and raises as in `training_set`, but that an object may be offered no mask at all and still take part; it is
    left out where `targets_of` gives None.
    """
    folder = make_folder(work.slot.scratch / "samples")
    if (team is None or team.leads) and not (folder / INDEX).exists():
        _write(work, folder, targets_of, size=size)
    if team is not None:
        team.wait()
    return _read(folder, size=size, tokenizer=tokenizer)


def _write(work: Work, folder: Path, targets_of: Callable[[Referent], TargetMasks | None], *, size: int) -> None:
    offered = _offered(training_referents(work), targets_of)
    if not offered:
        raise Refused(f"no object of the splits {work.instance.source.train} has a mask to train on")
    pixels = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.uint8, shape=(len(offered), 3, size, size))
    index = _Index()
    write_packed_masks(folder / MASKS, _stacks(work, offered, pixels, index))
    pixels.flush()
    write_bytes(folder / INDEX, json.dumps(asdict(index)).encode())


def _stacks(
    work: Work,
    offered: Mapping[str, Sequence[tuple[Referent, TargetMasks]]],
    pixels_N3SS: npt.NDArray[np.uint8],
    index: _Index,
) -> Iterator[MaskStack]:
    """The masks of each image, while its pixels and its part of the index are filled in."""
    import torch

    from ops.images import resize_image, resize_labels, to_tensor

    images, size = images_of(work), pixels_N3SS.shape[-1]
    for image_id, objects in offered.items():
        image = to_tensor(read_image(work, images[image_id]))
        row = len(index.keys)
        pixels_N3SS[row] = resize_image(image, height=size, width=size).numpy()
        distinct = {key: mask for _, offer in objects for key, mask in offer.items()}
        row_of = {key: number for number, key in enumerate(distinct)}
        index.keys.append(list(distinct))
        for one, offer in objects:
            candidates = [row_of[key] for key in offer]
            index.objects.append(
                {"image": row, "candidates": candidates, "name": one.ref_id, "sentences": list(one.expressions)}
            )
        masks = [mask.decode() for mask in distinct.values()]
        none = np.zeros((0, size, size), dtype=np.bool_)
        yield resize_labels(torch.from_numpy(np.stack(masks)), height=size, width=size).numpy() if masks else none


def _read(folder: Path, *, size: int, tokenizer: Encoder) -> Written:
    from ops.training.dataset import TrainingObject

    index = _Index(**json.loads((folder / INDEX).read_bytes()))
    objects, sentences = [], []
    for one in index.objects:
        sentences.append(one.pop("sentences"))
        ids_ST, mask_ST = tokenizer.encode(sentences[-1])
        candidates = tuple(one.pop("candidates"))
        objects.append(TrainingObject(candidates=candidates, token_ids_ST=ids_ST, token_mask_ST=mask_ST, **one))
    return Written(
        images_N3SS=np.load(folder / IMAGES, mmap_mode="r"),
        masks=PackedMasks(folder / MASKS, [len(keys) for keys in index.keys], height=size, width=size),
        objects=objects,
        sentences=sentences,
        keys=index.keys,
    )


def _offered(
    objects: Sequence[Referent], targets_of: Callable[[Referent], TargetMasks | None]
) -> dict[str, list[tuple[Referent, TargetMasks]]]:
    found = {
        image_id: [(one, offer) for one in group if (offer := targets_of(one)) is not None]
        for image_id, group in by_image(objects).items()
    }
    return {image_id: group for image_id, group in found.items() if group}
