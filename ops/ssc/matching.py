"""Constrained greedy matching of predictions with candidate masks (S+S+C Eq. 3 and Algorithm 1; spec 4.10, 4.11).

Per image: every expression of a referent gets the same mask (constraint 2), no two referents share one (constraint 3),
and a sample may only get a candidate of its referent (constraint 1). Candidates are rows of the image's stack of masks:
a candidate of two referents is one row, and two candidates of different classes are two, even where they are equal.
Scores carry no gradient.

Beyond the paper a referent's score may be the mean over its samples, and what the choice thought of a candidate may
be added to its score, less and less as training goes on.
Shapes: B samples of a batch, S samples and J referents of one image, K masks of one image, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ops.ssc.pixel_sums import pixel_sums, weighted_loss
from ops.training.dataset import Batch
from ops.training.losses import sample_cross_entropy

Rule = Literal["greedy", "reference", "hungarian", "unconstrained", "random"]
"""How masks are assigned to referents: greedily (Eq. 3); greedily with the quirks of the authors' code; the assignment
of largest total score; every sample its best, without constraints 2 and 3; at random within the constraints."""
Leftovers = Literal["drop", "fallback_best"]
"""Mask of a referent without any free candidate: none, or its best candidate, assigned to another one or not."""
Agreement = Literal["best", "mean"]
"""The score of a referent with a mask: that of its best sample (Algorithm 1), or the mean over its samples."""

Scores = npt.NDArray[np.float64]
NONE = -1
"""The candidate of a sample that has none."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Masks assigned to the samples of one image."""

    candidates: list[int]
    """For each sample the row of its mask, or `NONE`."""
    counts: list[int]
    """How often its cross-entropy counts in the loss: 1, or 0 without a mask; "reference" may count it more often."""


def soft_iou(foreground_SHW: Tensor, masks_KHW: Tensor) -> Tensor:
    """Soft IoU (S, K) of probability maps with masks: sum pm / (sum p + sum m - sum pm); float32, no gradient."""
    with torch.no_grad():
        probabilities_SP = foreground_SHW.detach().float().flatten(1)
        masks_KP = masks_KHW.flatten(1).to(probabilities_SP.dtype)
        intersection_SK = probabilities_SP @ masks_KP.T
        union_SK = probabilities_SP.sum(1)[:, None] + masks_KP.sum(1) - intersection_SK
        return intersection_SK / union_SK.clamp(min=1e-7)


def match(
    scores_SK: Scores,
    referents: Sequence[int],
    allowed: Sequence[Sequence[int]],
    *,
    rule: Rule = "greedy",
    leftovers: Leftovers = "drop",
    agreement: Agreement = "best",
    rng: np.random.Generator | None = None,
) -> Matched:
    """Assign masks to the samples of one image.

    Args:
        scores_SK: soft IoU, or any other score, of every sample with every mask of the image.
        referents: the referent of each sample.
        allowed: the rows of masks that are candidates of each sample; the same for all samples of a referent.
        rule: see `Rule`.
        leftovers: see `Leftovers`; "reference" always drops.
        agreement: see `Agreement`; "reference" and "unconstrained" have no scores of referents.
        rng: source of the rule "random".

    Raises:
        ValueError: the rule is "random" and there is no `rng`, or the arguments differ in length.
    """
    if not len(scores_SK) == len(referents) == len(allowed):
        raise ValueError(
            f"{len(scores_SK)} rows of scores, {len(referents)} referents and {len(allowed)} lists of rows"
        )
    allowed_SK = _masked(scores_SK, allowed)
    if rule == "reference":
        return _reference(allowed_SK, referents, allowed)
    if rule == "unconstrained":
        candidates = [_best(row) for row in allowed_SK]
    else:
        table_JK, row_of_S = _of_referents(allowed_SK, referents, agreement)
        if rule == "random":
            table_JK = np.where(np.isfinite(table_JK), _random(rng, table_JK.shape), -np.inf)
        matched_J = _hungarian(table_JK) if rule == "hungarian" else _greedy(table_JK)
        if leftovers == "fallback_best":
            matched_J = [_best(row) if mask == NONE else mask for mask, row in zip(matched_J, table_JK, strict=True)]
        candidates = [matched_J[row] for row in row_of_S]
    return Matched(candidates=candidates, counts=[int(candidate != NONE) for candidate in candidates])


def _masked(scores_SK: Scores, allowed: Sequence[Sequence[int]]) -> Scores:
    """Scores (S, K) of allowed pairs; -inf elsewhere."""
    allowed_SK = np.full(scores_SK.shape, -np.inf)
    for sample, rows in enumerate(allowed):
        allowed_SK[sample, list(rows)] = scores_SK[sample, list(rows)]
    return allowed_SK


def _of_referents(
    allowed_SK: Scores, referents: Sequence[int], agreement: Agreement
) -> tuple[Scores, npt.NDArray[np.intp]]:
    """Scores (J, K) of the referents in the order of their numbers, and the row of each sample's."""
    unique, row_of_S = np.unique(np.asarray(referents), return_inverse=True)
    shape = (len(unique), allowed_SK.shape[1])
    if agreement == "mean":
        table_JK = np.zeros(shape)
        np.add.at(table_JK, row_of_S, allowed_SK)
        return table_JK / np.bincount(row_of_S, minlength=len(unique))[:, None], row_of_S
    table_JK = np.full(shape, -np.inf)
    np.maximum.at(table_JK, row_of_S, allowed_SK)
    return table_JK, row_of_S


def _best(scores_K: Scores) -> int:
    """Row of the mask with the highest finite score, or `NONE`."""
    return int(scores_K.argmax()) if scores_K.size and scores_K.max() > -np.inf else NONE


def _random(rng: np.random.Generator | None, shape: tuple[int, ...]) -> Scores:
    if rng is None:
        raise ValueError('the rule "random" needs a random number generator')
    return rng.random(shape)


def _greedy(table_JK: Scores) -> list[int]:
    """Greedy matching: the pair of highest score first, then without its referent and its mask; a mask per referent."""
    free_JK = table_JK.copy()
    matched = [NONE] * len(free_JK)
    while free_JK.size and free_JK.max() > -np.inf:
        row, column = np.unravel_index(free_JK.argmax(), free_JK.shape)
        matched[row] = int(column)
        free_JK[row] = free_JK[:, column] = -np.inf
    return matched


def _hungarian(table_JK: Scores) -> list[int]:
    """Optimal assignment: as many referents as possible, then the largest sum of scores; a mask per referent."""
    matched = [NONE] * len(table_JK)
    finite_JK = np.where(np.isfinite(table_JK), table_JK, -1e6)
    for row, column in zip(*linear_sum_assignment(finite_JK, maximize=True), strict=True):
        if np.isfinite(table_JK[row, column]):
            matched[row] = int(column)
    return matched


def _reference(allowed_SK: Scores, referents: Sequence[int], allowed: Sequence[Sequence[int]]) -> Matched:
    """The authors' algorithm (spec 4.10, steps 3 to 5).

    A sample with one candidate gets it first, unconstrained, and is matched and counted again in the loop, which runs
    only if some sample of the image has not exactly one candidate.
    """
    single = [len(rows) == 1 for rows in allowed]
    candidates = [rows[0] if is_single else NONE for rows, is_single in zip(allowed, single, strict=True)]
    counts = [int(is_single) for is_single in single]
    undecided = [sample for sample, is_single in enumerate(single) if not is_single]
    if not undecided:
        return Matched(candidates=candidates, counts=counts)
    first = referents[undecided[0]]
    order = sorted(range(len(referents)), key=lambda sample: referents[sample] != first)
    free_SK = allowed_SK.copy()
    while free_SK.size and free_SK.max() > -np.inf:
        row, column = np.unravel_index(free_SK[order].argmax(), free_SK.shape)
        matched = referents[order[row]]
        for sample, referent in enumerate(referents):
            if referent == matched:
                candidates[sample] = int(column)
                counts[sample] += 1
                free_SK[sample] = -np.inf
            else:
                free_SK[sample, column] = -np.inf
    return Matched(candidates=candidates, counts=counts)


@dataclass(frozen=True, kw_only=True)
class MatchingLoss:
    """Weighted cross-entropy against matched candidates, averaged over all samples, those without one included.

    Called with logits (B, 2, H, W) and a batch of whole images. Scores of all images are copied to the CPU together.
    """

    rule: Rule = "greedy"
    leftovers: Leftovers = "drop"
    rivals: int | None = None
    """At most so many referents of an image compete; None: all, as in the paper."""
    agreement: Agreement = "best"
    prior: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    """Referent, by its row in the data set -> mask of its image, by its row -> probability by the choice."""
    prior_weight: float = 0.0
    """What a probability of 1 adds to a soft IoU."""
    one_pass_from: int = 256 * 256
    """Pixels of a map from which scores and losses are taken in one pass, equal but for rounding. Maps of the embedded
    size stay below, and keep their last bit."""

    def at(self, progress: float) -> Self:
        """The loss when a share of the training, from 0 to 1, is done: the prior has lost as much of its weight."""
        return replace(self, prior_weight=self.prior_weight * (1 - progress)) if self.prior_weight else self

    def __call__(self, logits_B2HW: Tensor, batch: Batch) -> Tensor:
        """The loss, a scalar."""
        if logits_B2HW[0, 0].numel() >= self.one_pass_from:
            return self._in_one_pass(logits_B2HW, batch)
        matched = self.match(logits_B2HW, batch)
        with_mask = [sample for sample, count in enumerate(matched.counts) if count]
        if not with_mask:
            return logits_B2HW.sum() * 0.0
        images, masks = batch.image_of_B.tolist(), batch.masks
        targets = torch.stack([masks[images[sample]][matched.candidates[sample]] for sample in with_mask])
        losses = sample_cross_entropy(logits_B2HW[with_mask] if len(with_mask) < len(batch) else logits_B2HW, targets)
        counts = torch.tensor([float(matched.counts[sample]) for sample in with_mask], device=losses.device)
        return (losses * counts).sum() / len(batch)

    def match(self, logits_B2HW: Tensor, batch: Batch) -> Matched:
        """Match every sample of the batch with a row of its image's stack of masks."""
        images, groups, masks = batch.image_of_B.tolist(), self._groups(batch), batch.masks
        foreground_BHW = (logits_B2HW[:, 1] - logits_B2HW[:, 0]).detach().float().sigmoid()
        tables = [soft_iou(foreground_BHW[group], masks[images[group[0]]]) for group in groups]
        return self._assign(groups, tables, batch)

    def _in_one_pass(self, logits_B2HW: Tensor, batch: Batch) -> Tensor:
        """The loss of large maps: cross-entropy with all masks of an image is summed along with the scores."""
        flat_B2P, images, groups = (
            logits_B2HW.detach().float().flatten(2),
            batch.image_of_B.tolist(),
            self._groups(batch),
        )
        stacks = [stack_KHW.flatten(1) for stack_KHW in batch.masks]
        sums = [pixel_sums(flat_B2P[_rows(group)], stacks[images[group[0]]]) for group in groups]
        matched = self._assign(groups, [one.soft_iou_SK for one in sums], batch)
        given = {}
        for group, one in zip(groups, sums, strict=True):
            for row, sample in enumerate(group):
                if count := matched.counts[sample]:
                    candidate, stack_KP = matched.candidates[sample], stacks[images[sample]]
                    given[sample] = one.given(row, candidate, stack_KP[candidate], share=count / len(batch))
        return weighted_loss(logits_B2HW, given) if given else logits_B2HW.sum() * 0.0

    def _assign(self, groups: Sequence[list[int]], tables: Sequence[Tensor], batch: Batch) -> Matched:
        """Match the samples of every group by their scores (S, K)."""
        referents = batch.referent_of_B.tolist()
        numbers = torch.cat([table.flatten() for table in tables]).cpu().double().numpy()
        candidates, counts, start = [NONE] * len(batch), [0] * len(batch), 0
        for group, table in zip(groups, tables, strict=True):
            scores_SK = numbers[start : start + table.numel()].reshape(tuple(table.shape))
            start += table.numel()
            matched = match(
                self._with_prior(scores_SK, [referents[sample] for sample in group]),
                [referents[sample] for sample in group],
                [batch.candidates[sample] for sample in group],
                rule=self.rule,
                leftovers=self.leftovers,
                agreement=self.agreement,
                rng=_rng() if self.rule == "random" else None,
            )
            for sample, candidate, count in zip(group, matched.candidates, matched.counts, strict=True):
                candidates[sample], counts[sample] = candidate, count
        return Matched(candidates=candidates, counts=counts)

    def _with_prior(self, scores_SK: Scores, referents: Sequence[int]) -> Scores:
        """Scores (S, K) of samples of these referents with what the choice thought."""
        if not self.prior_weight:
            return scores_SK
        known_SK = np.zeros_like(scores_SK)
        for row, referent in enumerate(referents):
            for mask, probability in self.prior.get(referent, {}).items():
                known_SK[row, mask] = probability
        return scores_SK + self.prior_weight * known_SK

    def _groups(self, batch: Batch) -> list[list[int]]:
        """Samples of each image, in groups of rivals."""
        images, referents = batch.image_of_B.tolist(), batch.referent_of_B.tolist()
        return [group for row in range(len(batch.masks)) for group in self._rivals(row, images, referents)]

    def _rivals(self, image: int, images: Sequence[int], referents: Sequence[int]) -> list[list[int]]:
        """Samples of an image, in groups of rivals."""
        samples = [sample for sample, own in enumerate(images) if own == image]
        unique = list(dict.fromkeys(referents[sample] for sample in samples))
        step = self.rivals or max(len(unique), 1)
        groups = [set(unique[start : start + step]) for start in range(0, len(unique), step)]
        return [[sample for sample in samples if referents[sample] in rivals] for rivals in groups]


def _rows(group: list[int]) -> slice | list[int]:
    """Samples as an index that copies nothing where they are adjacent."""
    adjacent = group == list(range(group[0], group[-1] + 1))
    return slice(group[0], group[-1] + 1) if adjacent else group


def _rng() -> np.random.Generator:
    """Random numbers from torch's generator, which the trainer seeds anew at every step."""
    return np.random.default_rng(int(torch.randint(2**31, ()).item()))
