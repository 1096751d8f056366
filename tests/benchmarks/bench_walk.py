"""The sparse random walk against dense squaring: `python -m tests.benchmarks.bench_walk`.

Dense squaring is what the text has (TRIS spec 4.6): an (n, n) matrix, squared 8 times. It is timed at 192 x 256 pixels,
n = 3072, where a matrix takes 38 MB; both run in turn and must agree. At 640 x 480, n = 19200, it would take 1.5 GB a
matrix and 1e14 multiplications, so there the sparse walk runs alone, for one map and for those of eight objects.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.tris.pseudo_labels import grid_size
from ops.tris.random_walk import BETA, DOUBLINGS, affinity, random_walk

SMALL, LARGE = (192, 256), (480, 640)
OBJECTS = 8
REPEATS = 3


def dense_walk(maps_KHW: Tensor, edge_HW: Tensor) -> Tensor:
    """Square the whole transition matrix, then one product."""
    step_nn = affinity(edge_HW) ** BETA
    step_nn = step_nn / step_nn.sum(0)
    for _ in range(DOUBLINGS):
        step_nn = step_nn @ step_nn
    return ((maps_KHW * (1 - edge_HW)).flatten(1) @ step_nn).view(maps_KHW.shape)


def example(size: tuple[int, int], count: int) -> tuple[Tensor, Tensor]:
    """Maps and thin edges on the grid of a picture of this size."""
    rng = torch.Generator().manual_seed(0)
    grid = grid_size(*size)
    coarse = torch.rand(1, count + 1, 6, 8, generator=rng)
    smooth = F.interpolate(coarse, grid, mode="bilinear", align_corners=True)[0]
    return smooth[:count], (1 - (smooth[count] - 0.5).abs() * 8).clamp(0.01, 0.99)


def timed(walk: Callable[[Tensor, Tensor], Tensor], maps_KHW: Tensor, edge_HW: Tensor) -> tuple[float, Tensor]:
    """Seconds and result."""
    start = time.perf_counter()
    walked_KHW = walk(maps_KHW, edge_HW)
    return time.perf_counter() - start, walked_KHW


def main() -> None:
    """Print the times of both, their ratio and difference, and the time of the sparse walk at full size."""
    maps, edge = example(SMALL, OBJECTS)
    timed(random_walk, maps, edge)
    fast, slow, difference = [], [], 0.0
    for _ in range(REPEATS):
        (quick, ours), (long, theirs) = timed(random_walk, maps, edge), timed(dense_walk, maps, edge)
        fast.append(quick)
        slow.append(long)
        difference = max(difference, (ours - theirs).abs().max().item())
    sparse, dense = statistics.median(fast), statistics.median(slow)
    sys.stdout.write(
        f"{OBJECTS} maps, {SMALL[0]} x {SMALL[1]} pixels, {edge.numel()} nodes: sparse {1e3 * sparse:.0f} ms, "
        f"dense {1e3 * dense:.0f} ms, ratio {dense / sparse:.1f}; results differ by {difference:.1g}\n"
    )
    for count in (1, OBJECTS):
        maps, edge = example(LARGE, count)
        seconds = statistics.median(timed(random_walk, maps, edge)[0] for _ in range(REPEATS))
        sys.stdout.write(
            f"{count} maps, {LARGE[0]} x {LARGE[1]} pixels, {edge.numel()} nodes: sparse {1e3 * seconds:.0f} ms\n"
        )


if __name__ == "__main__":
    main()
