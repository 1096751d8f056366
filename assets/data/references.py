"""Every usable (image, expression) pair of the data set, and what cannot be used, with its reason."""

from collections import Counter
from collections.abc import Sequence

from assets.data.dataset_index import require_unchanged
from assets.data.stages import DATASET_INDEX
from assets.data.tables import EXPRESSIONS, IMAGES, QUARANTINE, ExpressionRow, ImageRow, QuarantineRow
from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import image_preview
from ops.refusal import Refused
from resources.datasets import Expression, QuarantinedRow
from resources.datasets.reading import check_images
from resources.opening import digest_of
from storage.rows import Tally

LOGGED = 5
"""Rows left out that the log names."""


def references(work: Work) -> Outcome:
    """The pairs, their images with a hash each, and the quarantine."""
    corpus = check_images(work.dataset, work.dataset.corpus())
    kept = [row for row in corpus.expressions if row.split in work.instance.source.splits]
    others = Counter(row.split for row in corpus.expressions) - Counter(row.split for row in kept)
    if others:
        named = ", ".join(f"{split} ({count})" for split, count in sorted(others.items()))
        work.log(f"expressions of splits that are neither trained on nor scored: {named}; `evaluate` may name them")
    if not kept:
        raise Refused(
            f"no usable reference in the splits {work.instance.source.splits}; the data has {corpus.splits}, "
            f"{len(corpus.quarantined)} rows are quarantined: {[row.reason for row in corpus.quarantined[:3]]}"
        )
    EXPRESSIONS.write(work.slot, map(_expression_row, kept))
    images = {row.image_id: row for row in kept}
    IMAGES.write(
        work.slot,
        [
            ImageRow(
                image_id=row.image_id,
                image_file=row.image_file,
                width=row.width,
                height=row.height,
                sha256=digest_of(work.dataset.image_path(row.image_file)),
            )
            for row in images.values()
        ],
    )
    write_quarantine(work, corpus.quarantined)
    require_unchanged(work.instance, work.input(DATASET_INDEX))
    reasons = Counter(row.reason for row in corpus.quarantined).most_common(5)
    return Outcome(
        tallies={"expressions": Tally.computed_anew(len(kept), quarantined=len(corpus.quarantined))},
        metrics={
            "images": len(images),
            "objects": len({row.ref_id for row in kept}),
            "reasons": str(reasons or "none"),
        },
        preview=image_preview(work, [row.image_file for row in images.values()]),
    )


def _expression_row(row: Expression) -> ExpressionRow:
    return ExpressionRow(
        sent_id=row.sent_id,
        ref_id=row.ref_id,
        object_id=row.object_id,
        image_id=row.image_id,
        split=row.split,
        expression=row.expression,
        raw=row.raw,
    )


def write_quarantine(work: Work, lost: Sequence[QuarantinedRow]) -> None:
    """The table of what was left out, and why; the log has the first few."""
    for row in lost[:LOGGED]:
        work.log(f"left out {row.item} ({row.where}): {row.reason}")
    if len(lost) > LOGGED:
        work.log(f"left out {len(lost) - LOGGED} more; all are in the table `quarantine`")
    QUARANTINE.write(
        work.slot,
        [
            QuarantineRow(where=row.where, item=row.item, reason=row.reason, ref_id=row.ref_id, split=row.split)
            for row in lost
        ],
    )
