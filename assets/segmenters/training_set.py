"""The training split at the model's size: made once a training, in the slot's scratch folder, and read by memory map.

A resumed training, every process of a group and every worker that loads find it there. Images and masks may exceed the
memory.
"""

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from assets.data.images import read_image
from assets.data.tables import Referent, by_image, images_of, training_referents
from assets.framework.work import Work
from assets.segmenters.label_sources import TargetMasks, Targets
from ops.images import resize_image, resize_labels, to_tensor
from ops.refusal import Refused
from ops.training.dataset import ReferentDataset, TrainingReferent, usable_referents
from ops.training.distributed import ALONE, ProcessGroup
from storage.files import make_folder, write_bytes
from storage.mapped_arrays import AppendRow, MappedArray, new_rows
from storage.packed_masks import MaskStack, PackedMasks, write_packed_masks

IMAGES, MASKS, INDEX = "images.npy", "masks.bits", "index.json"
"""Files of the folder; the index is written last."""


class Encoder(Protocol):
    """Turns expressions into tokens."""

    def encode(self, expressions: Sequence[str], /) -> tuple[Tensor, Tensor]:
        """Ids and mask, both int64 (expressions, tokens)."""

    def card(self) -> dict[str, Any]:
        """What is saved beside weights, as JSON values."""


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """A training split, and what its masks are called."""

    dataset: ReferentDataset
    dropped: int
    """Referents left out because every mask of theirs is empty or covers its whole image."""
    keys: Sequence[Sequence[Hashable]]
    """For each image the key of every mask of its stack."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the files hold."""

    images_N3SS: MappedArray
    masks: PackedMasks
    """One stack an image."""
    referents: Sequence[TrainingReferent]
    expressions: Sequence[Sequence[str]]
    """Of each referent."""
    keys: Sequence[Sequence[Hashable]]
    """For each image the key of every mask of its stack."""


@dataclass(kw_only=True)
class _Index:
    """What lies in the other two files."""

    keys: list[list[Hashable]] = field(default_factory=list)
    """For each image the key of every mask."""
    objects: list[dict[str, Any]] = field(default_factory=list)
    """Of each referent: image and masks by row, its number and its expressions."""


def training_set(work: Work, targets_of: Targets, *, size: int, tokenizer: Encoder, group: ProcessGroup) -> TrainingSet:
    """The training split with one or more masks per referent; a mask that several referents may take is held once.

    Args:
        work: the running stage; needs `references`.
        targets_of: what a referent may learn from; referents without any mask are left out.
        size: side of the model's square input.
        tokenizer: of the model.
        group: its first process writes the files, the others wait.

    Raises:
        Refused: no referent of the training splits has a mask, or none has one that can teach.
    """
    written = prepared(work, lambda referent: targets_of(referent) or None, size=size, tokenizer=tokenizer, group=group)
    referents = usable_referents(written.masks, written.referents)
    return TrainingSet(
        dataset=ReferentDataset(written.images_N3SS, written.masks, referents),
        dropped=len(written.referents) - len(referents),
        keys=written.keys,
    )


def prepared(
    work: Work,
    targets_of: Callable[[Referent], TargetMasks | None],
    *,
    size: int,
    tokenizer: Encoder,
    group: ProcessGroup = ALONE,
) -> Written:
    """The training split's images, referents and masks; written by the first process of a group, read by all.

    Args and raises as in `training_set`, but that a referent may have no mask at all and still take part; it is left
    out where `targets_of` gives None.
    """
    folder = make_folder(work.slot.scratch / "samples")
    if group.is_main and not (folder / INDEX).exists():
        _write(work, folder, targets_of, size=size)
    group.barrier()
    return _read(folder, size=size, tokenizer=tokenizer)


def _write(work: Work, folder: Path, targets_of: Callable[[Referent], TargetMasks | None], *, size: int) -> None:
    offered = _offered(training_referents(work), targets_of)
    if not offered:
        raise Refused(f"no object of the splits {work.instance.source.train} has a mask to train on")
    index = _Index()
    with new_rows(folder / IMAGES, shape=(len(offered), 3, size, size), dtype=np.uint8) as append:
        write_packed_masks(folder / MASKS, _stacks(work, offered, append, index, size=size))
    write_bytes(folder / INDEX, json.dumps(asdict(index)).encode())


def _stacks(
    work: Work,
    offered: Mapping[str, Sequence[tuple[Referent, TargetMasks]]],
    append: AppendRow,
    index: _Index,
    *,
    size: int,
) -> Iterator[MaskStack]:
    """The masks of each image, while its pixels and its part of the index are filled in."""
    images = images_of(work)
    for image_id, referents in offered.items():
        image = to_tensor(read_image(work, images[image_id]))
        row = len(index.keys)
        append(resize_image(image, height=size, width=size).numpy())
        distinct = {key: mask for _, targets in referents for key, mask in targets.items()}
        row_of = {key: number for number, key in enumerate(distinct)}
        index.keys.append(list(distinct))
        for referent, targets in referents:
            entry = {"image": row, "candidates": [row_of[key] for key in targets], "name": referent.ref_id}
            index.objects.append({**entry, "sentences": list(referent.expressions)})
        masks = [mask.decode() for mask in distinct.values()]
        none = np.zeros((0, size, size), dtype=np.bool_)
        yield resize_labels(torch.from_numpy(np.stack(masks)), height=size, width=size).numpy() if masks else none


def _read(folder: Path, *, size: int, tokenizer: Encoder) -> Written:
    index = _Index(**json.loads((folder / INDEX).read_bytes()))
    referents, expressions = [], []
    for entry in index.objects:
        expressions.append(entry.pop("sentences"))
        ids_ST, mask_ST = tokenizer.encode(expressions[-1])
        candidates = tuple(entry.pop("candidates"))
        referents.append(TrainingReferent(candidates=candidates, token_ids_ST=ids_ST, token_mask_ST=mask_ST, **entry))
    return Written(
        images_N3SS=MappedArray(folder / IMAGES),
        masks=PackedMasks(folder / MASKS, [len(keys) for keys in index.keys], height=size, width=size),
        referents=referents,
        expressions=expressions,
        keys=index.keys,
    )


def _offered(
    referents: Sequence[Referent], targets_of: Callable[[Referent], TargetMasks | None]
) -> dict[str, list[tuple[Referent, TargetMasks]]]:
    """Image id -> those of its referents that take part, with their masks."""
    offered = {
        image_id: [(referent, targets) for referent in group if (targets := targets_of(referent)) is not None]
        for image_id, group in by_image(referents).items()
    }
    return {image_id: group for image_id, group in offered.items() if group}
