"""The refer layout: RefCOCO, RefCOCO+, RefCOCOg, and the toy world that is written the same way (spec 1.1-1.4).

`<root>/<name>/refs(<split_by>).p`, `<root>/<name>/instances.json`, images in
`<root>/images/mscoco/images/train2014/`.
"""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ops.refusal import Refused
from resources.datasets.ground_truth import segmentation_problem
from resources.datasets.published_counts import SplitCount, check_counts
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow, in_split

IMAGE_FOLDER = Path("images/mscoco/images/train2014")
_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError, TypeError, MemoryError)


class UnsafePickleError(Refused):
    """A pickle that asks for code instead of plain data."""


class PlainUnpickler(pickle.Unpickler):
    """Reads dicts, lists, numbers and text, and refuses everything that would import or call something."""

    file_name = "the pickle"

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse a global.

        Raises:
            UnsafePickleError: Always.
        """
        module = "os" if module in ("posix", "nt") else module
        raise UnsafePickleError(f"{self.file_name} asks for {module}.{name}; only plain data is read")

    def persistent_load(self, pid: object) -> NoReturn:
        """Refuse an object kept outside the pickle.

        Raises:
            UnsafePickleError: Always.
        """
        raise UnsafePickleError(f"{self.file_name} asks for the outside object {pid!r}; only plain data is read")


@dataclass(frozen=True)
class _Instances:
    images: Mapping[int, Mapping[str, Any]]
    annotations: Mapping[int, Mapping[str, Any]]
    categories: Mapping[int, str]


def load_plain_pickle(path: Path) -> object:
    """Read a pickle of plain data, written by Python 2 or 3.

    Raises:
        UnsafePickleError: It asks for a global or an outside object.
        Refused: It is no readable pickle.
    """
    for encoding in ("utf-8", "latin-1"):  # text of Python 2 carries no encoding
        with path.open("rb") as file:
            reader = PlainUnpickler(file, encoding=encoding)
            reader.file_name = path.name
            try:
                return reader.load()
            except UnsafePickleError:
                raise
            except UnicodeDecodeError:
                continue
            except _BROKEN as problem:
                raise Refused(f"{path.name} is no readable pickle ({problem}); fetch it again") from problem
    raise Refused(f"{path.name} holds text in no known encoding; fetch it again")


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read the expressions of a set in file order.

    Raises:
        Refused: A file is missing or malformed, or the counts are not the published ones.
    """
    refs_path, instances_path = _paths(config)
    refs = _refs(refs_path)
    instances = _instances(instances_path)
    check_counts(config.name, config.split_by, _counts(refs), expect=config.expect_published_counts)
    rows: list[Expression] = []
    quarantined: list[QuarantinedRow] = []
    seen: set[int] = set()
    for index, ref in enumerate(refs):
        reason = _reference_problem(ref, instances, seen)
        if reason is not None:
            quarantined.extend(_lost(ref, index, refs_path.name, reason, config.split_map))
            continue
        seen.add(ref["ref_id"])
        for sentence in ref["sentences"]:
            if _sentence_is_whole(sentence):
                rows.append(_expression(ref, sentence, instances, config.split_map))
            else:
                quarantined.append(_lost_sentence(ref, sentence, refs_path.name, config.split_map))
    return Manifest(
        files=(refs_path, instances_path),
        image_folder=config.root / IMAGE_FOLDER,
        rows=tuple(rows),
        quarantined=tuple(quarantined),
    )


def read_ground_truth(config: DatasetConfig) -> GroundTruths:
    """Read the masks of all referred objects, each once, in file order.

    Raises:
        Refused: A file is missing or malformed.
    """
    refs_path, instances_path = _paths(config)
    instances = _instances(instances_path)
    objects: list[GroundTruth] = []
    broken: list[QuarantinedRow] = []
    wanted = dict.fromkeys(ref["ann_id"] for ref in _refs(refs_path) if isinstance(ref.get("ann_id"), int))
    for ann_id in wanted:
        annotation = instances.annotations.get(ann_id)
        reason = _annotation_problem(annotation, instances)
        if annotation is None or reason is not None:
            item = f"annotation {ann_id}"
            broken.append(QuarantinedRow(where=instances_path.name, item=item, reason=reason or "it is missing"))
        else:
            objects.append(_ground_truth(annotation, instances))
    for ann_id, annotation in instances.annotations.items():
        if ann_id not in wanted and annotation.get("image_id") not in instances.images:
            reason = f"its image {annotation.get('image_id')} is not listed"
            broken.append(QuarantinedRow(where=instances_path.name, item=f"annotation {ann_id}", reason=reason))
    return objects, broken


LAYOUT = Layout(manifest=read_manifest, ground_truth=read_ground_truth, in_split=in_split)


def _paths(config: DatasetConfig) -> tuple[Path, Path]:
    folder = config.root / config.name
    refs_path, instances_path = folder / f"refs({config.split_by}).p", folder / "instances.json"
    for path in (refs_path, instances_path):
        if not path.is_file():
            found = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
            beside = f"the folder holds {', '.join(found)}" if found else "the folder is missing or empty"
            raise Refused(f"{path} is missing ({beside}); check root, name and split_by")
    return refs_path, instances_path


def _refs(path: Path) -> Sequence[dict[str, Any]]:
    refs = load_plain_pickle(path)
    if not isinstance(refs, list) or not all(isinstance(ref, dict) for ref in refs):
        raise Refused(f"{path.name} holds no list of references; check that it is the refer pickle")
    return refs


def _instances(path: Path) -> _Instances:
    try:
        data = json.loads(path.read_bytes())
        return _Instances(
            images={image["id"]: image for image in data["images"]},
            annotations={annotation["id"]: annotation for annotation in data["annotations"]},
            categories={category["id"]: str(category["name"]) for category in data["categories"]},
        )
    except (ValueError, RecursionError) as problem:
        raise Refused(f"{path} is no readable JSON ({problem}); fetch it again") from problem
    except (KeyError, TypeError) as problem:
        raise Refused(
            f"{path} lacks images, annotations or categories with their ids ({problem}); check that it is COCO's form"
        ) from problem


def _counts(refs: Sequence[Mapping[str, Any]]) -> dict[str, SplitCount]:
    images: dict[str, set[Any]] = defaultdict(set)
    referents: dict[str, int] = defaultdict(int)
    expressions: dict[str, int] = defaultdict(int)
    for ref in refs:
        split = str(ref.get("split", ""))
        images[split].add(ref.get("image_id"))
        referents[split] += 1
        expressions[split] += len(ref.get("sentences") or ())
    return {split: SplitCount(len(images[split]), referents[split], expressions[split]) for split in referents}


def _reference_problem(ref: Mapping[str, Any], instances: _Instances, seen: set[int]) -> str | None:
    wanted = {"ref_id": int, "ann_id": int, "image_id": int, "split": str, "sentences": list}
    lacking = [name for name, kind in wanted.items() if not isinstance(ref.get(name), kind)]
    if lacking:
        return f"the reference lacks a usable {' and '.join(lacking)}"
    if ref["ref_id"] in seen:
        return f"ref_id {ref['ref_id']} appears twice"
    if not ref["sentences"]:
        return "the reference has no sentence"
    annotation = instances.annotations.get(ref["ann_id"])
    if annotation is None:
        return f"its annotation {ref['ann_id']} is not in instances.json"
    image = instances.images.get(ref["image_id"])
    if image is None:
        return f"its image {ref['image_id']} is not in instances.json"
    if annotation.get("image_id") != ref["image_id"]:
        return f"its annotation {ref['ann_id']} belongs to image {annotation.get('image_id')}, not {ref['image_id']}"
    if not isinstance(image.get("file_name"), str):
        return f"its image {ref['image_id']} has no file_name"
    if not all(isinstance(image.get(side), int) and image[side] > 0 for side in ("width", "height")):
        return f"its image {ref['image_id']} has no width and height"
    return None


def _sentence_is_whole(sentence: object) -> bool:
    return (
        isinstance(sentence, dict)
        and isinstance(sentence.get("sent_id"), int)
        and isinstance(sentence.get("sent"), str)
    )


def _expression(
    ref: Mapping[str, Any], sentence: Mapping[str, Any], instances: _Instances, split_map: Mapping[str, str]
) -> Expression:
    image = instances.images[ref["image_id"]]
    raw = sentence.get("raw")
    return Expression(
        ref_id=ref["ref_id"],
        object_id=str(ref["ann_id"]),
        image_id=str(ref["image_id"]),
        image_file=image["file_name"],
        width=image["width"],
        height=image["height"],
        split=split_map.get(ref["split"], ref["split"]),
        sent_id=sentence["sent_id"],
        expression=sentence["sent"],
        raw=raw if isinstance(raw, str) else sentence["sent"],
    )


def _lost(
    ref: Mapping[str, Any], index: int, where: str, reason: str, split_map: Mapping[str, str]
) -> Iterator[QuarantinedRow]:
    ref_id = ref.get("ref_id")
    split = str(ref.get("split", ""))
    sentences = ref.get("sentences")
    for number in range(max(1, len(sentences) if isinstance(sentences, list) else 1)):
        yield QuarantinedRow(
            where=where,
            item=f"record {index} (ref {ref_id}), sentence {number}",
            reason=reason,
            ref_id=ref_id if isinstance(ref_id, int) else None,
            split=split_map.get(split, split),
        )


def _lost_sentence(
    ref: Mapping[str, Any], sentence: object, where: str, split_map: Mapping[str, str]
) -> QuarantinedRow:
    number = sentence.get("sent_id") if isinstance(sentence, dict) else None
    return QuarantinedRow(
        where=where,
        item=f"ref {ref['ref_id']}, sentence {number}",
        reason="the sentence lacks a usable sent_id or sent",
        ref_id=ref["ref_id"],
        split=split_map.get(ref["split"], ref["split"]),
    )


def _annotation_problem(annotation: Mapping[str, Any] | None, instances: _Instances) -> str | None:
    if annotation is None:
        return "it is referred to but not listed"
    image = instances.images.get(annotation.get("image_id", -1))
    if image is None:
        return f"its image {annotation.get('image_id')} is not listed"
    if not all(isinstance(image.get(side), int) and image[side] > 0 for side in ("width", "height")):
        return f"its image {annotation.get('image_id')} has no width and height"
    return segmentation_problem(annotation.get("segmentation"), image["height"], image["width"])


def _ground_truth(annotation: Mapping[str, Any], instances: _Instances) -> GroundTruth:
    image = instances.images[annotation["image_id"]]
    return GroundTruth(
        object_id=str(annotation["id"]),
        image_id=str(annotation["image_id"]),
        category=instances.categories.get(annotation.get("category_id", -1), ""),
        segmentation=annotation["segmentation"],
        height=image["height"],
        width=image["width"],
    )
