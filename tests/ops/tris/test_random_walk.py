"""The sparse walk against dense squaring, and what a walk may not do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.tris.pixel_pairs import path_to
from ops.tris.random_walk import affinity, random_walk, transition


def dense_walk(
    maps: torch.Tensor, edge: torch.Tensor, *, radius: int = 5, beta: float = 10, doublings: int = 8
) -> torch.Tensor:
    """Spec 4.6 as written: a dense affinity from loops over pixels, column sums, squarings, a row vector times T."""
    height, width = edge.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    alike = torch.eye(len(places), dtype=edge.dtype)
    for one, (y, x) in enumerate(places):
        for other, (v, u) in enumerate(places):
            dy, dx = v - y, u - x
            if one != other and dy * dy + dx * dx < radius * radius and (dy > 0 or (dy == 0 and dx > 0)):
                strongest = max(float(edge[y + a, x + b]) for a, b in path_to((dy, dx)))
                alike[one, other] = alike[other, one] = 1 - strongest
    step = alike**beta / (alike**beta).sum(0)
    for _ in range(doublings):
        step = step @ step
    return ((maps * (1 - edge)).flatten(1) @ step).view(maps.shape)


@settings(max_examples=8)
@given(st.integers(1, 7), st.integers(1, 8), st.integers(2, 5), st.integers(0, 4), st.integers(0, 2**31))
def test_it_is_the_dense_walk(height: int, width: int, radius: int, doublings: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    edge = torch.rand(height, width, generator=rng).double() * 0.9
    maps = torch.rand(3, height, width, generator=rng).double()
    ours = random_walk(maps, edge, radius=radius, beta=3, doublings=doublings)
    assert torch.allclose(ours, dense_walk(maps, edge, radius=radius, beta=3, doublings=doublings), atol=1e-12)


def test_in_single_precision_it_stays_near_the_double_one() -> None:
    rng = torch.Generator().manual_seed(0)
    edge, maps = torch.rand(12, 13, generator=rng) ** 3, torch.rand(2, 12, 13, generator=rng)
    assert (random_walk(maps, edge) - random_walk(maps.double(), edge.double())).abs().max() < 1e-4


def test_no_pixel_is_connected_across_a_wall() -> None:
    edge = torch.zeros(12, 17)
    edge[:, 8] = 1
    maps = torch.zeros(1, 12, 17)
    maps[:, :, :5] = 1
    walked = random_walk(maps, edge)[0]
    assert (walked[:, 8:] == 0).all()
    assert (walked[:, :8] > 0.5).all()


def test_it_averages_so_that_nothing_exceeds_its_start() -> None:
    rng = torch.Generator().manual_seed(2)
    edge, maps = torch.rand(9, 10, generator=rng), torch.rand(4, 9, 10, generator=rng)
    starts = maps * (1 - edge)
    walked = random_walk(maps, edge)
    assert (walked <= starts.amax((1, 2), keepdim=True) + 1e-4).all()
    assert (walked >= starts.amin((1, 2), keepdim=True) - 1e-4).all()
    assert torch.allclose(transition(edge).to_dense().sum(1), torch.ones(90))


def test_maps_walk_independently() -> None:
    rng = torch.Generator().manual_seed(3)
    edge, maps = torch.rand(9, 10, generator=rng), torch.rand(4, 9, 10, generator=rng)
    alone = torch.cat([random_walk(one[None], edge) for one in maps])
    assert torch.allclose(random_walk(maps, edge), alone, atol=1e-6)
    assert not random_walk(torch.zeros(1, 9, 10), edge).any()


def test_affinity_is_symmetric_with_ones_on_the_diagonal_and_sparse() -> None:
    alike = affinity(torch.rand(20, 21, generator=torch.Generator().manual_seed(4)) * 0.9)
    assert torch.equal(alike, alike.T)
    assert (alike.diagonal() == 1).all()
    assert int((alike > 0).sum(1).max()) == 69


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="resize"):
        random_walk(torch.zeros(1, 4, 4), torch.zeros(4, 5))
