"""Choose the referred instance among candidate masks: visual prompts for CLIP, the decision rule, the baselines.

S+S+C stage 2 (spec section 3). `fixed` behaviour is the default; `compat` reproduces the authors' code, which shows
CLIP pictures with red and blue exchanged. CLIP itself is not here: scores come in as numbers.
Shapes: N candidates, S sentences of one object, D embedding width, H x W pixels.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ops.images import BlurMode, gaussian_blur
from ops.ssc.strokes import ellipse_ring, rectangle_ring

Colours = Literal["rgb", "compat_swapped"]
Masks = Tensor | NDArray[np.bool_]
Reason = Literal[
    "no candidate",
    "single",
    "only large one",
    "clip",
    "small fallback",
    "all too small",
    "matched",
    "random",
    "first",
    "oracle",
]
Similarity = Callable[[tuple[int, ...]], Sequence[float]]

MARGIN = 4
"""Pixels between a mask's box and the mark around it (spec 3.5)."""

RED = (255, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision: which candidate stands for the object, and why."""

    index: int
    """Index into the candidates, -1 for none."""

    scores_N: tuple[float, ...]
    """Score of every candidate; NaN where none was needed."""

    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How candidates and their scores become one choice (spec 3.2; section 7, rows 8 and 9)."""

    min_area: float = 500.0
    """Smaller candidates are set aside: pixels of the original image, or a share of its area when below 1."""

    ties: Literal["first", "last"] = "first"

    when_all_small: Literal["best", "none"] = "best"
    """Choose among the small ones after all, or choose nothing."""


FIXED = Rule()
COMPAT = Rule(ties="last", when_all_small="none")


def reverse_blur(
    image_3HW: Tensor, masks_NHW: Masks, *, sigma: float = 50.0, mode: BlurMode = "fast", colours: Colours = "rgb"
) -> Tensor:
    """Keep each candidate sharp and blur everything else (spec 3.3).

    Args:
        image_3HW: uint8 RGB at the image's own resolution.
        masks_NHW: candidates at the same resolution.
        sigma: of the blur, in pixels of this image.
        mode: see `gaussian_blur`.
        colours: "compat_swapped" returns blue, green, red: what the authors' code lets CLIP see.

    Returns:
        (N, 3, H, W) uint8.
    """
    masks_NHW = _aligned(masks_NHW, image_3HW)
    blurred_3HW = gaussian_blur(image_3HW, sigma=sigma, mode=mode)  # once per image, not once per mask
    return _ordered(torch.where(masks_NHW[:, None], image_3HW, blurred_3HW), colours)


def red_ellipse(image_3HW: Tensor, masks_NHW: Masks, *, colours: Colours = "rgb") -> Tensor:
    """Draw a red ellipse, 4 pixels thick, around each candidate (spec 3.5); (N, 3, H, W) uint8.

    The semi-axes are those of the box plus a margin of 4 pixels. "compat_swapped" adds the margin twice, truncates
    centre and axes to whole pixels, and exchanges red and blue, the mark's included: CLIP sees a blue ellipse.
    """
    compat = colours == "compat_swapped"

    def ring(box: tuple[int, int, int, int], height: int, width: int) -> NDArray[np.bool_]:
        x0, y0, x1, y1 = box
        centre = ((x0 + x1) / 2, (y0 + y1) / 2)
        axes = ((x1 - x0) / 2 + MARGIN, (y1 - y0) / 2 + MARGIN)
        if compat:
            centre = (math.trunc(centre[0]), math.trunc(centre[1]))
            axes = (math.trunc(axes[0] + MARGIN), math.trunc(axes[1] + MARGIN))
        return ellipse_ring(centre, axes, height=height, width=width)

    return _marked(image_3HW, masks_NHW, ring, colours)


def red_rectangle(image_3HW: Tensor, masks_NHW: Masks, *, colours: Colours = "rgb") -> Tensor:
    """Draw each candidate's box, 4 pixels away and 4 pixels thick, in red (spec 3.5); (N, 3, H, W) uint8."""

    def ring(box: tuple[int, int, int, int], height: int, width: int) -> NDArray[np.bool_]:
        x0, y0, x1, y1 = box
        corners = ((x0 - MARGIN, y0 - MARGIN), (x1 + MARGIN, y1 + MARGIN))
        return rectangle_ring(*corners, height=height, width=width)

    return _marked(image_3HW, masks_NHW, ring, colours)


def _marked(
    image_3HW: Tensor,
    masks_NHW: Masks,
    ring: Callable[[tuple[int, int, int, int], int, int], NDArray[np.bool_]],
    colours: Colours,
) -> Tensor:
    """Copies of the picture with a ring of red; an empty mask leaves its copy unmarked."""
    masks_NHW = _aligned(masks_NHW, image_3HW)
    height, width = image_3HW.shape[1:]
    pictures_N3HW = _ordered(image_3HW[None], colours).repeat(len(masks_NHW), 1, 1, 1)
    # The authors' red is (0, 0, 255) on a blue-green-red array, which CLIP takes for red-green-blue: blue.
    mark_3 = torch.tensor(RED if colours == "rgb" else RED[::-1], dtype=torch.uint8, device=image_3HW.device)
    for picture_3HW, mask_HW in zip(pictures_N3HW, masks_NHW, strict=True):
        box = mask_box(mask_HW)
        if box is not None:
            ring_HW = torch.from_numpy(ring(box, height, width)).to(image_3HW.device)
            picture_3HW[:, ring_HW] = mark_3[:, None]
    return pictures_N3HW


def mask_box(mask_HW: Tensor) -> tuple[int, int, int, int] | None:
    """First and last column and row of a mask (H, W) as x0, y0, x1, y1, all inclusive; None if it is empty."""
    rows, columns = mask_HW.any(1).nonzero().flatten().tolist(), mask_HW.any(0).nonzero().flatten().tolist()
    return (columns[0], rows[0], columns[-1], rows[-1]) if rows else None


def _aligned(masks_NHW: Masks, image_3HW: Tensor) -> Tensor:
    masks = torch.as_tensor(masks_NHW, device=image_3HW.device).bool()
    if masks.ndim != 3 or masks.shape[1:] != image_3HW.shape[1:]:
        raise ValueError(
            f"masks {tuple(masks.shape)} do not lie on the picture {tuple(image_3HW.shape)}: "
            "pass (N, H, W) masks at the picture's own resolution"
        )
    return masks


def _ordered(pictures_N3HW: Tensor, colours: Colours) -> Tensor:
    return pictures_N3HW.flip(1) if colours == "compat_swapped" else pictures_N3HW


def mean_similarity(texts_SD: Tensor, images_ND: Tensor) -> list[float]:
    """Score of each prompted picture: the mean over the object's sentences of 100 * cosine (spec 3.2).

    Pass one sentence for a decision per expression (paper Eq. 1). Equal pictures get exactly equal scores.
    """
    texts_SD = torch.nn.functional.normalize(texts_SD.double(), dim=-1)
    images_ND = torch.nn.functional.normalize(images_ND.double(), dim=-1)
    return [100 * float((image_D * texts_SD).sum(-1).mean()) for image_D in images_ND]


def to_score(areas_N: Sequence[int], *, rule: Rule = FIXED, image_area: int | None = None) -> tuple[int, ...]:
    """Indices of the candidates whose scores the rule needs; empty where the choice needs no CLIP."""
    if len(areas_N) < 2:
        return ()
    least = _least_area(rule, image_area)
    large = tuple(index for index, area in enumerate(areas_N) if area >= least)
    if not large and rule.when_all_small == "best":
        return tuple(range(len(areas_N)))
    return large if len(large) > 1 else ()


def choose(
    areas_N: Sequence[int],
    similarity: Sequence[float] | Similarity,
    *,
    rule: Rule = FIXED,
    image_area: int | None = None,
) -> Choice:
    """Pick the candidate that CLIP finds most like the object's sentences (spec 3.2).

    A single candidate needs no CLIP. Candidates under `rule.min_area` are set aside; if all are, `rule.when_all_small`
    decides.

    Args:
        areas_N: pixels of each candidate.
        similarity: one score per candidate, or a function from the indices that need one (see `to_score`) to scores.
        rule: `FIXED`, `COMPAT` or another.
        image_area: H * W, needed when `rule.min_area` is a share.

    Raises:
        ValueError: if a needed score is missing or not finite, or `image_area` is.
    """
    count = len(areas_N)
    asked = to_score(areas_N, rule=rule, image_area=image_area)
    if asked:
        scores_N = _scores(similarity, asked, count)
        least = _least_area(rule, image_area)
        reason: Reason = "clip" if areas_N[asked[0]] >= least else "small fallback"
        return Choice(index=_best(scores_N, asked, rule.ties), scores_N=scores_N, reason=reason)
    unscored = (math.nan,) * count
    if count == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    if count == 1:
        return Choice(index=0, scores_N=unscored, reason="single")
    large = [index for index, area in enumerate(areas_N) if area >= _least_area(rule, image_area)]
    if large:
        return Choice(index=large[0], scores_N=unscored, reason="only large one")
    return Choice(index=-1, scores_N=unscored, reason="all too small")


def _least_area(rule: Rule, image_area: int | None) -> float:
    if rule.min_area >= 1 or rule.min_area == 0:
        return rule.min_area
    if image_area is None:
        raise ValueError(f"min_area {rule.min_area} is a share of the image: pass image_area=height * width")
    return rule.min_area * image_area


def _scores(similarity: Sequence[float] | Similarity, asked: tuple[int, ...], count: int) -> tuple[float, ...]:
    if callable(similarity):
        given = dict(zip(asked, similarity(asked), strict=True))
    else:
        given = dict(zip(range(count), similarity, strict=True))
    scores_N = tuple(float(given.get(index, math.nan)) for index in range(count))
    if not all(math.isfinite(scores_N[index]) for index in asked):
        raise ValueError(f"scores {scores_N} are not all finite where needed, at {asked}: check the embeddings")
    return scores_N


def _best(scores_N: Sequence[float], among: Sequence[int], ties: Literal["first", "last"]) -> int:
    order = among if ties == "first" else among[::-1]
    return max(order, key=lambda index: scores_N[index])


def random_choice(count: int, *, object_id: str | int, seed: int = 0) -> Choice:
    """Random baseline: uniform among the candidates, a pure function of seed and object (spec 3.6)."""
    if count == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    digest = hashlib.sha256(f"{seed}/{object_id}".encode()).digest()
    index = int(np.random.default_rng(int.from_bytes(digest)).integers(count))
    return Choice(index=index, scores_N=(math.nan,) * count, reason="random")


def first_choice(count: int) -> Choice:
    """First baseline: the first candidate (spec 3.6)."""
    if count == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    return Choice(index=0, scores_N=(math.nan,) * count, reason="first")


def oracle_choice(masks_NHW: Masks, truth_HW: Masks) -> Choice:
    """Upper bound: the candidate with the highest IoU with the ground truth, the first of equals (spec 3.6).

    Its scores are the IoUs. For evaluation only: it looks at the ground truth.
    """
    masks_NHW, truth_HW = torch.as_tensor(masks_NHW).bool(), torch.as_tensor(truth_HW).bool()
    if masks_NHW.shape[1:] != truth_HW.shape:
        raise ValueError(f"candidates {tuple(masks_NHW.shape)} and ground truth {tuple(truth_HW.shape)} differ in size")
    if len(masks_NHW) == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    shared_N = (masks_NHW & truth_HW).sum((1, 2)).tolist()
    joined_N = (masks_NHW | truth_HW).sum((1, 2)).tolist()
    ious_N = tuple(shared / joined if joined else 0.0 for shared, joined in zip(shared_N, joined_N, strict=True))
    return Choice(index=_best(ious_N, range(len(ious_N)), "first"), scores_N=ious_N, reason="oracle")
