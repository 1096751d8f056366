"""What a trained model, or S1 and S2 without one, find in a picture of a user's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from assets.segmenters.answers import Answer
from ops.refusal import Refused
from ops.visualisation import index_labels, overlay, png_bytes
from pipelines.commands.answering import Answering, open_answering
from pipelines.commands.terminal import folding
from resources.datasets import Limits
from resources.datasets.images import ImageProblem, load_image
from resources.datasets.reading import expression_problem
from storage.digest import digest
from storage.files import sha256_of
from storage.outputs import outputs


def segment(
    picture: Path, expressions: Sequence[str], folder: Path, *, dataset: str, experiment: str, model: str | None = None
) -> Table:
    """Write a mask for each expression of a picture, and all of them drawn over it; what was found, for the terminal.

    The files are named by the picture. What another picture, other expressions or another model gave stays.

    Raises:
        Refused: the picture cannot be read, an expression is none, or nothing can answer, see `open_answering`.
        StoreError: the disk refuses.
    """
    image = _read(picture, expressions)
    answering = open_answering(dataset, experiment, model)
    answers = answering.segment(expressions, image)
    labels = index_labels(len(answers))
    of = digest([str(picture.resolve()), sha256_of(picture), list(expressions), dataset, experiment, answering.by])
    endings = [*(f"_{label}.png" for label in labels), "_overlay.png"]
    summary = _summary(answering)
    with outputs(folder, picture.stem, endings, of=of) as files:
        for label, expression, answer in zip(labels, expressions, answers, strict=True):
            file = files.write(f"_{label}.png", png_bytes(answer.mask))
            summary.add_row(label, expression, *_told(answer), str(file))
        files.write("_overlay.png", png_bytes(overlay(image, np.stack([one.mask for one in answers]), labels=labels)))
    return summary


def _summary(answering: Answering) -> Table:
    summary = folding(
        "", "expression", "of the picture", "confidence", "margin", "because", "mask", title=answering.title
    )
    summary.caption = answering.note or None
    return summary


def _told(answer: Answer) -> tuple[str, ...]:
    """Size, confidence, margin and reason of an answer."""
    share = f"{100 * answer.mask.mean():.1f} %" if answer.found else "nothing"
    sure = "" if answer.confidence is None else f"{answer.confidence:.2f}"
    ahead = "" if answer.margin is None else f"{answer.margin:.2f}"
    of = "" if answer.candidates is None else f", {answer.candidates[0]} of {answer.candidates[1]} candidates"
    return share, sure, ahead, f"{answer.reason}{of}"


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
