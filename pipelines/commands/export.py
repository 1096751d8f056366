"""The masks of an experiment as annotations and pictures, for people and their tools to take away."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.table import Table

from assets.data.tables import ImageRow, images_in, referents_in
from assets.exports.given import Export, given_masks, masks_table
from assets.exports.writing import export_masks
from ops.refusal import Refused
from pipelines.commands.terminal import folding
from pipelines.graph.load import planned, require_stage
from pipelines.graph.state import raw_data_problem, ready
from resources.datasets import ImageChangedError, open_dataset
from resources.datasets.reading import Dataset
from resources.opening import digest_of, read_file
from storage.digest import digest


def export(
    dataset: str,
    experiment: str,
    folder: Path,
    *,
    stages: Sequence[str] = (),
    format: str = "coco",  # noqa: A002  the field's word
    png: bool = False,
    with_images: bool = False,
    guard_formulas: bool = False,
) -> Table:
    """Write the masks of the named stages, or of all that give any, a folder each; what was written, for the terminal.

    Raises:
        Refused: a stage is not finished or gives no masks; says which do. Or an image is not what the stages saw. Or
            images are asked for, for which the format has no place.
        StoreError: the disk refuses.
    """
    if with_images and format == "coco":
        raise Refused("COCO's JSON names images and holds none; leave --images out, or take --format datasets")
    used = planned(dataset, experiment)
    artifacts = ready(used)
    tables = {name: table for name, artifact in artifacts.items() if (table := masks_table(artifact))}
    for name in stages:
        require_stage(name)
    lacking = sorted(set(stages) - set(tables))
    if lacking or not tables:
        raise Refused(
            f"{raw_data_problem(used)}no masks of {', '.join(lacking) or 'any stage'} yet: "
            f"`wordmask run -d {dataset} -e {experiment}` makes them; finished are {', '.join(tables) or 'none'}"
        )
    references, source = artifacts["references"], open_dataset(used[0].source.config)
    summary = folding("stage", "masks", "without a pixel", "folder")
    if format == "yolo" and len({one.split for one in referents_in(artifacts["references"])}) == 1:
        summary.caption = "one split only: data.yaml checks on the images that it trains on"
    for name in stages or tables:
        found = list(given_masks(references, artifacts[name], tables[name]))
        given = [one for one in found if one is not None]
        wanted = Export(
            stage=name,
            images=images_in(references),
            given=given,
            read=partial(_image_bytes, source),
            with_images=with_images,
            guard_formulas=guard_formulas,
        )
        origin = digest([dataset, experiment, name])
        done = export_masks(wanted, folder / name, format=format, of=origin, png=png)
        summary.add_row(name, str(done.masks), str(len(found) - done.masks), str(done.folder))
    return summary


def _image_bytes(source: Dataset, image: ImageRow) -> bytes:
    """The file of an image, which is the one that `references` saw."""
    path = source.image_path(image.image_file)
    if digest_of(path) != image.sha256:
        raise Refused(str(ImageChangedError(image.image_file, "is another file now")))
    return read_file(path)
