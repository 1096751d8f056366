"""The matching loss against a plain formulation of its text: `python -m tests.benchmarks.bench_matching`.

15 samples of 5 images, 3 objects each with 4 candidates, at 480 x 480 (spec 4.10). Plain is what the text says: a label
map a sample; one (sample, candidate) pair at a time its mask out of the map, softmax, soft IoU with its graph, copied
out; exclusion by comparing pixels; one cross-entropy per match. Ours reads masks as the pipeline keeps them: as small
maps do, and in one pass as large ones do. The fourth way has its soft IoU from every second row and column. All run
forward and backward in turn, in one thread whose processor time is measured; the losses must agree. Then the share of
matches that half resolution leaves as they are: on random logits, and on logits that favour a candidate.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.ssc.matching import MatchingLoss
from ops.training.dataset import Batch
from ops.training.losses import per_sample

IMAGES, OBJECTS, CANDIDATES, SIDE = 5, 3, 4, 480
REPEATS = 5
SEEDS = 20


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


def favouring(logits: Tensor, batch: Batch, rng: torch.Generator) -> Tensor:
    """Logits that a trained network could give: up to 3 inside a candidate, blurred, plus half of the random ones."""
    images = batch.image_of_B.tolist()
    picks = torch.randint(CANDIDATES, (len(batch),), generator=rng).tolist()
    masks_B1HW = torch.stack([batch.masks[image][pick] for image, pick in zip(images, picks, strict=True)])[:, None]
    soft_B1HW = F.avg_pool2d(masks_B1HW.float(), 17, 1, 8)
    return logits.detach() / 2 + torch.cat([3 - 6 * soft_B1HW, 6 * soft_B1HW - 3], 1) / 2


def halved(logits: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
    """Every second row and column."""
    return logits[..., ::2, ::2], replace(batch, masks_MHW=batch.masks_MHW[:, ::2, ::2])


def matches(logits: Tensor, batch: Batch) -> list[int]:
    """What every sample is given."""
    return MatchingLoss().match(logits, batch).candidates


def half_resolution_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy at full resolution of what is matched at half of it; here every sample gets a mask."""
    rows = zip(batch.image_of_B.tolist(), matches(*halved(logits, batch)), strict=True)
    targets = torch.stack([batch.masks[image][row] for image, row in rows])
    return per_sample(logits, targets)


def equal_matches() -> tuple[float, float]:
    """Share of samples whose match half resolution leaves as it is: on random logits, and on favouring ones."""
    equal, count = [0, 0], 0
    for seed in range(SEEDS):
        rng = torch.Generator().manual_seed(seed)
        logits, batch, _ = example(rng)
        for kind, given in enumerate((logits.detach(), favouring(logits, batch, rng))):
            pairs = zip(matches(given, batch), matches(*halved(given, batch)), strict=True)
            equal[kind] += sum(one == other for one, other in pairs)
        count += len(batch)
    return equal[0] / count, equal[1] / count


def timed(loss: Callable[[Tensor, Batch], Tensor], logits: Tensor, batch: Batch) -> tuple[float, float]:
    """Processor seconds of forward and backward, and the loss."""
    start = time.process_time()
    value = loss(logits, batch)
    torch.autograd.grad(value, logits)
    return time.process_time() - start, value.item()


def main() -> None:
    """Print the times, their ratios to plain, the differences of the losses, and the shares of equal matches."""
    torch.set_num_threads(1)
    logits, batch, labels = example(torch.Generator().manual_seed(1))
    ways: dict[str, Callable[[Tensor, Batch], Tensor]] = {
        "plain": partial(plain_loss, labels_BHW=labels),
        "as small maps": MatchingLoss(one_pass_from=SIDE**2 + 1),
        "in one pass": MatchingLoss(),
        "half resolution": half_resolution_loss,
    }
    for loss in ways.values():
        timed(loss, logits, batch)
    runs = [{name: timed(loss, logits, batch) for name, loss in ways.items()} for _ in range(REPEATS)]
    seconds = {name: statistics.median(run[name][0] for run in runs) for name in ways}
    sys.stdout.write(
        f"{len(batch)} samples, {CANDIDATES} candidates, {SIDE} x {SIDE}, forward and backward, 1 thread\n"
    )
    for name in ways:
        sys.stdout.write(
            f"{name}: {1e3 * seconds[name]:.0f} ms, ratio {seconds['plain'] / seconds[name]:.1f}, "
            f"loss differs by {abs(runs[0][name][1] - runs[0]['plain'][1]):.1g}\n"
        )
    random, favoured = equal_matches()
    sys.stdout.write(f"equal matches at half resolution: random logits {random:.2%}, favouring ones {favoured:.2%}\n")


if __name__ == "__main__":
    main()
