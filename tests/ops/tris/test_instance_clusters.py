"""Centroids and instances on fields whose answer is known."""

import numpy as np
import torch

from ops.tris.instance_clusters import centroids, instances


def plain_centroids(field: np.ndarray, steps: int) -> np.ndarray:
    """One pixel at a time: step by the bilinear value, stay on the map, round."""
    _, height, width = field.shape
    found = np.zeros((2, height, width), np.int64)
    for row in range(height):
        for column in range(width):
            y, x = float(row), float(column)
            for _ in range(steps):
                top, left = int(np.floor(y)), int(np.floor(x))
                bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                b, r = y - top, x - left
                moved = (1 - b) * ((1 - r) * field[:, top, left] + r * field[:, top, right])
                moved = moved + b * ((1 - r) * field[:, bottom, left] + r * field[:, bottom, right])
                y, x = np.clip(y + moved[0], 0, height - 1), np.clip(x + moved[1], 0, width - 1)
            found[:, row, column] = np.rint(y), np.rint(x)
    return found


def towards(points: list[tuple[int, int]], height: int, width: int, speed: float = 1.0) -> torch.Tensor:
    """A field that leads every pixel to the nearest of the points."""
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).float()
    ways = torch.stack([torch.tensor(point)[:, None, None] - places for point in points])
    nearest = ways.norm(dim=1).argmin(0)
    return speed * ways.gather(0, nearest[None, None].expand(1, 2, -1, -1))[0]


def test_centroids_are_where_the_field_leads() -> None:
    rng = torch.Generator().manual_seed(0)
    field = torch.nn.functional.interpolate(torch.randn(1, 2, 3, 4, generator=rng) * 3, (9, 11), mode="bicubic")[0]
    assert np.array_equal(centroids(field, steps=7).numpy(), plain_centroids(field.double().numpy(), 7))


def test_pixels_never_leave_the_map() -> None:
    away = torch.full((2, 5, 6), 40.0)
    assert (centroids(away)[0] == 4).all()
    assert (centroids(-away) == 0).all()


def test_pixels_with_one_goal_are_one_instance() -> None:
    points = [(8, 6), (9, 30), (30, 20)]
    field = towards(points, 40, 40, speed=0.6)
    found = instances(field)
    assert found.shape == (3, 40, 40)
    assert (found.sum(0) == 1).all()
    owners = {tuple(found[:, row, column].tolist()) for row, column in points}
    assert len(owners) == 3
    goal = centroids(field)
    for part in found:
        assert len({tuple(place.tolist()) for place in goal[:, part].T}) == 1


def test_a_still_field_is_one_instance() -> None:
    assert instances(torch.zeros(2, 7, 8)).all()
    assert len(instances(torch.zeros(2, 7, 8))) == 1


def test_pixels_that_end_where_nothing_rests_come_first() -> None:
    field = torch.zeros(2, 8, 20)
    field[1, :, 10:] = 5.0  # the right half drifts to the border and never rests
    found = instances(field)
    assert found[0, :, 10:].all()
    assert found[1, :, :10].all()
    assert len(found) == 2


def test_pixels_that_move_two_and_a_half_separate_still_regions() -> None:
    for speed, count in ((2.49, 1), (2.5, 3)):
        field = torch.zeros(2, 9, 14)
        field[0, :, 6:8] = speed
        assert len(instances(field)) == count


def test_still_regions_that_touch_at_a_corner_are_two() -> None:
    field = torch.full((2, 8, 8), 9.0)
    field[:, :4, :4] = 0
    field[:, 4:, 4:] = 0
    still = instances(field)
    assert len(still) == 2
    assert not (still[:, 0, 0] & still[:, 7, 7]).any()
