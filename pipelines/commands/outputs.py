"""What people take away: the masks of an experiment, and what its model finds in a picture of their own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from assets.framework.stage import resolved
from assets.segmenters.coco_export import export_masks, masks_table
from assets.segmenters.inference import Segment
from assets.stages import SEGMENTERS
from pipelines.commands.run import planned, ready
from pipelines.commands.terminal_tables import folding
from resources.datasets import ImageProblem, Limits, expression_problem, load_image
from resources.runtime import Runtime
from storage.files import write_bytes


def export(dataset: str, experiment: str, folder: Path, *, stages: Sequence[str] = (), png: bool = False) -> Table:
    """Write the masks of the named stages, or of all that give any, a folder each; what was written, for the terminal.

    Raises:
        ValueError: a stage is not finished or gives no masks; says which do.
        StoreError: the disk refuses.
    """
    found = ready(planned(dataset, experiment))
    tables = {name: table for name, artifact in found.items() if (table := masks_table(artifact))}
    lacking = sorted(set(stages) - set(tables))
    if lacking or not tables:
        raise ValueError(
            f"no masks of {', '.join(lacking) or 'any stage'} yet: `wordmask run -d {dataset} -e {experiment}` makes "
            f"them; finished are {', '.join(tables) or 'none'}"
        )
    told = folding("stage", "masks", "without a pixel", "folder")
    for name in stages or tables:
        done = export_masks(found["references"], found[name], tables[name], folder / name, png=png)
        told.add_row(name, str(done.masks), str(done.missing), str(folder / name))
    return told


def segment(
    picture: Path, sentences: Sequence[str], folder: Path, *, dataset: str, experiment: str, model: str | None = None
) -> Table:
    """Write a mask for each sentence of a picture, and all of them drawn over it; what was found, for the terminal.

    Raises:
        ValueError: the picture cannot be read, a sentence is none, or no such model is finished; says which are.
        StoreError: the disk refuses.
    """
    from ops.visualisation import indices, overlay, png_bytes

    try:
        pixels = load_image(picture)
    except (OSError, ImageProblem) as problem:
        raise ValueError(f"{picture} cannot be read: {problem}") from problem
    for sentence in sentences:
        if reason := expression_problem(sentence, Limits()):
            raise ValueError(f"{sentence!r}: {reason}")
    used = planned(dataset, experiment)
    found = ready(used)
    trained = {segmenter.trained.name: segmenter for segmenter in SEGMENTERS if segmenter.trained.name in found}
    name = model or next(iter(trained), "")
    if name not in trained:
        raise ValueError(
            f"{experiment} on {dataset} has no finished {name or 'model'}: `wordmask run -d {dataset} -e {experiment}` "
            f"trains it; finished are {', '.join(trained) or 'none'}"
        )
    predictions = trained[name].predictions
    knobs = next((each.knobs for each in used if each.stage.name == predictions.name), predictions.knobs())
    open_segmenter: Callable[..., Segment] = resolved(trained[name].open)
    masks = open_segmenter(found[name], knobs, Runtime())(sentences, pixels)
    told = folding("", "sentence", "of the picture", "mask", title=f"{name} of {experiment} on {dataset}")
    labels = indices(len(masks))
    for label, sentence, mask in zip(labels, sentences, masks, strict=True):
        file = folder / f"{picture.stem}_{label}.png"
        write_bytes(file, png_bytes(mask))
        told.add_row(label, sentence, f"{100 * mask.mean():.1f} %" if mask.any() else "nothing", str(file))
    drawn = overlay(pixels, np.stack(masks), labels=labels)
    write_bytes(folder / f"{picture.stem}_overlay.png", png_bytes(drawn))
    return told
