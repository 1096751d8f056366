"""The lattice against the exact Gaussian, and what barycentric weights promise."""

import pytest
import torch

from ops.tris.lattice import Lattice


def exact(features_ND: torch.Tensor, values_KN: torch.Tensor) -> torch.Tensor:
    """D^-1/2 G D^-1/2 with every pair of points, in float64."""
    kernel = (-0.5 * torch.cdist(features_ND.double(), features_ND.double()) ** 2).exp()
    root = kernel.sum(1).rsqrt()
    return (values_KN.double() * root) @ kernel * root


@pytest.mark.parametrize(("dims", "spread"), [(1, 5.0), (2, 8.0), (3, 2.0), (5, 1.0)])
def test_it_filters_like_the_exact_gaussian_within_a_few_per_cent(dims: int, spread: float) -> None:
    rng = torch.Generator().manual_seed(dims)
    features, values = torch.rand(700, dims, generator=rng) * spread, torch.rand(3, 700, generator=rng)
    expected = exact(features, values)
    assert (Lattice.of(features).filter(values) - expected).norm() < 0.05 * expected.norm()


def test_on_a_dense_grid_of_pixels_it_is_within_a_hundredth() -> None:
    places = torch.cartesian_prod(torch.arange(30.0), torch.arange(30.0)) / 3
    values = torch.rand(3, 900, generator=torch.Generator().manual_seed(0))
    expected = exact(places, values)
    assert (Lattice.of(places).filter(values) - expected).norm() < 0.01 * expected.norm()


def test_points_far_apart_do_not_hear_each_other() -> None:
    lattice = Lattice.of(torch.tensor([[0.0, 0.0], [50.0, 0.0], [-40.0, 70.0]]))
    assert torch.allclose(lattice.filter(torch.eye(3)), torch.eye(3))


def test_filtering_is_linear() -> None:
    lattice = Lattice.of(torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) * 4)
    matrix = lattice.filter(torch.eye(200))
    values = torch.randn(4, 200, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(lattice.filter(values), values @ matrix, atol=1e-5)
    assert (matrix >= 0).all()


def test_corner_weights_are_shares() -> None:
    lattice = Lattice.of(torch.rand(500, 5, generator=torch.Generator().manual_seed(1)) * 30 - 15)
    assert lattice.weights_NV.amin() > -1e-5
    assert torch.allclose(lattice.weights_NV.sum(1), torch.ones(500), atol=1e-5)


def test_features_too_wide_to_number_are_refused() -> None:
    with pytest.raises(ValueError, match="larger deviations"):
        Lattice.of(torch.tensor([[0.0] * 5, [1e4] * 5]))
