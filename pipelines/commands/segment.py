"""What a trained model finds in a picture of a user's own."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from assets.framework.stage import resolved
from assets.stages import SEGMENTERS
from ops.refusal import Refused
from ops.visualisation import index_labels, overlay, png_bytes
from pipelines.commands.terminal import folding
from pipelines.graph.load import planned
from pipelines.graph.state import raw_data_problem, ready
from resources.datasets import Limits
from resources.datasets.images import ImageProblem, load_image
from resources.datasets.reading import expression_problem
from resources.runtime import Runtime
from storage.digest import digest
from storage.files import sha256_of
from storage.outputs import outputs

if TYPE_CHECKING:
    from assets.segmenters.inference import Segment  # brings torch, which a refusal does not wait for


def segment(
    picture: Path, expressions: Sequence[str], folder: Path, *, dataset: str, experiment: str, model: str | None = None
) -> Table:
    """Write a mask for each expression of a picture, and all of them drawn over it; what was found, for the terminal.

    The files are named by the picture. What another picture, other expressions or another model gave stays.

    Raises:
        Refused: the picture cannot be read, an expression is none, or no such model is finished; says which are.
        StoreError: the disk refuses.
    """
    image = _read(picture, expressions)
    name, segmenter = _open(dataset, experiment, model)
    masks = segmenter(expressions, image)
    labels = index_labels(len(masks))
    of = digest([str(picture.resolve()), sha256_of(picture), list(expressions), dataset, experiment, name])
    endings = [*(f"_{label}.png" for label in labels), "_overlay.png"]
    summary = folding("", "expression", "of the picture", "mask", title=f"{name} of {experiment} on {dataset}")
    with outputs(folder, picture.stem, endings, of=of) as files:
        for label, expression, mask in zip(labels, expressions, masks, strict=True):
            file = files.write(f"_{label}.png", png_bytes(mask))
            summary.add_row(label, expression, f"{100 * mask.mean():.1f} %" if mask.any() else "nothing", str(file))
        files.write("_overlay.png", png_bytes(overlay(image, np.stack(masks), labels=labels)))
    return summary


def _read(picture: Path, expressions: Sequence[str]) -> np.ndarray:
    """The picture's pixels, if it and all expressions can be used."""
    try:
        image = load_image(picture)
    except ImageProblem as problem:
        raise Refused(f"{picture} cannot be read: {problem}") from problem
    for expression in expressions:
        if reason := expression_problem(expression, Limits()):
            raise Refused(f"{expression!r}: {reason}")
    return image


def _open(dataset: str, experiment: str, model: str | None) -> "tuple[str, Segment]":
    """The named model of an experiment, or the one that it is about, with the name of its training stage."""
    used = planned(dataset, experiment)
    artifacts = ready(used)
    trained = {segmenter.trained.name: segmenter for segmenter in SEGMENTERS if segmenter.trained.name in artifacts}
    name = model or next(iter(trained), "")
    if name not in trained:
        raise Refused(
            f"{raw_data_problem(used)}{experiment} on {dataset} has no finished {name or 'model'}: "
            f"`wordmask run -d {dataset} -e {experiment}` trains it; finished are {', '.join(trained) or 'none'}"
        )
    predictions = trained[name].predictions
    knobs = next((instance.knobs for instance in used if instance.stage.name == predictions.name), predictions.knobs())
    open_segmenter: Callable[..., Segment] = resolved(trained[name].open)
    return name, open_segmenter(artifacts[name], knobs, Runtime())
