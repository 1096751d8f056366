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
from pipelines.graph.state import ready
from resources.datasets import Limits
from resources.datasets.images import ImageProblem, load_image
from resources.datasets.reading import expression_problem
from resources.runtime import Runtime
from storage.files import write_bytes

if TYPE_CHECKING:
    from assets.segmenters.inference import Segment  # brings torch, which a refusal does not wait for


def segment(
    picture: Path, sentences: Sequence[str], folder: Path, *, dataset: str, experiment: str, model: str | None = None
) -> Table:
    """Write a mask for each sentence of a picture, and all of them drawn over it; what was found, for the terminal.

    Raises:
        Refused: the picture cannot be read, a sentence is none, or no such model is finished; says which are.
        StoreError: the disk refuses.
    """
    image = _read(picture, sentences)
    name, segmenter = _open(dataset, experiment, model)
    masks = segmenter(sentences, image)
    summary = folding("", "sentence", "of the picture", "mask", title=f"{name} of {experiment} on {dataset}")
    labels = index_labels(len(masks))
    for label, sentence, mask in zip(labels, sentences, masks, strict=True):
        file = folder / f"{picture.stem}_{label}.png"
        write_bytes(file, png_bytes(mask))
        summary.add_row(label, sentence, f"{100 * mask.mean():.1f} %" if mask.any() else "nothing", str(file))
    drawn = overlay(image, np.stack(masks), labels=labels)
    write_bytes(folder / f"{picture.stem}_overlay.png", png_bytes(drawn))
    return summary


def _read(picture: Path, sentences: Sequence[str]) -> np.ndarray:
    """The picture's pixels, if it and all sentences can be used."""
    try:
        image = load_image(picture)
    except ImageProblem as problem:
        raise Refused(f"{picture} cannot be read: {problem}") from problem
    for sentence in sentences:
        if reason := expression_problem(sentence, Limits()):
            raise Refused(f"{sentence!r}: {reason}")
    return image


def _open(dataset: str, experiment: str, model: str | None) -> "tuple[str, Segment]":
    """The named model of an experiment, or the one that it is about, with the name of its training stage."""
    used = planned(dataset, experiment)
    artifacts = ready(used)
    trained = {segmenter.trained.name: segmenter for segmenter in SEGMENTERS if segmenter.trained.name in artifacts}
    name = model or next(iter(trained), "")
    if name not in trained:
        raise Refused(
            f"{experiment} on {dataset} has no finished {name or 'model'}: `wordmask run -d {dataset} -e {experiment}` "
            f"trains it; finished are {', '.join(trained) or 'none'}"
        )
    predictions = trained[name].predictions
    knobs = next((instance.knobs for instance in used if instance.stage.name == predictions.name), predictions.knobs())
    open_segmenter: Callable[..., Segment] = resolved(trained[name].open)
    return name, open_segmenter(artifacts[name], knobs, Runtime())
