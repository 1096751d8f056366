"""The refinement's blocks: how much of a CRF may differ, and other seeds and sizes."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from ops.tris.random_walk import random_walk
from tests.parity import irn
from tests.parity.__main__ import Check, strain
from tests.paths import SHARED

VECTORS = SHARED / "vectors/tris"
Arrays = dict[str, np.ndarray]


def checks_of(stem: str, arrays: Mapping[str, np.ndarray]) -> list[Check]:
    block: Callable[[Mapping[str, np.ndarray]], Iterator[Check]] = getattr(irn, stem)
    return list(block(arrays))


def failed(stem: str, arrays: Mapping[str, np.ndarray]) -> list[Check]:
    found = checks_of(stem, arrays)
    assert found
    return [check for check in found if strain(check) > 1]


def reference(stem: str) -> Arrays:
    path = VECTORS / f"{stem}.npz"
    if not path.is_file():
        pytest.skip(f"no reference vectors in {VECTORS}")
    with np.load(path) as archive:
        return dict(archive)


def test_two_hundredths_of_the_pixels_are_too_many_for_a_crf() -> None:
    arrays = reference("irn_crf_seeds")
    changed = arrays["smooth_fg_crf"].copy()
    changed.reshape(-1)[::50] ^= 1
    assert failed("irn_crf_seeds", arrays | {"smooth_fg_crf": changed})


def other_walk(rng: np.random.Generator) -> Arrays:
    """Another size, radius, power and number of steps, with a dense matrix in numpy."""
    height, width, radius, beta, doublings = 7, 13, 4, 6, 5
    edge = rng.random((height, width), dtype=np.float32) * np.float32(0.9)
    maps = rng.random((2, height, width), dtype=np.float32)
    alike = np.eye(height * width, dtype=np.float32)
    for one in range(height * width):
        for other in range(one + 1, height * width):
            (y, x), (v, u) = divmod(one, width), divmod(other, width)
            dy, dx = v - y, u - x
            if dy * dy + dx * dx < radius * radius:
                rectangle = [(a, b) for a in range(dy + 1) for b in range(min(dx, 0), max(dx, 0) + 1)]
                way = [(a, b) for a, b in rectangle if (dy * b - dx * a) ** 2 < dy * dy + dx * dx]
                alike[one, other] = alike[other, one] = 1 - max(edge[y + a, x + b] for a, b in way)
    step = alike.astype(np.float64) ** beta
    step /= step.sum(0)
    starts = (maps * (1 - edge)).reshape(2, -1).astype(np.float64)
    power = np.linalg.matrix_power(step, 2**doublings)
    walked = (starts @ power).reshape(maps.shape)
    arrays = {"edge": edge, "x": maps, "affinity": alike, "transition_1step": step, "transition_256": power}
    settings = {"beta": beta, "exp_times": doublings, "radius": radius}
    arrays |= {"rw": walked.astype(np.float32), "rw_iterated_float64": walked}
    return arrays | {name: np.array(value) for name, value in settings.items()}


def other_pseudo_label(rng: np.random.Generator) -> Arrays:
    """Another picture, three still regions that pixels jump into in one step, a threshold of its own."""
    size, grid = (50, 71), (13, 18)
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    goal = np.stack([np.full(grid, 6), 3 + 6 * (columns // 6)])
    displacement = (goal - np.stack([rows, columns])).astype(np.float32)
    still = ndimage.label(np.hypot(*displacement) < 2.5)[0]
    number = still[goal[0], goal[1]]
    parts = np.stack([number == name for name in np.unique(number)])
    edge = rng.random(grid, dtype=np.float32) ** 3
    cam = rng.random(size, dtype=np.float32)
    small = F.interpolate(torch.from_numpy(cam)[None, None], grid, mode="bilinear", align_corners=True)[0, 0].numpy()

    def walk(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        walked = random_walk(torch.from_numpy(maps), torch.from_numpy(edge))
        large = F.interpolate(walked[None], scale_factor=4, mode="bilinear")[0, :, : size[0], : size[1]].numpy()
        return walked.numpy(), large / large.max()

    (walked, shares), (_, whole) = walk(small * parts), walk(small[None])
    plane = np.full((1, *size), 0.4, np.float32)
    return {
        "cam": cam,
        "edge": edge,
        "displacement": displacement,
        "orig_hw": np.array(size),
        "bg_threshold": np.array(0.4),
        "centroids": goal,
        "instance_map": parts,
        "instance_cam": small * parts,
        "rw": walked,
        "rw_up_norm": shares,
        "argmax_label": np.concatenate([plane, shares]).argmax(0),
        "pseudo_label": (shares > 0.4).any(0),
        "rw_up_norm_single_instance": whole[0],
        "pseudo_single": whole[0] > 0.4,
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_and_sizes_pass(seed: int) -> None:
    assert not failed("irn_random_walk", other_walk(np.random.default_rng(seed)))
    assert not failed("irn_pseudo_label", other_pseudo_label(np.random.default_rng(seed)))
