"""One picture of the way from an expression to a mask, for people who have not seen it yet.

Reads ground truth, to show a referent that was chosen rightly. Shapes: H x W pixels of an image.
"""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from assets.data.images import Pixels
from assets.data.stages import GROUND_TRUTH, REFERENCES
from assets.data.tables import ImageRow, Referent, ground_truth_of, images_in, referents_in
from assets.reports.figures import masked
from assets.reports.text import visible
from assets.segmenters.tables import PREDICTIONS
from assets.ssc.stages import CANDIDATE_MASKS, MASK_CHOICES, NOUN_PHRASES, SEGMENTERS, ZS_BOOTSTRAP
from assets.ssc.tables import CandidateRow, ChoiceRow, candidates_of, choices_of, nouns_of
from ops.visualisation import Panel, overlay
from storage.artifact import Artifact
from storage.masks import Rle

NEEDED = (REFERENCES, GROUND_TRUTH, NOUN_PHRASES, CANDIDATE_MASKS, MASK_CHOICES)
"""Stages whose artifacts are read."""
PREDICTED = next(model.predictions for model in SEGMENTERS if model.trained is ZS_BOOTSTRAP)
"""Read, too, where it was made."""
WIDTH = 1200
"""Of the picture, pixels; a page shows it at three quarters of that."""
WRITING = 150
"""Height of the titles and of three lines below, pixels."""
LETTERS = 100
"""That fit into a line as wide as the picture."""
COLOURS = 256
"""Of its palette."""
CANDIDATES = range(3, 6)
"""How many candidates tell what a choice is, and can still be told apart."""
WORDS = range(4, 8)
"""Length of an expression that does more than name a class."""
RIGHT = 0.85
"""IoU with the ground truth from which on people see no fault."""
SMALLEST = 0.01
"""Share of the image that every candidate covers."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A referent by one of its expressions, and what became of it."""

    image: ImageRow
    expression: str
    nouns: list[str]
    candidates: list[CandidateRow]
    choice: ChoiceRow
    predicted: Rle | None
    """Of the trained segmenter; None: there is none yet."""
    worst_iou: float
    """With the ground truth: of the choice, or of the prediction where that is worse."""
    worst_candidate: float
    """IoU of the candidate that fits no annotated object well with the object that it fits best."""


def clearest_example(artifacts: Mapping[str, Artifact], splits: Sequence[str]) -> Example | None:
    """The referent with the richest expression, of those that show what a choice is and whose masks are right.

    Those whose other candidates are right, too, come first.

    Args:
        artifacts: stage name -> artifact, of `NEEDED`, and of `PREDICTED` if it was made.
        splits: scored ones.

    Returns:
        None if there is no such referent.
    """
    right = [example for example in _examples(artifacts, splits) if example.worst_iou >= RIGHT]
    return max(right, key=_clearness, default=None)


def _clearness(example: Example) -> tuple[bool, int, float]:
    return example.worst_candidate >= RIGHT, len(example.expression.split()), example.worst_iou


def _examples(artifacts: Mapping[str, Artifact], splits: Sequence[str]) -> Iterator[Example]:
    references, nouns = artifacts[REFERENCES.name], nouns_of(artifacts[NOUN_PHRASES.name])
    images, truths = images_in(references), ground_truth_of(artifacts[GROUND_TRUTH.name])
    candidates = candidates_of(artifacts[CANDIDATE_MASKS.name])
    choices = choices_of(artifacts[MASK_CHOICES.name])
    trained = artifacts.get(PREDICTED.name)
    predicted = {row.sent_id: row.mask for row in PREDICTIONS.rows(trained)} if trained else {}
    annotated: dict[str, list[Rle]] = {}
    for row in truths.values():
        annotated.setdefault(row.image_id, []).append(row.mask)
    for referent in referents_in(references, splits=splits):
        choice, truth = choices[referent.ref_id], truths.get(referent.object_id)
        offered = [row for row in candidates.get(referent.image_id, []) if row.candidate in choice.candidates]
        if truth is None or choice.mask is None or not _telling(referent, offered):
            continue
        sent_id, expression = _telling_expression(referent)
        masks = [choice.mask, *([predicted[sent_id]] if sent_id in predicted else [])]
        yield Example(
            image=images[referent.image_id],
            expression=expression,
            nouns=nouns.get(expression, []),
            candidates=offered,
            choice=choice,
            predicted=predicted.get(sent_id),
            worst_iou=min(mask.iou(truth.mask) for mask in masks),
            worst_candidate=min(max(row.mask.iou(one) for one in annotated[referent.image_id]) for row in offered),
        )


def _telling(referent: Referent, offered: Sequence[CandidateRow]) -> bool:
    """Whether there is a choice that people can follow."""
    large = all(row.area >= SMALLEST * row.height * row.width for row in offered)
    return len(offered) in CANDIDATES and large and any(len(text.split()) in WORDS for text in referent.expressions)


def _telling_expression(referent: Referent) -> tuple[int, str]:
    """The first expression that is neither a bare class nor a long tale, and its number."""
    pairs = zip(referent.sent_ids, referent.expressions, strict=True)
    return next((sent_id, text) for sent_id, text in pairs if len(text.split()) in WORDS)


def draw(example: Example, pixels: Pixels) -> bytes:
    """The picture as PNG: image, candidates, choice and prediction side by side, each over a line that explains it."""
    panels = panels_of(example, pixels)
    height = round(WIDTH / len(panels) * pixels.shape[0] / pixels.shape[1]) + WRITING
    engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.02)
    figure = Figure(figsize=(WIDTH / 100, height / 100), dpi=100, facecolor="white", layout=engine)
    for axes, ((title, picture), line) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        axes.imshow(picture, interpolation="lanczos")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(title, fontsize=16, fontweight="bold", loc="left", parse_math=False)
        written = "\n".join(textwrap.wrap(visible(line), LETTERS // len(panels)))
        axes.set_xlabel(written, fontsize=16, loc="left", linespacing=1.3, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.05)
    return _compressed(Image.open(buffer))


def _compressed(picture: Image.Image) -> bytes:
    """As PNG with a palette, whose colours photographs and rendered textures hardly miss."""
    buffer = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def panels_of(example: Example, pixels: Pixels) -> list[tuple[Panel, str]]:
    """Title, picture and explanation of each panel."""
    masks_NHW = np.stack([row.mask.decode() for row in example.candidates])
    labels = {row.candidate: str(number) for number, row in enumerate(example.candidates, 1)}
    noun = ", ".join(example.nouns)
    panels: list[tuple[Panel, str]] = [
        (("image and expression", pixels), f"“{example.expression}”"),
        (
            ("S1: candidate masks", overlay(pixels, masks_NHW, labels=list(labels.values()))),
            f"what a detector finds for “{noun}”, segmented box by box",
        ),
        (("S2: the choice", masked(pixels, example.choice.mask)), _explained(example.choice, labels)),
    ]
    if example.predicted:
        line = "the mask of a segmenter that was trained on such choices alone"
        panels.append((("trained segmenter", masked(pixels, example.predicted)), line))
    return panels


def _explained(choice: ChoiceRow, labels: Mapping[int, str]) -> str:
    """Why a candidate was chosen."""
    scores = dict(zip(choice.candidates, choice.scores, strict=True))
    ranked = sorted((score, labels[name]) for name, score in scores.items() if score is not None)[::-1]
    told = ", ".join(f"{label}: {score:.1f}" for score, label in ranked)
    return f"CLIP finds it most similar to the expressions ({told})"
