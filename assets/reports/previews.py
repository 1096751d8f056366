"""Small pictures of what a stage made, for the UI: at most 30 KB each, from the first images of the data set."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from assets.data.images import Pixels, read_image
from assets.data.stages import REFERENCES
from assets.data.tables import EXPRESSIONS, images_of, scored_referents
from assets.framework.work import Work
from ops.visualisation import overlay, preview_png
from resources.datasets.images import load_image
from storage.masks import Rle

if TYPE_CHECKING:  # the stages that only read data do without both
    from matplotlib.figure import Figure
    from torch import Tensor

SHOWN = 4


class OfReferent(Protocol):
    """A row that belongs to a referent."""

    @property
    def ref_id(self) -> int:
        """The referent."""

    @property
    def mask(self) -> Rle | None:
        """What is shown."""


class OfCandidate(Protocol):
    """A row that belongs to a candidate of an image."""

    @property
    def image_id(self) -> str:
        """The image."""

    @property
    def candidate(self) -> int:
        """Its number."""

    @property
    def mask(self) -> Rle:
        """What is shown."""


F = TypeVar("F", bound=OfReferent)
Shown = Mapping[str, Sequence[tuple[Rle, str]]]
"""Image id -> masks, and a word on each."""


def image_preview(work: Work, files: Sequence[str]) -> bytes | None:
    """The first images as they are read."""
    panels = [(Path(name).stem, load_image(work.dataset.image_path(name))) for name in files[:SHOWN]]
    return preview_png(panels) if panels else None


def candidate_preview(work: Work, rows: Iterable[OfCandidate]) -> bytes | None:
    """Images with all their candidate masks, numbered."""
    shown = _first((row.image_id, row.mask, str(row.candidate)) for row in rows)
    return _preview(work, shown, lambda _: "candidates", numbered=True)


def referent_preview(work: Work, rows: Iterable[F]) -> bytes | None:
    """Images with a mask for each referent, above its first expression."""
    first: dict[int, tuple[str, str]] = {}
    for expression in EXPRESSIONS.rows(work.input(REFERENCES)):
        first.setdefault(expression.ref_id, (expression.image_id, expression.expression))
    named = ((first[row.ref_id], row.mask) for row in rows)
    shown = _first((image_id, mask, expression) for (image_id, expression), mask in named)
    return _preview(work, shown, " | ".join)


def expression_preview(work: Work, masks: Mapping[int, Rle]) -> bytes | None:
    """Images with the mask predicted for one expression; `masks` are by expression."""
    shown: dict[str, list[tuple[Rle, str]]] = {}
    for referent in scored_referents(work):
        sent_id = referent.sent_ids[0]
        if sent_id in masks and len(shown) < SHOWN:
            shown.setdefault(referent.image_id, [(masks[sent_id], referent.expressions[0])])
    return _preview(work, shown, " | ".join)


def response_preview(work: Work, positive: "Callable[[Sequence[int]], Tensor]") -> bytes | None:
    """The first images, brightened where they respond to their first expression."""
    from ops.tris.prms import normalised_map

    images, panels = images_of(work), []
    for referent in scored_referents(work)[:SHOWN]:
        try:
            map_hw = positive(referent.sent_ids[:1])[0]
        except KeyError:  # quarantined
            continue
        pixels = read_image(work, images[referent.image_id])
        strength_HW = normalised_map(map_hw, (pixels.shape[0], pixels.shape[1])).numpy()
        panels.append((referent.expressions[0], _brightened(pixels, strength_HW)))
    return preview_png(panels) if panels else None


def curve_preview(steps: Sequence[int], losses: Sequence[float]) -> bytes:
    """The loss over the optimizer steps, with its running mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.6), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, losses, linewidth=0.5, alpha=0.5)
    window = max(1, len(losses) // 50)
    axes.plot(steps, [float(np.mean(losses[max(0, end - window) : end])) for end in range(1, len(losses) + 1)])
    axes.set(xlabel="optimizer step", ylabel="loss")
    return _png(figure)


def precision_preview(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Precision over recall of all pixels, one line per name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3.2), dpi=80, layout="constrained")
    axes = figure.add_subplot()
    for name, (precision, recall) in curves.items():
        axes.plot(recall, precision, label=name)
    axes.set(xlabel="recall of pixels", ylabel="precision of pixels", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return _png(figure)


def _first(rows: Iterable[tuple[str, Rle | None, str]]) -> Shown:
    """The masks of the first few images that have any."""
    shown: dict[str, list[tuple[Rle, str]]] = {}
    for image_id, mask, word in rows:
        if mask is not None and (image_id in shown or len(shown) < SHOWN):
            shown.setdefault(image_id, []).append((mask, word))
    return shown


def _preview(
    work: Work, shown: Shown, title: Callable[[Sequence[str]], str], *, numbered: bool = False
) -> bytes | None:
    images = images_of(work)
    panels: list[tuple[str, Pixels]] = []
    for image_id, masks in shown.items():
        words = [word for _, word in masks]
        masks_NHW = np.stack([mask.decode() for mask, _ in masks])
        pixels = read_image(work, images[image_id])
        panels.append((title(words), overlay(pixels, masks_NHW, labels=words if numbered else ())))
    return preview_png(panels) if panels else None


def _brightened(pixels: Pixels, strength_HW: np.ndarray) -> Pixels:
    """The image darkened to a quarter where nothing responds."""
    return (pixels * (0.25 + 0.75 * strength_HW[..., None])).astype(np.uint8)


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
