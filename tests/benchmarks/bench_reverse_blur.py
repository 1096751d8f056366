"""Reverse blur of one 640x480 picture with 5 masks, side by side with the plain formulation: a 301-tap blur per mask.

`python -m tests.benchmarks.bench_reverse_blur [picture]`; all on one thread. Without a picture, a photograph of the
shared data is used where there is one, else drawn shapes.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ops.images import to_tensor
from ops.ssc.visual_prompts import reverse_blur
from tests.paths import SHARED

Prompted = Callable[[], NDArray[np.uint8]]

PHOTOGRAPHS = SHARED / "data/coco_tiny/images"
SIZE = (640, 480)
SIGMA = 50.0
MASKS = 5
LEAST_RATIO, MOST_LEVELS = 50, 3


def photograph() -> tuple[str, NDArray[np.uint8]]:
    """A picture of 640 x 480: the one asked for, the first shared photograph of that size, or drawn shapes."""
    asked = [Path(argument) for argument in sys.argv[1:]]
    for path in asked or sorted(PHOTOGRAPHS.glob("*/*.jpg")):
        picture = Image.open(path).convert("RGB")
        if asked or picture.size == SIZE:
            return path.name, np.array(picture.resize(SIZE))
    shapes = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for number in range(60):
        centre = (number * 97 % SIZE[0], number * 61 % SIZE[1])
        cv2.circle(shapes, centre, 20 + number % 50, (number * 37 % 256, number * 91 % 256, number * 53 % 256), -1)
    return "drawn shapes", shapes


def ellipses() -> NDArray[np.bool_]:
    """Five masks of the usual size."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return np.stack([((x - 100 - 110 * n) / 60) ** 2 + ((y - 240) / 120) ** 2 < 1 for n in range(MASKS)])


def plain(image_HW3: NDArray[np.uint8], masks_NHW: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """OpenCV's blur of the whole picture, again for every mask."""
    size = round(6 * SIGMA + 1) | 1
    prompted = [
        np.where(mask_HW[..., None], image_HW3, cv2.GaussianBlur(image_HW3, (size, size), SIGMA))
        for mask_HW in masks_NHW
    ]
    return np.stack(prompted)


def fastest(prompted: Prompted, *, times: int) -> tuple[float, NDArray[np.uint8]]:
    """Least seconds over some runs after a warm-up, and the result."""
    result = prompted()
    seconds = []
    for _ in range(times):
        start = perf_counter()
        prompted()
        seconds.append(perf_counter() - start)
    return min(seconds), result


def main() -> int:
    """Print the table; exit status 1 when the fast mode is too slow or too far off."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    name, image_HW3 = photograph()
    masks_NHW = ellipses()
    image_3HW, masks = to_tensor(image_HW3), torch.from_numpy(masks_NHW)
    write = sys.stdout.write
    write(f"reverse blur, {name}, {SIZE[0]} x {SIZE[1]}, {MASKS} masks, sigma {SIGMA:g}, one thread\n")
    seconds, reference = fastest(lambda: plain(image_HW3, masks_NHW), times=3)
    write(f"{'plain, 301 taps a mask':24} {1000 * seconds:8.1f} ms\n")
    good = True
    for mode in ("exact", "fast"):
        ours = lambda mode=mode: reverse_blur(image_3HW, masks, sigma=SIGMA, mode=mode).numpy()  # noqa: E731
        took, prompted_N3HW = fastest(ours, times=10)
        levels = np.abs(prompted_N3HW.transpose(0, 2, 3, 1).astype(int) - reference)
        write(
            f"{mode + ', one blur a picture':24} {1000 * took:8.1f} ms  {seconds / took:6.1f} x faster,"
            f" difference at most {levels.max()}, on average {levels.mean():.3f} grey levels\n"
        )
        good &= mode == "exact" or (seconds / took >= LEAST_RATIO and levels.max() <= MOST_LEVELS)
    write(f"wanted of fast: at least {LEAST_RATIO} x, at most {MOST_LEVELS} levels: {'yes' if good else 'NO'}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
