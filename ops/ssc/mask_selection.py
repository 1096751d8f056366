"""Choose the referred instance among candidate masks: the decision rule, the baselines.

S+S+C stage 2 (spec section 3). `FIXED` behaviour is the default; `COMPAT` reproduces the authors' code. CLIP itself is
not here: scores come in as numbers.
Shapes: N candidates, S expressions of one referent, D embedding width, H x W pixels.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ops.ssc.visual_prompts import Masks

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


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One decision: which candidate stands for the referent, and why."""

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


def mean_similarity(texts_SD: Tensor, images_ND: Tensor) -> list[float]:
    """Score of each prompted image: the mean over the referent's expressions of 100 * cosine (spec 3.2).

    Pass one expression for a decision by it alone (paper Eq. 1). Equal images get exactly equal scores.
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
    """Pick the candidate that CLIP finds most like the referent's expressions (spec 3.2).

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
