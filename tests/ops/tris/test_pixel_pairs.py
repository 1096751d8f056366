"""Paths between pixels, pairs on a map, and the strongest edge between two pixels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ops.tris.pixel_pairs import (
    affinities,
    offsets_O2,
    partners,
    path_to,
    paths,
    sources,
    sources_with_partner,
    strongest_edge,
)


@pytest.mark.parametrize(("radius", "count"), [(2, 4), (5, 34), (10, 152)])
def test_every_direction_closer_than_the_radius_is_there_once(radius: int, count: int) -> None:
    ends = {path[0] for path in paths(radius)}
    assert len(ends) == len(paths(radius)) == count
    around = ends | {(-dy, -dx) for dy, dx in ends}
    near = range(-radius, radius + 1)
    assert around == {(dy, dx) for dy in near for dx in near if 0 < dy * dy + dx * dx < radius * radius}
    assert [len(path) for path in paths(radius)] == sorted(len(path) for path in paths(radius))


@given(st.integers(0, 9), st.integers(-9, 9))
def test_a_path_holds_the_points_near_the_line_and_both_ends(dy: int, dx: int) -> None:
    if (dy, dx) == (0, 0):
        return
    path, length = path_to((dy, dx)), math.hypot(dy, dx)
    assert path[0] == (dy, dx)
    assert path[-1] == (0, 0)
    for y in range(dy + 1):
        for x in range(min(dx, 0), max(dx, 0) + 1):
            distance = abs(dy * x - dx * y) / length
            if abs(distance - 1) > 1e-9:
                assert ((y, x) in path) == (distance < 1)


def test_points_a_whole_pixel_away_are_not_on_the_path() -> None:
    assert path_to((3, 4)) == ((3, 4), (2, 4), (3, 3), (2, 3), (2, 2), (1, 2), (1, 1), (0, 1), (1, 0), (0, 0))


def test_pairs_are_a_pixel_and_the_pixel_at_the_offset() -> None:
    places = torch.stack(torch.meshgrid(torch.arange(11), torch.arange(14), indexing="ij"))
    here_2S, there_2OS = sources(places, 4), partners(places, 4)
    assert torch.equal(there_2OS - here_2S[:, None], offsets_O2(4).T[..., None].expand_as(there_2OS))
    assert (int(here_2S[0].max()), int(here_2S[1].min()), int(here_2S[1].max())) == (7, 3, 10)
    assert len(set(map(tuple, here_2S.T.tolist()))) == here_2S.shape[1] == 8 * 8


def test_affinity_is_one_minus_the_strongest_edge_on_the_way() -> None:
    edges = torch.rand(2, 9, 12, generator=torch.Generator().manual_seed(0))
    ours = affinities(edges, 4)
    places = [(int(at) // 12, int(at) % 12) for at in sources(torch.arange(9 * 12).view(9, 12), 4)]
    for number, path in enumerate(paths(4)):
        for source, (y, x) in enumerate(places):
            strongest = torch.stack([edges[:, y + dy, x + dx] for dy, dx in path]).amax(0)
            assert torch.equal(ours[:, number, source], 1 - strongest)


def test_the_gradient_of_an_affinity_reaches_only_its_strongest_edge() -> None:
    edges = torch.rand(9, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    number = next(at for at, path in enumerate(paths(4)) if path[0] == (0, 3))
    (gradient,) = torch.autograd.grad(affinities(edges, 4)[number, 0], edges)
    assert gradient.count_nonzero() == 1
    assert gradient.flatten()[int(edges[0, 3:7].argmax()) + 3] == -1


@pytest.mark.parametrize("offset", [(0, 2), (3, -4), (4, 4)])
@pytest.mark.parametrize("size", [(2, 3), (4, 4), (6, 5)])
def test_all_sources_are_those_with_a_partner_on_the_map(offset: tuple[int, int], size: tuple[int, int]) -> None:
    (height, width), (dy, dx) = size, offset
    expected = sum(y + dy < height and 0 <= x + dx < width for y in range(height) for x in range(width))
    where = sources_with_partner(height, width, offset)
    assert torch.zeros(size)[where].numel() == expected
    assert strongest_edge(torch.zeros(size), path_to(offset), where).numel() == expected


def test_maps_without_any_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="larger"):
        sources(torch.zeros(20, 18), 10)
