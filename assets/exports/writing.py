"""Masks leave the store: every format is a function from what is exported to files."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from assets.exports import coco, hugging_face, label_studio, yolo
from assets.exports.given import Export, File
from storage.outputs import outputs

FORMATS: Mapping[str, Callable[[Export], Iterable[File]]] = {
    "coco": coco.files,
    "datasets": hugging_face.files,
    "yolo": yolo.files,
    "label-studio": label_studio.files,
}
"""As `wordmask export --format` names them."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    masks: int
    folder: Path
    """Where it lies."""


def export_masks(export: Export, folder: Path, *, format: str, of: str, png: bool = False) -> Exported:  # noqa: A002  the field's word
    """Write what a stage gives in one of `FORMATS`, and with `png` a picture of each mask, see `assets.exports.coco`.

    Args:
        export: images and masks.
        folder: where to; files of an earlier export of the same are written over, and where something else lies, or
            a mask that a person corrected, a folder beside it is taken.
        format: a key of `FORMATS`.
        of: digest of what is exported: data set, experiment, stage.
        png: whether masks are drawn, too.

    Raises:
        StoreError: the disk refuses.
        Refused: an image is not what the stages saw.
    """
    files = [*FORMATS[format](export), *(coco.drawn(export) if png else ())]
    with outputs(folder.parent, folder.name, [file.ending for file in files], of=of) as written:
        for file in files:
            written.write(file.ending, file.content())
        return Exported(masks=len(export.given), folder=written.path(""))
