"""Mask selection: choose a referent's mask among its candidates by CLIP similarity, and the baselines of the choice.

S+S+C stage 2 (spec 3). `FIXED` is the default rule; `COMPAT` reproduces the authors' code. CLIP itself is not here:
similarities are arguments (see `similarity`), so that what only reads choices does without torch.
Shapes: N candidates, S expressions of one referent, H x W pixels.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Reason = Literal[
    "no candidate",
    "single",
    "only large one",
    "clip",
    "small fallback",
    "all too small",
    "matched",
    "absent",
    "random",
    "first",
    "oracle",
    "teacher",
    "no mask of the teacher",
    "unlike the teacher's",
]
Similarity = Callable[[tuple[int, ...]], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The candidate chosen for a referent, and why."""

    index: int
    """Index into the candidates, -1 for none."""

    scores_N: tuple[float, ...]
    """Score of every candidate; NaN for those that were not scored."""

    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Decision rule of the mask choice (spec 3.2; section 7, rows 8 and 9)."""

    min_area: float = 500.0
    """Smaller candidates are excluded: pixels of the original image, or a share of its area when below 1."""

    ties: Literal["first", "last"] = "first"

    when_all_small: Literal["best", "none"] = "best"
    """If all candidates are smaller, choose among all of them, or choose none."""


FIXED = Rule()
COMPAT = Rule(ties="last", when_all_small="none")


def indices_to_score(areas_N: Sequence[int], *, rule: Rule = FIXED, image_area: int | None = None) -> tuple[int, ...]:
    """Indices of the candidates whose scores the rule needs; empty where the choice needs no scores."""
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
    """Choose the candidate of highest CLIP similarity to the referent's expressions (spec 3.2).

    A single candidate is chosen without scores. Candidates under `rule.min_area` are excluded; if all are,
    `rule.when_all_small` applies.

    Args:
        areas_N: pixels of each candidate.
        similarity: one score per candidate, or a function from the indices that need one (see `indices_to_score`) to
            their scores.
        rule: `FIXED`, `COMPAT` or another.
        image_area: H * W, needed when `rule.min_area` is a share.

    Raises:
        ValueError: if a needed score is missing or not finite, or `image_area` is.
    """
    count = len(areas_N)
    scored = indices_to_score(areas_N, rule=rule, image_area=image_area)
    if scored:
        scores_N = _scores(similarity, scored, count)
        least = _least_area(rule, image_area)
        reason: Reason = "clip" if areas_N[scored[0]] >= least else "small fallback"
        return Choice(index=_best(scores_N, scored, rule.ties), scores_N=scores_N, reason=reason)
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
    """`rule.min_area` in pixels."""
    if rule.min_area >= 1 or rule.min_area == 0:
        return rule.min_area
    if image_area is None:
        raise ValueError(f"min_area {rule.min_area} is a share of the image: pass image_area=height * width")
    return rule.min_area * image_area


def _scores(similarity: Sequence[float] | Similarity, scored: tuple[int, ...], count: int) -> tuple[float, ...]:
    """(N,) scores, NaN for candidates without one; those at `scored` must be finite."""
    if callable(similarity):
        score_of = dict(zip(scored, similarity(scored), strict=True))
    else:
        score_of = dict(zip(range(count), similarity, strict=True))
    scores_N = tuple(float(score_of.get(index, math.nan)) for index in range(count))
    if not all(math.isfinite(scores_N[index]) for index in scored):
        raise ValueError(f"scores {scores_N} are not all finite where needed, at {scored}: check the embeddings")
    return scores_N


def _best(scores_N: Sequence[float], indices: Sequence[int], ties: Literal["first", "last"]) -> int:
    order = indices if ties == "first" else indices[::-1]
    return max(order, key=lambda index: scores_N[index])


def unless_absent(choice: Choice, score: Similarity, similarity: Similarity, *, threshold: float) -> Choice:
    """The choice with its score, or none where it is less similar than a threshold: the object is not in the image.

    Args:
        choice: what was chosen.
        score: as for `choose`; asked for the chosen candidate where it has no score.
        similarity: 100 * cosine of candidates, without what else their scores hold.
        threshold: of the similarity.
    """
    index = choice.index
    if index < 0:
        return choice
    if not math.isfinite(choice.scores_N[index]):
        (own,) = score((index,))
        choice = replace(choice, scores_N=(*choice.scores_N[:index], float(own), *choice.scores_N[index + 1 :]))
    (alike,) = similarity((index,))
    return choice if alike >= threshold else replace(choice, index=-1, reason="absent")


def confidence_of(scores: Mapping[int, float], taken: Collection[int]) -> float | None:
    """Share of the taken candidates in the softmax over all scores (100 * cosine, CLIP's own scale), from 0 to 1.

    None where fewer than two candidates have a score, or none is taken: there was nothing to be sure about.
    """
    if len(scores) < 2 or not scores.keys() & set(taken):
        return None
    best = max(scores.values())
    weights = {name: math.exp(score - best) for name, score in scores.items()}
    return sum(weights[name] for name in taken if name in weights) / sum(weights.values())


def margin_of(scores: Mapping[int, float], taken: Collection[int]) -> float | None:
    """The lowest score of a taken candidate minus the highest of the others: best minus second best.

    It is negative where competition gave a referent less than its best. None where there is no other score.
    """
    mine = [score for name, score in scores.items() if name in taken]
    others = [score for name, score in scores.items() if name not in taken]
    return min(mine) - max(others) if mine and others else None


def random_choice(count: int, *, referent_id: str | int, seed: int = 0) -> Choice:
    """Random baseline: uniform among the candidates, a pure function of seed and referent (spec 3.6)."""
    if count == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    digest = hashlib.sha256(f"{seed}/{referent_id}".encode()).digest()
    index = int(np.random.default_rng(int.from_bytes(digest)).integers(count))
    return Choice(index=index, scores_N=(math.nan,) * count, reason="random")


def first_choice(count: int) -> Choice:
    """First baseline: the first candidate (spec 3.6)."""
    if count == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    return Choice(index=0, scores_N=(math.nan,) * count, reason="first")


def teacher_choice(ious_SN: NDArray[np.float64], scores_S: Sequence[float | None], *, least_iou: float = 0.5) -> Choice:
    """The candidate that a teacher means by its masks for a referent's expressions, which may disagree.

    Every expression's mask votes for the candidates by its IoU with them. The votes are averaged, weighted by the
    teacher's scores where every mask has one above 0, and the highest average wins, the first candidate on a tie: so
    two expressions that agree outvote a third, and of two that disagree the surer one counts.

    Args:
        ious_SN: of the teacher's mask for each expression that has one with each candidate; S may be 0.
        scores_S: the teacher's own, from 0 to 1.
        least_iou: a candidate that no mask overlaps so far is not taken.

    Returns:
        The choice; its scores are 100 times the averages.
    """
    count = ious_SN.shape[1]
    if count == 0:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    if not len(ious_SN):
        return Choice(index=-1, scores_N=(math.nan,) * count, reason="no mask of the teacher")
    weights = [score for score in scores_S if score]
    weights_S = np.array(weights if len(weights) == len(ious_SN) else [1.0] * len(ious_SN))
    scores_N = tuple((100 * weights_S @ ious_SN / weights_S.sum()).tolist())
    like = np.flatnonzero(ious_SN.max(0) >= least_iou).tolist()
    if not like:
        return Choice(index=-1, scores_N=scores_N, reason="unlike the teacher's")
    return Choice(index=_best(scores_N, like, "first"), scores_N=scores_N, reason="teacher")


def oracle_choice(pixels_N: Sequence[tuple[int, int]]) -> Choice:
    """Oracle choice: the candidate with the highest IoU with the ground-truth mask, the first on a tie (spec 3.6).

    The upper bound of every choice, for evaluation only. Its scores are the IoUs.

    Args:
        pixels_N: of intersection and union of each candidate with the ground truth.
    """
    if not pixels_N:
        return Choice(index=-1, scores_N=(), reason="no candidate")
    ious_N = tuple(intersection / union if union else 0.0 for intersection, union in pixels_N)
    return Choice(index=_best(ious_N, range(len(ious_N)), "first"), scores_N=ious_N, reason="oracle")
