"""PRMS by M images and M texts against M x M of each: `python -m tests.benchmarks.bench_prms`.

The plain formulation is the formula of TRIS spec 3 as it stands: for every map t and every expression m, CLIP encodes
the image seen through t and the text m. CLIP is a ViT-B/32 with random weights, maps are 320 x 320. Both run in turn
and must agree.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ops.backbones.clip_text import text_features
from ops.tris.calibration import Scorer
from ops.tris.prms import agreements
from resources.models.clip import load_clip

SIDE, SEEN, TOKENS = 320, 224, 20
START, END = 49_406, 49_407
EXPRESSIONS = (1, 3, 6)
"""Of an object; RefCOCO has about three."""
REPEATS = 3
Judge = Callable[[Scorer, Tensor, Tensor, Tensor], NDArray[np.float64]]


def once(scorer: Scorer, image_3HW: Tensor, maps_MHW: Tensor, ids_MT: Tensor) -> NDArray[np.float64]:
    """What the project does."""
    return agreements(scorer, image_3HW, maps_MHW, scorer.embed_texts(ids_MT))


@torch.inference_mode()
def pair_by_pair(scorer: Scorer, image_3HW: Tensor, maps_MHW: Tensor, ids_MT: Tensor) -> NDArray[np.float64]:
    """The formula as it stands."""
    found = np.zeros((len(maps_MHW), len(ids_MT)))
    for t, map_HW in enumerate(maps_MHW):
        for m, ids_T in enumerate(ids_MT):
            seen_23SS = [resized(one) for one in (map_HW[None].expand(3, -1, -1), image_3HW)]
            looked = scorer.clip.visual((seen_23SS[0] * seen_23SS[1])[None])[0]
            found[t, m] = F.cosine_similarity(looked, text_features(scorer.clip, ids_T[None])[0], dim=0)
    return found


def resized(image_CHW: Tensor) -> Tensor:
    """To CLIP's side, bilinearly, corners aligned."""
    return F.interpolate(image_CHW[None], (SEEN, SEEN), mode="bilinear", align_corners=True)[0]


def example(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """An image, and maps and texts of `count` expressions."""
    rng = torch.Generator().manual_seed(0)
    ids_MT = torch.zeros(count, TOKENS, dtype=torch.long)
    ids_MT[:, 0], ids_MT[:, 7] = START, END
    ids_MT[:, 1:7] = torch.randint(1, START, (count, 6), generator=rng)
    coarse_M1hw = torch.rand(count, 1, 10, 10, generator=rng) * 5
    maps_MHW = F.interpolate(coarse_M1hw, (SIDE, SIDE), mode="bilinear")[:, 0]
    return torch.randn(3, SIDE, SIDE, generator=rng), maps_MHW, ids_MT


def timed(judge: Judge, scorer: Scorer, *what: Tensor) -> tuple[float, NDArray[np.float64]]:
    """Seconds and result."""
    start = time.perf_counter()
    found_MM = judge(scorer, *what)
    return time.perf_counter() - start, found_MM


def main() -> None:
    """Print the times of both, their ratio and difference."""
    torch.manual_seed(0)
    scorer = Scorer(load_clip("ViT-B-32", random_weights=True).model)
    for count in EXPRESSIONS:
        what = example(count)
        timed(once, scorer, *what)
        fast, slow, difference = [], [], 0.0
        for _ in range(REPEATS):
            (quick, ours), (long, theirs) = timed(once, scorer, *what), timed(pair_by_pair, scorer, *what)
            fast.append(quick)
            slow.append(long)
            difference = max(difference, float(np.abs(ours - theirs).max()))
        ours_s, theirs_s = statistics.median(fast), statistics.median(slow)
        sys.stdout.write(
            f"{count} expressions: {count} encodings {1e3 * ours_s:.0f} ms, {count * count} pairs "
            f"{1e3 * theirs_s:.0f} ms, ratio {theirs_s / ours_s:.1f}; cosines differ by {difference:.1g}\n"
        )


if __name__ == "__main__":
    main()
