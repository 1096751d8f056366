"""Refined masks: what walks together, what counts as the object, and objects without a response."""

import pytest
import torch

from ops.tris.instance_clusters import instances
from ops.tris.pseudo_labels import divided_by_maximum, grid_size, refined_masks, resized_to_grid, upsampled
from ops.tris.random_walk import random_walk
from tests.ops.tris.test_instance_clusters import towards


def two_boxes() -> tuple[torch.Tensor, torch.Tensor]:
    """A grid with a wall round each of two boxes, and a field that leads into either."""
    edge = torch.full((16, 24), 0.02)
    for columns in (slice(2, 11), slice(13, 22)):
        box = torch.zeros(16, 24, dtype=torch.bool)
        box[3:13, columns] = True
        inside = torch.zeros_like(box)
        inside[4:12, columns.start + 1 : columns.stop - 1] = True
        edge[box & ~inside] = 1.0
    return edge, towards([(8, 6), (8, 17)], 16, 24)


def spot(row: int, column: int) -> torch.Tensor:
    """A response of 62 x 93 pixels around one place."""
    rows, columns = torch.meshgrid(torch.arange(62.0), torch.arange(93.0), indexing="ij")
    return (-((rows - row) ** 2 + (columns - column) ** 2) / 60).exp()


def test_a_spot_grows_into_its_box() -> None:
    edge, field = two_boxes()
    left, right = refined_masks(torch.stack([spot(30, 24), spot(32, 68)]), edge, field)
    assert left.shape == (62, 93)
    assert left[20:44, 16:36].all()
    assert not left[:, 46:].any()
    assert right[20:44, 60:80].all()
    assert not right[:, :46].any()


def test_objects_of_a_picture_do_not_disturb_each_other() -> None:
    edge, field = two_boxes()
    maps = torch.stack([spot(30, 24), 5 * spot(32, 68), torch.zeros(62, 93)])
    together = refined_masks(maps, edge, field)
    assert torch.equal(together, torch.cat([refined_masks(one[None], edge, field) for one in maps]))


def test_an_object_without_a_response_gets_an_empty_mask() -> None:
    edge, field = two_boxes()
    assert not refined_masks(torch.zeros(2, 62, 93), edge, field).any()


def test_a_response_that_edges_swallow_gets_an_empty_mask() -> None:
    assert not refined_masks(torch.ones(1, 62, 93), torch.ones(16, 24), torch.zeros(2, 16, 24)).any()


def test_the_mask_is_the_union_over_instances_of_one_common_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few maps at a time, against all of them at once."""
    monkeypatch.setattr("ops.tris.pseudo_labels.MAPS_AT_ONCE", 5)
    rng = torch.Generator().manual_seed(0)
    edge, field = torch.rand(16, 24, generator=rng) ** 3, torch.randn(2, 16, 24, generator=rng) * 3
    maps, parts = torch.rand(4, 62, 93, generator=rng), instances(field)
    assert len(parts) > 3
    for one, ours in zip(maps, refined_masks(maps, edge, field), strict=True):
        large = upsampled(random_walk(resized_to_grid(one[None]) * parts, edge), (62, 93))
        assert torch.equal(ours, ((large / large.max()) > 0.25).any(0))


def test_a_pixel_at_the_threshold_is_background() -> None:
    shares = divided_by_maximum(torch.tensor([[[0.5, 2.0, 0.5001]], [[0.0, 0.0, 0.0]]]))
    assert (shares > 0.25).tolist() == [[[False, True, True]], [[False, False, False]]]
    assert not shares[1].any()


def test_the_corners_of_the_grid_are_the_corners_of_the_picture() -> None:
    response = torch.rand(2, 62, 93, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        resized_to_grid(response)[:, [0, 0, -1, -1], [0, -1, 0, -1]], response[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    )


@pytest.mark.parametrize(("side", "cells"), [(1, 1), (4, 1), (5, 2), (61, 16), (64, 16), (65, 17)])
def test_the_grid_covers_every_fourth_pixel(side: int, cells: int) -> None:
    assert grid_size(side, side) == (cells, cells) == (len(range(0, side, 4)),) * 2


def test_edges_of_another_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="same image"):
        refined_masks(torch.zeros(1, 62, 93), torch.zeros(16, 23), torch.zeros(2, 16, 24))
