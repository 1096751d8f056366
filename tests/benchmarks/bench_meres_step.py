"""A training step of MERES beside LAVT's: `python -m tests.benchmarks.bench_meres_step [batch size ...]`.

Both at the published size (Swin-B, BERT-base, 480 x 480, random weights) see the same images and words, and take their
steps in turn; the first turn is not counted. Batch size 1 unless named; on a GPU 8 and 16, in bfloat16. Memory is the
peak of what forward and backward make, without parameters and the optimizer's state.
"""

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from ops.meres import model as meres
from ops.meres.config import SWIN_B_480
from ops.meres.contrastive_loss import MeresLoss, sample_binary_cross_entropy
from ops.meres.model import Meres
from ops.segmenters import lavt
from ops.segmenters.base import ReferringSegmenter
from ops.training.losses import sample_cross_entropy
from tests.benchmarks.bench_lavt_step import example, new_bert, new_model
from tests.benchmarks.memory import Held

TURNS = 3


def lavt_loss(maps_BCHW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Cross-entropy."""
    return sample_cross_entropy(maps_BCHW.float(), masks_BHW).mean()


def meres_loss(maps_BCHW: Tensor, masks_BHW: Tensor) -> Tensor:
    """The two parts of `MeresLoss` on masks that are given."""
    maps_BCHW = maps_BCHW.float()
    parts_B = MeresLoss.mask_weight * sample_cross_entropy(maps_BCHW[:, :2], masks_BHW)
    return (parts_B + MeresLoss.contrast_weight * sample_binary_cross_entropy(maps_BCHW[:, 2], masks_BHW)).mean()


def learn(model: ReferringSegmenter, loss: Callable[[Tensor, Tensor], Tensor], inputs: tuple[Tensor, ...]) -> None:
    """Forward and backward."""
    *seen, masks_BHW = inputs
    with torch.autocast("cuda", torch.bfloat16) if masks_BHW.is_cuda else nullcontext():
        maps_BCHW = model(*seen)
    loss(maps_BCHW, masks_BHW).backward()


def measure(device: str, batch: int) -> str:
    """Both networks at one batch size."""
    torch.manual_seed(0)
    hearer, guided = new_model().to(device), Meres(SWIN_B_480, new_bert()).train().to(device)
    pair = (
        (hearer, lavt_loss, torch.optim.AdamW(lavt.optimizer_groups(hearer), lr=5e-5, fused=True)),
        (guided, meres_loss, torch.optim.AdamW(meres.optimizer_groups(guided), lr=5e-5, fused=True)),
    )
    inputs = tuple(one.to(device) for one in example(batch))
    seconds: list[list[float]] = [[], []]
    for turn in range(1 + TURNS):
        for row, (model, loss, optimizer) in enumerate(pair):
            start = time.perf_counter()
            learn(model, loss, inputs)
            optimizer.step()
            optimizer.zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:
                seconds[row].append(time.perf_counter() - start)
    peaks = []
    for model, loss, optimizer in pair:
        peaks.append(peak_gib(partial(learn, model, loss, inputs), device))
        optimizer.zero_grad()
    quick, long = map(statistics.median, seconds)
    return (
        f"batch {batch}, {device}: LAVT {quick:.2f} s and {peaks[0]:.2f} GiB a step, "
        f"MERES {long:.2f} s and {peaks[1]:.2f} GiB, ratios {long / quick:.2f} and {peaks[1] / peaks[0]:.2f}"
    )


def peak_gib(work: Callable[[], None], device: str) -> float:
    """Most memory that `work` holds at once beyond what was held before."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return float(torch.cuda.max_memory_allocated() - before) / 2**30
    with Held() as held:
        work()
    return held.peak / 2**30


def main() -> None:
    """Print one line a batch size."""
    gpu = torch.cuda.is_available()
    batches = [int(word) for word in sys.argv[1:]] or ([8, 16] if gpu else [1])
    for batch in batches:
        sys.stdout.write(measure("cuda" if gpu else "cpu", batch) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
