"""Constrained greedy matching of predictions with candidate masks (S+S+C Eq. 3 and Algorithm 1; spec 4.10, 4.11).

Per image: every sentence of an object gets the same mask (constraint 2), no two objects share one (constraint 3), and a
sample may only take a candidate of its object (constraint 1). Candidates are rows of the image's stack of masks: one
candidate that two objects want is one row, and two candidates of different classes are two, even where they are equal.
Scores carry no gradient.

Shapes: B samples of a batch, S samples and J objects of one image, K masks of one image, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ops.training.dataset import Batch
from ops.training.losses import sample_cross_entropy

Rule = Literal["greedy", "reference", "hungarian", "unconstrained", "random"]
"""How masks are given to objects: best first (Eq. 3); best first with the quirks of the authors' code; the assignment
of largest total score; every sample its own best, without constraints 2 and 3; by chance within the constraints."""
Leftovers = Literal["drop", "fallback_best"]
"""What an object without any free candidate learns from: nothing, or its own best candidate, taken or not."""

Scores = npt.NDArray[np.float64]
NONE = -1
"""The candidate of a sample that has none."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What the samples of one image learn from."""

    candidates: list[int]
    """For each sample the row of its mask, or `NONE`."""
    counts: list[int]
    """How often its cross-entropy is added; always 1 or, without a mask, 0, but for the rule "reference"."""


def soft_iou(foreground_SHW: Tensor, masks_KHW: Tensor) -> Tensor:
    """Sum pm / (sum p + sum m - sum pm) of every probability map with every mask, (S, K) float32, no gradient."""
    with torch.no_grad():
        probabilities_SP = foreground_SHW.detach().float().flatten(1)
        masks_KP = masks_KHW.flatten(1).to(probabilities_SP.dtype)
        shared_SK = probabilities_SP @ masks_KP.T
        joined_SK = probabilities_SP.sum(1)[:, None] + masks_KP.sum(1) - shared_SK
        return shared_SK / joined_SK.clamp(min=1e-7)


def match(
    scores_SK: Scores,
    objects: Sequence[int],
    allowed: Sequence[Sequence[int]],
    *,
    rule: Rule = "greedy",
    leftovers: Leftovers = "drop",
    rng: np.random.Generator | None = None,
) -> Matched:
    """Give masks to the samples of one image.

    Args:
        scores_SK: soft IoU, or any other agreement, of every sample with every mask of the image.
        objects: the object of each sample.
        allowed: the rows of masks that each sample may take; the same for all samples of an object.
        rule: see `Rule`.
        leftovers: see `Leftovers`; "reference" always drops.
        rng: source of the rule "random".

    Raises:
        ValueError: the rule is "random" and there is no `rng`, or the arguments differ in length.
    """
    if not len(scores_SK) == len(objects) == len(allowed):
        raise ValueError(f"{len(scores_SK)} rows of scores, {len(objects)} objects and {len(allowed)} lists of rows")
    if rule == "reference":
        return _reference(_masked(scores_SK, allowed), objects, allowed)
    own_SK = _masked(scores_SK, allowed)
    if rule == "unconstrained":
        candidates = [_best(row) for row in own_SK]
    else:
        names, row_of_S = np.unique(np.asarray(objects), return_inverse=True)
        table_JK = np.full((len(names), own_SK.shape[1]), -np.inf)
        np.maximum.at(table_JK, row_of_S, own_SK)
        if rule == "random":
            table_JK = np.where(np.isfinite(table_JK), _random(rng, table_JK.shape), -np.inf)
        given_J = _hungarian(table_JK) if rule == "hungarian" else _greedy(table_JK)
        if leftovers == "fallback_best":
            given_J = [_best(row) if given == NONE else given for given, row in zip(given_J, table_JK, strict=True)]
        candidates = [given_J[row] for row in row_of_S]
    return Matched(candidates=candidates, counts=[int(one != NONE) for one in candidates])


def _masked(scores_SK: Scores, allowed: Sequence[Sequence[int]]) -> Scores:
    own_SK = np.full(scores_SK.shape, -np.inf)
    for sample, rows in enumerate(allowed):
        own_SK[sample, list(rows)] = scores_SK[sample, list(rows)]
    return own_SK


def _best(scores_K: Scores) -> int:
    return int(scores_K.argmax()) if scores_K.size and scores_K.max() > -np.inf else NONE


def _random(rng: np.random.Generator | None, shape: tuple[int, ...]) -> Scores:
    if rng is None:
        raise ValueError('the rule "random" needs a random number generator')
    return rng.random(shape)


def _greedy(table_JK: Scores) -> list[int]:
    """Best pair first; then that object and that mask are out."""
    left_JK = table_JK.copy()
    given = [NONE] * len(left_JK)
    while left_JK.size and left_JK.max() > -np.inf:
        row, column = np.unravel_index(left_JK.argmax(), left_JK.shape)
        given[row] = int(column)
        left_JK[row] = left_JK[:, column] = -np.inf
    return given


def _hungarian(table_JK: Scores) -> list[int]:
    """The assignment of as many objects as possible with the largest sum of scores."""
    given = [NONE] * len(table_JK)
    finite_JK = np.where(np.isfinite(table_JK), table_JK, -1e6)
    for row, column in zip(*linear_sum_assignment(finite_JK, maximize=True), strict=True):
        if np.isfinite(table_JK[row, column]):
            given[row] = int(column)
    return given


def _reference(own_SK: Scores, objects: Sequence[int], allowed: Sequence[Sequence[int]]) -> Matched:
    """The authors' algorithm (spec 4.10, steps 3 to 5).

    A sample with one candidate takes it at once, unconstrained, and is matched and counted again in the loop, which
    runs only if some sample of the image has a choice.
    """
    single = [len(rows) == 1 for rows in allowed]
    candidates = [rows[0] if alone else NONE for rows, alone in zip(allowed, single, strict=True)]
    counts = [int(alone) for alone in single]
    undecided = [sample for sample, alone in enumerate(single) if not alone]
    if not undecided:
        return Matched(candidates=candidates, counts=counts)
    first = objects[undecided[0]]
    pool = sorted(range(len(objects)), key=lambda sample: objects[sample] != first)
    left_SK = own_SK.copy()
    while left_SK.size and left_SK.max() > -np.inf:
        place, column = np.unravel_index(left_SK[pool].argmax(), left_SK.shape)
        chosen = objects[pool[place]]
        for sample, name in enumerate(objects):
            if name == chosen:
                candidates[sample] = int(column)
                counts[sample] += 1
                left_SK[sample] = -np.inf
            else:
                left_SK[sample, column] = -np.inf
    return Matched(candidates=candidates, counts=counts)


@dataclass(frozen=True, kw_only=True)
class MatchingLoss:
    """Weighted cross-entropy of a batch against matched candidates, divided by all its samples, left-overs included.

    Called with logits (B, 2, H, W) and a batch of whole images. The scores of all images leave the device together.
    """

    rule: Rule = "greedy"
    leftovers: Leftovers = "drop"
    rivals: int | None = None
    """At most so many objects of an image compete (paper Figure 5); none: all."""

    def __call__(self, logits_B2HW: Tensor, batch: Batch) -> Tensor:
        """The loss, a scalar."""
        matched = self.match(logits_B2HW, batch)
        taken = [sample for sample, count in enumerate(matched.counts) if count]
        if not taken:
            return logits_B2HW.sum() * 0.0
        images, masks = batch.image_of_B.tolist(), batch.masks
        targets = torch.stack([masks[images[sample]][matched.candidates[sample]] for sample in taken])
        losses = sample_cross_entropy(logits_B2HW[taken] if len(taken) < len(batch) else logits_B2HW, targets)
        counts = torch.tensor([float(matched.counts[sample]) for sample in taken], device=losses.device)
        return (losses * counts).sum() / len(batch)

    def match(self, logits_B2HW: Tensor, batch: Batch) -> Matched:
        """For every sample of the batch the row of the mask in its image's stack."""
        images, objects = batch.image_of_B.tolist(), batch.referent_of_B.tolist()
        masks = batch.masks
        groups = [group for row in range(len(masks)) for group in self._groups(row, images, objects)]
        foreground_BHW = (logits_B2HW[:, 1] - logits_B2HW[:, 0]).detach().float().sigmoid()
        tables = [soft_iou(foreground_BHW[group], masks[images[group[0]]]) for group in groups]
        numbers = torch.cat([table.flatten() for table in tables]).cpu().double().numpy()
        candidates, counts, start = [NONE] * len(batch), [0] * len(batch), 0
        for group, table in zip(groups, tables, strict=True):
            scores_SK = numbers[start : start + table.numel()].reshape(tuple(table.shape))
            start += table.numel()
            found = match(
                scores_SK,
                [objects[at] for at in group],
                [batch.candidates[at] for at in group],
                rule=self.rule,
                leftovers=self.leftovers,
                rng=_rng() if self.rule == "random" else None,
            )
            for at, candidate, count in zip(group, found.candidates, found.counts, strict=True):
                candidates[at], counts[at] = candidate, count
        return Matched(candidates=candidates, counts=counts)

    def _groups(self, row: int, images: Sequence[int], objects: Sequence[int]) -> list[list[int]]:
        """The samples of an image, those together whose objects compete."""
        mine = [at for at, image in enumerate(images) if image == row]
        names = list(dict.fromkeys(objects[at] for at in mine))
        step = self.rivals or max(len(names), 1)
        teams = [set(names[start : start + step]) for start in range(0, len(names), step)]
        return [[at for at in mine if objects[at] in team] for team in teams]


def _rng() -> np.random.Generator:
    """Numbers that follow torch's seed, which the training loop sets anew at every step."""
    return np.random.default_rng(int(torch.randint(2**31, ()).item()))
