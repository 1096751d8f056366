"""Masked pooling as one matrix product against the paper's words: `python -m tests.benchmarks.bench_masked_pooling`.

16 sentences of 21 tokens over 225 pixels, 768 wide (MERES spec 4.4, the sizes at 480 pixels). Plain repeats the values
for every token, multiplies them by the weights and sums over the pixels (Eq. 7). Both run forward and backward in turn;
results and gradients must agree. Memory is the peak of all tensors that live at once, inputs left out.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ops.meres.adaptive_selection import keep_mask, masked_pool, pool_weights
from tests.benchmarks.memory import Held

SAMPLES, TOKENS, PIXELS, WIDTH, PERCENT = 16, 21, 225, 768, 30
REPEATS = 5

Pool = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain_pool(weights_BTN: Tensor, values_BND: Tensor, keep_BTN: Tensor) -> Tensor:
    """Repeat, Hadamard product, sum."""
    repeated_BTND = values_BND[:, None].repeat(1, keep_BTN.shape[1], 1, 1)
    return (repeated_BTND * weights_BTN[..., None]).sum(2)


def gradients(pool: Pool, weights: Tensor, values: Tensor, keep: Tensor) -> tuple[Tensor, ...]:
    """The pooled tokens, and the gradients of the sum of their squares by weights and values."""
    pooled = pool(weights, values, keep)
    return pooled.detach(), *torch.autograd.grad(pooled.square().sum(), (weights, values))


def seconds(pool: Pool, *inputs: Tensor) -> float:
    """Wall-clock time of one forward and backward."""
    start = time.perf_counter()
    gradients(pool, *inputs)
    return time.perf_counter() - start


def peak_mib(pool: Pool, *inputs: Tensor) -> float:
    """Most memory that is held at once during one forward and backward."""
    with Held() as held:
        gradients(pool, *inputs)
    return held.peak / 2**20


def main() -> None:
    """Print times, peaks, their ratios, and the largest relative difference."""
    rng = torch.Generator().manual_seed(0)
    scores = torch.rand(SAMPLES, TOKENS, PIXELS, generator=rng) * 2 - 1
    keep = keep_mask(scores, select="topk", percent=PERCENT)
    weights = pool_weights(scores, keep).requires_grad_()
    values = torch.randn(SAMPLES, PIXELS, WIDTH, generator=rng).requires_grad_()
    inputs = (weights, values, keep)
    pairs = zip(gradients(masked_pool, *inputs), gradients(plain_pool, *inputs), strict=True)
    difference = max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs)
    times = [(seconds(masked_pool, *inputs), seconds(plain_pool, *inputs)) for _ in range(REPEATS)]
    quick, long = (statistics.median(column) for column in zip(*times, strict=True))
    small, large = peak_mib(masked_pool, *inputs), peak_mib(plain_pool, *inputs)
    sys.stdout.write(
        f"{SAMPLES} x {TOKENS} tokens, {PIXELS} pixels, {WIDTH} wide, forward and backward: "
        f"product {1e3 * quick:.1f} ms and {small:.0f} MiB, plain {1e3 * long:.0f} ms and {large:.0f} MiB, "
        f"ratios {long / quick:.0f} and {large / small:.0f}; they differ by {difference:.1g}\n"
    )


if __name__ == "__main__":
    main()
