"""Reference vectors of constrained greedy matching: cgm_loss (layout: the vectors' README).

Label maps become the stack of an image's different masks. Both modes are checked where the vectors define them: the
reference's assignment, counts, loss and gradient as they are; the repaired rule by recomputing its loss from the
reference's assignment wherever the two must agree; and the optimal assignment.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from ops.ssc.matching import NONE, Matched, MatchingLoss, soft_iou
from ops.training.dataset import Batch
from ops.training.losses import batch_lavt, per_sample, sample_cross_entropy
from tests.parity.lavt import Arrays, Result, compare


def cgm_loss(arrays: Arrays) -> Iterator[Result]:
    """Every case, then plain cross-entropy."""
    for name in arrays["case_names"].tolist():
        yield from _case(name, {key.removeprefix(f"{name}__"): arrays[key] for key in arrays if key.startswith(name)})
    logits, target = torch.from_numpy(arrays["ce__logits"]), torch.from_numpy(arrays["ce__target"]).bool()
    yield compare("ce per_sample", sample_cross_entropy(logits, target), arrays["ce__per_sample"])
    yield compare("ce batch_lavt", batch_lavt(logits, target), arrays["ce__batch_lavt"])


def _case(name: str, case: Mapping[str, np.ndarray]) -> Iterator[Result]:
    batch = _batch(case)
    logits = torch.from_numpy(case["logits"]).requires_grad_()
    yield _scores(name, batch, logits, case["soft_iou"])

    found = MatchingLoss(rule="reference").match(logits, batch)
    yield compare(f"{name} assigned", _ranks(found, batch), case["assigned"])
    yield compare(f"{name} counts", torch.tensor(found.counts), case["ce_times_counted"])
    loss = MatchingLoss(rule="reference")(logits, batch)
    yield compare(f"{name} loss", loss, case["loss"])
    yield compare(f"{name} gradient", torch.autograd.grad(loss, logits)[0], case["grad_logits"])

    free = _ranks(MatchingLoss(rule="unconstrained").match(logits, batch), batch)
    yield compare(f"{name} unconstrained", free, case["unconstrained_assigned"])
    free_loss = MatchingLoss(rule="unconstrained")(logits, batch)
    yield compare(f"{name} unconstrained loss", free_loss, case["unconstrained_loss"])
    if "optimal_assigned" in case:
        best = MatchingLoss(rule="hungarian").match(logits, batch)
        yield compare(f"{name} optimal", _ranks(best, batch), case["optimal_assigned"])
    if not _shortcut_matters(batch):
        yield from _repaired(name, batch, logits, case)


def _repaired(name: str, batch: Batch, logits: Tensor, case: Mapping[str, np.ndarray]) -> Iterator[Result]:
    """The repaired rule assigns as the reference does, and counts every matched sample once."""
    fixed = MatchingLoss().match(logits, batch)
    yield compare(f"{name} repaired", _ranks(fixed, batch), case["assigned"])
    taken = case["assigned"] != NONE
    targets = [batch.masks[int(batch.image_of_B[at])][fixed.candidates[at]] for at in np.flatnonzero(taken)]
    expected = per_sample(logits[torch.from_numpy(taken)], torch.stack(targets)) * float(taken.mean())
    yield compare(f"{name} repaired loss", MatchingLoss()(logits, batch), expected.detach().numpy())


def _shortcut_matters(batch: Batch) -> bool:
    """Whether a mask that is some object's only candidate is wanted by another: there the modes must differ."""
    wanted = {
        (int(image), int(object_), row)
        for image, object_, rows in zip(batch.image_of_B, batch.referent_of_B, batch.candidates, strict=True)
        for row in rows
    }
    single = {
        (int(image), int(object_), rows[0])
        for image, object_, rows in zip(batch.image_of_B, batch.referent_of_B, batch.candidates, strict=True)
        if len(rows) == 1
    }
    return any(
        image == other_image and row == other_row and name != other_name
        for image, name, row in single
        for other_image, other_name, other_row in wanted
    )


def _batch(case: Mapping[str, np.ndarray]) -> Batch:
    maps, images = case["instance_map"], case["image_id"].tolist()
    rows = sorted(set(images))
    stacks: list[list[np.ndarray]] = [[] for _ in rows]
    candidates = []
    for labels, image in zip(maps, images, strict=True):
        stack = stacks[rows.index(image)]
        candidates.append(tuple(_row(stack, labels == label) for label in np.unique(labels[labels > 0])))
    ids = list(zip(images, case["object_id"].tolist(), strict=True))
    names = sorted(set(ids))
    empty = torch.zeros((len(ids), 1), dtype=torch.long)
    return Batch(
        images_I3HW=torch.zeros(len(rows), 3, 1, 1),
        image_of_B=torch.tensor([rows.index(image) for image in images]),
        referent_of_B=torch.tensor([names.index(one) for one in ids]),
        token_ids_BT=empty,
        token_mask_BT=empty,
        masks_MHW=torch.cat([torch.from_numpy(np.stack(stack)) for stack in stacks]),
        masks_of_I=tuple(map(len, stacks)),
        candidates=tuple(candidates),
    )


def _row(stack: list[np.ndarray], mask: np.ndarray) -> int:
    for row, known in enumerate(stack):
        if np.array_equal(known, mask):
            return row
    stack.append(mask)
    return len(stack) - 1


def _scores(name: str, batch: Batch, logits: Tensor, expected: np.ndarray) -> Result:
    found = np.full_like(expected, np.nan)
    foreground = logits.softmax(1)[:, 1]
    for at, rows in enumerate(batch.candidates):
        masks = batch.masks[int(batch.image_of_B[at])][list(rows)]
        found[at, : len(rows)] = soft_iou(foreground[at : at + 1], masks).numpy()
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return f"{name} soft_iou", np.inf, 0.0
    return compare(f"{name} soft_iou", torch.from_numpy(np.nan_to_num(found)), np.nan_to_num(expected))


def _ranks(found: Matched, batch: Batch) -> Tensor:
    """Rows of an image's stack as ranks among the sample's own candidates, as the vectors count them."""
    pairs = zip(found.candidates, batch.candidates, strict=True)
    return torch.tensor([NONE if row == NONE else rows.index(row) for row, rows in pairs])
