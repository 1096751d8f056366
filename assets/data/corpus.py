"""The data set enters: what lies there, which rows can be used, and, apart from everything else, the drawn masks."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from assets.framework.stage import Outcome, StageInstance, Work
from assets.knobs_old import GroundTruthKnobs
from assets.reports.previews import image_preview
from resources.datasets import QuarantinedRow, check_images, open_dataset, true_mask
from storage.files import sha256_of
from storage.locks import exclusive
from storage.masks import mask_row
from storage.rows import Tally
from storage.tables import column, write_table

CONTENT = "content"
"""The metric of `dataset_index` that says which raw data it saw."""
SAID = 5
"""Rows that the log names."""
DRAWING_SECONDS = 3600.0
"""How long to wait for another process that draws the same embedded world."""
SPLITS = pa.schema(
    [
        column("split", pa.string(), "name of the split"),
        column("images", pa.int64(), "different images"),
        column("objects", pa.int64(), "references (one object each)"),
        column("expressions", pa.int64(), "sentences"),
    ]
)
EXPRESSIONS = pa.schema(
    [
        column("sent_id", pa.int64(), "number of the expression"),
        column("ref_id", pa.int64(), "number of the reference; its expressions share it"),
        column("object_id", pa.string(), "identity of the object, as the data set names it"),
        column("image_id", pa.string(), "identity of the image"),
        column("split", pa.string(), "split that the reference belongs to"),
        column("expression", pa.string(), "cleaned sentence"),
        column("raw", pa.string(), "sentence as typed"),
    ]
)
IMAGES = pa.schema(
    [
        column("image_id", pa.string(), "identity of the image"),
        column("image_file", pa.string(), "path below the image folder"),
        column("width", pa.int32(), "pixels, after EXIF orientation"),
        column("height", pa.int32(), "pixels, after EXIF orientation"),
        column("sha256", pa.string(), "hash of the file"),
    ]
)
QUARANTINE = pa.schema(
    [
        column("where", pa.string(), "file, and line where there is one"),
        column("item", pa.string(), "what was left out"),
        column("reason", pa.string(), "why, and what to do"),
        column("ref_id", pa.int64(), "reference it belonged to, if known", nullable=True),
        column("split", pa.string(), "split it belonged to, if known"),
    ]
)
OBJECTS = pa.schema(
    [
        column("object_id", pa.string(), "identity of the object"),
        column("image_id", pa.string(), "identity of the image"),
        column("category", pa.string(), "category name, empty where the set has none"),
        column("rle", pa.binary(), "true mask, COCO run-length encoding"),
        column("height", pa.int32(), "of the mask, pixels"),
        column("width", pa.int32(), "of the mask, pixels"),
    ]
)


def raw_fingerprint(instance: StageInstance) -> str:
    """Content hash of the raw data; an embedded world is drawn first where it is not there yet."""
    config, toy = instance.source.config, instance.source.toy
    if toy is not None:
        from resources.toyref.refcoco_writer import demand_world, write_toyref

        if not (config.root / config.name).is_dir():
            with exclusive(config.root.with_name(f".{config.root.name}.lock"), timeout=DRAWING_SECONDS):
                if not (config.root / config.name).is_dir():  # another process may have drawn it meanwhile
                    write_toyref(config.root, styles=(toy.style,), size=toy.size, seed=toy.seed)
        demand_world(config.root / config.name, size=toy.size, seed=toy.seed)
    return open_dataset(config).fingerprint()


def dataset_index(work: Work) -> Outcome:
    """What lies in the raw data: images, objects and sentences per split. Its data version is a hash of the content."""
    corpus = work.dataset.references()
    rows = [
        {
            "split": split,
            "images": len({row.image_id for row in corpus.of(split)}),
            "objects": len({row.ref_id for row in corpus.of(split)}),
            "expressions": len(corpus.of(split)),
        }
        for split in corpus.splits
    ]
    write_table(work.slot.content / "splits.parquet", pa.Table.from_pylist(rows, schema=SPLITS))
    assert work.raw is not None, "the graph hashes the raw data first"
    metrics: dict[str, float | int | str] = {CONTENT: work.raw}
    metrics |= {f"{row['split']}: expressions": len(corpus.of(str(row["split"]))) for row in rows}
    return Outcome(tallies={"splits": Tally.computed_anew(len(rows))}, metrics=metrics)


def _demand_unchanged(work: Work) -> None:
    """Refuse what was read from other raw data than `dataset_index` hashed."""
    seen = work.inputs["dataset_index"].manifest.metrics.get(CONTENT)
    if seen is not None and raw_fingerprint(work.instance) != seen:
        raise ValueError("the raw data changed while they were read: start a new run, which reads them anew")


def references(work: Work) -> Outcome:
    """Every usable (image, expression) pair; every image was decoded once. What can not be used is in `quarantine`."""
    corpus = check_images(work.dataset, work.dataset.references())
    kept = [row for row in corpus.references if row.split in work.instance.source.splits]
    others = Counter(row.split for row in corpus.references) - Counter(row.split for row in kept)
    if others:
        known = ", ".join(f"{split} ({count})" for split, count in sorted(others.items()))
        work.log(f"expressions of splits that are neither trained on nor scored: {known}; `evaluate` may name them")
    if not kept:
        raise ValueError(
            f"no usable reference in the splits {work.instance.source.splits}; the data has {corpus.splits}, "
            f"{len(corpus.quarantined)} rows are quarantined: {[row.reason for row in corpus.quarantined[:3]]}"
        )
    images = {row.image_id: row for row in kept}
    folder = work.slot.content
    expressions = [{name: getattr(row, name) for name in EXPRESSIONS.names} for row in kept]
    write_table(folder / "expressions.parquet", pa.Table.from_pylist(expressions, schema=EXPRESSIONS))
    files = [
        {
            **{name: getattr(row, name) for name in IMAGES.names[:-1]},
            "sha256": sha256_of(work.dataset.image_path(row.image_file)),
        }
        for row in images.values()
    ]
    write_table(folder / "images.parquet", pa.Table.from_pylist(files, schema=IMAGES))
    write_quarantine(work, corpus.quarantined)
    _demand_unchanged(work)
    tally = Tally.computed_anew(len(kept), quarantined=len(corpus.quarantined))
    reasons = Counter(row.reason for row in corpus.quarantined).most_common(5)
    return Outcome(
        tallies={"expressions": tally},
        metrics={
            "images": len(images),
            "objects": len({row.ref_id for row in kept}),
            "reasons": str(reasons or "none"),
        },
        preview=image_preview(work, [row.image_file for row in images.values()]),
    )


def ground_truth(work: Work) -> Outcome:
    """The drawn masks and categories, for evaluation only: no weakly supervised model reads them."""
    knobs = work.knobs_as(GroundTruthKnobs)
    truths, lost = work.dataset.ground_truth()
    rows = []
    for truth in {truth.object_id: truth for truth in truths}.values():
        mask = true_mask(truth, overlap=knobs.overlap)
        rows.append(
            {"object_id": truth.object_id, "image_id": truth.image_id, "category": truth.category, **mask_row(mask)}
        )
    write_table(work.slot.content / "objects.parquet", pa.Table.from_pylist(rows, schema=OBJECTS))
    write_quarantine(work, lost)
    _demand_unchanged(work)
    return Outcome(tallies={"objects": Tally.computed_anew(len(rows), quarantined=len(lost))})


def write_quarantine(work: Work, lost: Sequence[QuarantinedRow]) -> None:
    """The table of what was left out, and why; the log has the first few."""
    for row in lost[:SAID]:
        work.log(f"left out {row.item} ({row.where}): {row.reason}")
    if len(lost) > SAID:
        work.log(f"left out {len(lost) - SAID} more; all are in the table `quarantine`")
    rows = [{name: getattr(row, name) for name in QUARANTINE.names} for row in lost]
    write_table(work.slot.content / "quarantine.parquet", pa.Table.from_pylist(rows, schema=QUARANTINE))
