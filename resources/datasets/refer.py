"""The refer layout: RefCOCO, RefCOCO+, RefCOCOg, and the toy world that is written the same way (spec 1.1-1.4).

`<root>/<name>/refs(<split_by>).p`, `<root>/<name>/instances.json`, images in
`<root>/images/mscoco/images/train2014/`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ops.refusal import Refused
from resources.datasets.coco_records import Instances, read_instances
from resources.datasets.ground_truth import segmentation_problem
from resources.datasets.plain_values import RecordProblem
from resources.datasets.published_counts import SplitCount, check_counts
from resources.datasets.reading import GroundTruths, Layout, Manifest
from resources.datasets.records import DatasetConfig, Expression, GroundTruth, QuarantinedRow, in_split
from resources.datasets.ref_records import AnyRef, Ref, Sentence, problems_of_sentences, read_refs, repeated
from resources.datasets.table_rows import shown

IMAGE_FOLDER = Path("images/mscoco/images/train2014")
_NAMED = 10
"""Files of a folder that a message names."""


def read_manifest(config: DatasetConfig) -> Manifest:
    """Read the expressions of a set in file order.

    Raises:
        Refused: A file is missing or malformed, or the counts are not the published ones.
    """
    refs_path, instances_path = _paths(config)
    refs = read_refs(refs_path)
    instances = read_instances(instances_path, max_pixels=config.limits.max_pixels)
    check_counts(config.name, config.split_by, _counts(refs), expect=config.expect_published_counts)
    usable, problems = _sorted_out(refs, instances)
    lost_sentences = problems_of_sentences(list(usable.values()))
    rows: list[Expression] = []
    quarantined: list[QuarantinedRow] = []
    for ref in refs:
        split = config.split_map.get(ref.split, ref.split)
        if ref.index in problems:
            quarantined.extend(_lost(ref, refs_path.name, problems[ref.index], split))
            continue
        whole = usable[ref.index]
        for place, sentence in enumerate(whole.sentences):
            problem = lost_sentences.get((ref.index, place))
            if isinstance(sentence, Sentence) and problem is None:
                rows.append(_expression(whole, sentence, instances, split))
            else:
                item = f"ref {ref.ref_id}, sentence {place if sentence.sent_id is None else sentence.sent_id}"
                quarantined.append(_row(whole, item, refs_path.name, str(problem), split))
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
    instances = read_instances(instances_path, max_pixels=config.limits.max_pixels)
    objects: list[GroundTruth] = []
    broken: list[QuarantinedRow] = []
    wanted = dict.fromkeys(ref.ann_id for ref in read_refs(refs_path) if ref.ann_id is not None)
    for ann_id in wanted:
        try:
            objects.append(_ground_truth(ann_id, instances))
        except RecordProblem as problem:
            item = f"annotation {ann_id}"
            broken.append(QuarantinedRow(where=instances_path.name, item=item, reason=str(problem)))
    broken.extend(
        QuarantinedRow(where=instances_path.name, item=item, reason=reason)
        for item, reason in instances.left_over(wanted)
    )
    return objects, broken


LAYOUT = Layout(manifest=read_manifest, ground_truth=read_ground_truth, in_split=in_split)


def _paths(config: DatasetConfig) -> tuple[Path, Path]:
    folder = config.root / config.name
    refs_path, instances_path = folder / f"refs({config.split_by}).p", folder / "instances.json"
    for path in (refs_path, instances_path):
        if not os.path.lexists(path):
            raise Refused(f"{config.name}/{path.name} is missing ({_beside(folder)}); check root, name and split_by")
    return refs_path, instances_path


def _beside(folder: Path) -> str:
    try:
        found = sorted(item.name for item in folder.iterdir())
    except PermissionError:
        return "the folder may not be read by this user"
    except (OSError, ValueError):
        found = []
    if not found:
        return "the folder is missing or empty"
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"the folder holds {', '.join(map(shown, found[:_NAMED]))}{more}"


def _counts(refs: Sequence[AnyRef]) -> dict[str, SplitCount]:
    images: dict[str, set[int | None]] = defaultdict(set)
    referents: dict[str, int] = defaultdict(int)
    expressions: dict[str, int] = defaultdict(int)
    for ref in refs:
        images[ref.split].add(ref.image_id)
        referents[ref.split] += 1
        expressions[ref.split] += ref.expressions
    return {split: SplitCount(len(images[split]), referents[split], expressions[split]) for split in referents}


def _sorted_out(refs: Sequence[AnyRef], instances: Instances) -> tuple[dict[int, Ref], dict[int, str]]:
    """Index -> reference that can be used, and index -> why one can not."""
    usable: dict[int, Ref] = {}
    problems = repeated(refs)
    for ref in refs:
        if not isinstance(ref, Ref):
            problems[ref.index] = ref.problem
        elif ref.index not in problems:
            try:
                _require_image(ref, instances)
                usable[ref.index] = ref
            except RecordProblem as problem:
                problems[ref.index] = str(problem)
    return usable, problems


def _require_image(ref: Ref, instances: Instances) -> None:
    annotation = instances.annotations.find(ref.ann_id)
    instances.images.find(ref.image_id)
    if annotation.image_id != ref.image_id:
        raise RecordProblem(f"its annotation {ref.ann_id} belongs to image {annotation.image_id}, not {ref.image_id}")


def _expression(ref: Ref, sentence: Sentence, instances: Instances, split: str) -> Expression:
    image = instances.images.find(ref.image_id)
    return Expression(
        ref_id=ref.ref_id,
        object_id=str(ref.ann_id),
        image_id=str(ref.image_id),
        image_file=image.file_name,
        width=image.width,
        height=image.height,
        split=split,
        sent_id=sentence.sent_id,
        expression=sentence.sent,
        raw=sentence.raw,
    )


def _lost(ref: AnyRef, where: str, reason: str, split: str) -> Iterator[QuarantinedRow]:
    named = f"record {ref.index}" + ("" if ref.ref_id is None else f" (ref {ref.ref_id})")
    for number in range(max(1, ref.expressions)):
        yield _row(ref, f"{named}, sentence {number}", where, reason, split)


def _row(ref: AnyRef, item: str, where: str, reason: str, split: str) -> QuarantinedRow:
    return QuarantinedRow(where=where, item=item, reason=reason, ref_id=ref.ref_id, split=split)


def _ground_truth(ann_id: int, instances: Instances) -> GroundTruth:
    annotation = instances.annotations.find(ann_id)
    image = instances.images.find(annotation.image_id)
    category = instances.category_of(annotation)
    problem = segmentation_problem(annotation.segmentation, image.height, image.width)
    if problem is not None:
        raise RecordProblem(problem)
    return GroundTruth(
        object_id=str(ann_id),
        image_id=str(annotation.image_id),
        category=category,
        segmentation=annotation.segmentation,
        height=image.height,
        width=image.width,
    )
