"""The matching loss against a plain formulation of its text: `python -m tests.benchmarks.bench_matching`.

15 samples of 5 images, 3 objects each with 4 candidates, at 480 x 480 (spec 4.10). Plain is what the text says: a label
map a sample; one (sample, candidate) pair at a time its mask out of the map, softmax, soft IoU with its graph, copied
out; exclusion by comparing pixels; one cross-entropy per match. Ours reads masks as the pipeline keeps them. Both run
forward and backward in turn; the losses must agree.
"""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.ssc.matching import MatchingLoss
from ops.training.dataset import Batch

IMAGES, OBJECTS, CANDIDATES, SIDE = 5, 3, 4, 480
REPEATS = 5


def plain_loss(logits_B2HW: Tensor, batch: Batch, labels_BHW: Tensor) -> Tensor:
    """Constrained greedy matching, pair by pair, every matched sample counted once."""
    images = batch.image_of_B.tolist()
    masks = {
        (sample, row): map_HW == label
        for sample, map_HW in enumerate(labels_BHW)
        for row, label in enumerate(label for label in map_HW.unique().tolist() if label)
    }
    scores = {pair: _soft_iou(logits_B2HW[pair[0]], mask).item() for pair, mask in masks.items()}
    total = torch.zeros(())
    while scores:
        sample, row = max(scores, key=scores.__getitem__)
        taken = masks[sample, row]
        total = total + _cross_entropy(logits_B2HW[sample], taken)
        scores = {
            pair: value
            for pair, value in scores.items()
            if pair[0] != sample and not (images[pair[0]] == images[sample] and torch.equal(masks[pair], taken))
        }
    return total / len(batch)


def _soft_iou(logits_2HW: Tensor, mask_HW: Tensor) -> Tensor:
    foreground_HW, inside_HW = logits_2HW.softmax(0)[1], mask_HW.float()
    shared = (foreground_HW * inside_HW).sum()
    return shared / (foreground_HW.sum() + inside_HW.sum() - shared).clamp(min=1e-7)


def _cross_entropy(logits_2HW: Tensor, mask_HW: Tensor) -> Tensor:
    return F.cross_entropy(logits_2HW[None], mask_HW[None].long(), weight=torch.tensor([0.9, 1.1]))


def example(rng: torch.Generator) -> tuple[Tensor, Batch, Tensor]:
    """Smooth random logits, and random boxes, one over the other, as candidates: as masks and as label maps."""
    labels = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.long)
    for label_HW in labels:
        for label in range(1, CANDIDATES + 1):
            top, left, height, width = (torch.rand(4, generator=rng) * SIDE / 2).int().tolist()
            label_HW[top : top + height + 40, left : left + width + 40] = label
    masks = torch.stack([labels == label for label in range(1, CANDIDATES + 1)], 1)
    assert masks.flatten(2).any(-1).all(), "a box hides another; take another seed"
    count = IMAGES * OBJECTS
    coarse = torch.randn(count, 2, 15, 15, generator=rng) * 3
    logits = F.interpolate(coarse, (SIDE, SIDE), mode="bilinear").requires_grad_()
    empty = torch.zeros(count, 1, dtype=torch.long)
    batch = Batch(
        images_I3HW=torch.zeros(IMAGES, 3, 1, 1),
        image_of_B=torch.arange(count) // OBJECTS,
        referent_of_B=torch.arange(count),
        token_ids_BT=empty,
        token_mask_BT=empty,
        masks_MHW=masks.flatten(0, 1),
        masks_of_I=(CANDIDATES,) * IMAGES,
        candidates=(tuple(range(CANDIDATES)),) * count,
    )
    return logits, batch, labels[batch.image_of_B]


def timed(loss: Callable[[Tensor, Batch], Tensor], logits: Tensor, batch: Batch) -> tuple[float, float]:
    """Seconds of forward and backward, and the loss."""
    start = time.perf_counter()
    value = loss(logits, batch)
    torch.autograd.grad(value, logits)
    return time.perf_counter() - start, value.item()


def main() -> None:
    """Print both times, their ratio, and the difference of the losses."""
    logits, batch, labels = example(torch.Generator().manual_seed(1))
    ours, spelt = MatchingLoss(), partial(plain_loss, labels_BHW=labels)
    timed(ours, logits, batch)
    fast, slow, difference = [], [], 0.0
    for _ in range(REPEATS):
        (one, value), (other, plain) = timed(ours, logits, batch), timed(spelt, logits, batch)
        fast.append(one)
        slow.append(other)
        difference = max(difference, abs(value - plain))
    quick, long = statistics.median(fast), statistics.median(slow)
    sys.stdout.write(
        f"{len(batch)} samples, {CANDIDATES} candidates, {SIDE} x {SIDE}, forward and backward: "
        f"matching {1e3 * quick:.0f} ms, plain {1e3 * long:.0f} ms, ratio {long / quick:.1f}; "
        f"losses differ by {difference:.1g}\n"
    )


if __name__ == "__main__":
    main()
