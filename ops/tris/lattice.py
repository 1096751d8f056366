"""Gaussian filtering in time linear in the points: the permutohedral lattice of Adams, Baek and Davis (2010).

Values are splatted to the corners of the lattice simplex around each point, blurred along the d + 1 lattice directions
and sliced. The published dense CRFs filter by this lattice, too, so that the approximation is the same.
Shapes: N points, D features, V = D + 1 corners of a simplex, M lattice points in use, K rows of values.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ops.refusal import Refused


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """The permutohedral lattice of a set of points: filters values at these points."""

    corners_NV: Tensor
    """Rows of the lattice points at the corners of each point's simplex."""
    weights_NV: Tensor
    """Barycentric weights of the corners; they sum to 1."""
    neighbours_V2M: Tensor
    """Rows of the two neighbours along each direction; where there is none M, the index of a row of zeros."""
    root_norm_N: Tensor
    """1 / sqrt of the unnormalised response to ones: one factor of the symmetric normalisation."""

    @classmethod
    def of(cls, features_ND: Tensor) -> "Lattice":
        """Build the lattice of points whose features are divided by their standard deviations.

        Raises:
            Refused: the features spread over so many standard deviations that lattice points cannot be numbered.
        """
        keys_NVD, weights_NV = _simplices(features_ND.float())
        numbers, unit_D = _numbered(keys_NVD)
        points_M, corners = torch.unique(numbers, return_inverse=True)
        neighbours_V2M = _neighbours(points_M, unit_D)
        corners_NV = corners.view(weights_NV.shape)
        ones_1N = weights_NV.new_ones(1, len(weights_NV))
        response_N = _filter(ones_1N, corners_NV, weights_NV, neighbours_V2M)[0]
        return cls(
            corners_NV=corners_NV,
            weights_NV=weights_NV,
            neighbours_V2M=neighbours_V2M,
            root_norm_N=(response_N + 1e-20).rsqrt(),
        )

    def filter(self, values_KN: Tensor) -> Tensor:
        """Apply D^-1/2 G D^-1/2 to each of K rows of values, G the Gaussian and D its row sums; (K, N)."""
        scaled_KN = values_KN * self.root_norm_N
        return _filter(scaled_KN, self.corners_NV, self.weights_NV, self.neighbours_V2M) * self.root_norm_N


def _filter(values_KN: Tensor, corners_NV: Tensor, weights_NV: Tensor, neighbours_V2M: Tensor) -> Tensor:
    """Splat, blur and slice, without normalisation."""
    count = neighbours_V2M.shape[2]
    grid_MK = values_KN.new_zeros(count + 1, len(values_KN))
    for corners_N, weights_N in zip(corners_NV.T, weights_NV.T, strict=True):
        grid_MK.index_add_(0, corners_N, (values_KN * weights_N).T)
    for up_M, down_M in neighbours_V2M:
        grid_MK[:count].add_(grid_MK.index_select(0, up_M) + grid_MK.index_select(0, down_M), alpha=0.5)
    sliced_KN = torch.zeros_like(values_KN)
    for corners_N, weights_N in zip(corners_NV.T, weights_NV.T, strict=True):
        sliced_KN += grid_MK[corners_N].T * weights_N
    return sliced_KN


def _simplices(features_ND: Tensor) -> tuple[Tensor, Tensor]:
    """Corners of each point's simplex, integers (N, V, D) without the redundant last coordinate, and weights (N, V)."""
    dims = features_ND.shape[1]
    elevated_NV = _elevated(features_ND)
    whole_NV = (elevated_NV / (dims + 1)).round()
    residue_NV = elevated_NV - whole_NV * (dims + 1)
    # A coordinate's rank is the corner where it steps down; ranks outside 0..d wrap to the next point of remainder 0.
    rank_NV = residue_NV.argsort(dim=1, descending=True, stable=True).argsort(1) + whole_NV.sum(1, keepdim=True).long()
    wrap_NV = (rank_NV < 0).long() - (rank_NV > dims).long()
    rank_NV = rank_NV + wrap_NV * (dims + 1)
    nearest_NV = (whole_NV.long() + wrap_NV) * (dims + 1)
    share_NV = (elevated_NV - nearest_NV) / (dims + 1)
    # Corner 0 has the remainder to 1; corner k the gap between the coordinates of rank d - k and d - k + 1.
    ordered_NV = torch.empty_like(share_NV).scatter_(1, rank_NV, share_NV)
    weights_NV = torch.cat([1 + ordered_NV[:, -1:] - ordered_NV[:, :1], -ordered_NV.diff(dim=1).flip(1)], dim=1)
    corner_V1 = torch.arange(dims + 1, device=features_ND.device)[:, None]
    steps_NVV = corner_V1 - (dims + 1) * (rank_NV[:, None] > dims - corner_V1)
    return (nearest_NV[:, None] + steps_NVV)[..., :dims], weights_NV


def _elevated(features_ND: Tensor) -> Tensor:
    """The points on the hyperplane of zero sum in D + 1 dimensions, scaled so that lattice blur has unit deviation."""
    dims = features_ND.shape[1]
    axis_D = torch.arange(1, dims + 1, device=features_ND.device)
    scaled_ND = features_ND * ((2 / 3) ** 0.5 * (dims + 1) / (axis_D * (axis_D + 1)).sqrt())
    zero_N1 = scaled_ND.new_zeros(len(scaled_ND), 1)
    later_NV = torch.cat([scaled_ND.flip(1).cumsum(1).flip(1), zero_N1], dim=1)
    return later_NV - torch.cat([zero_N1, axis_D * scaled_ND], dim=1)


def _numbered(keys_NVD: Tensor) -> tuple[Tensor, Tensor]:
    """One integer per lattice point (N * V,), and its step per coordinate (D,); those of neighbours are different."""
    dims = keys_NVD.shape[2]
    flat_KD = keys_NVD.flatten(0, 1)
    low_D, high_D = flat_KD.amin(0) - dims, flat_KD.amax(0) + dims
    sizes = (high_D - low_D + 1).tolist()
    units, total = [], 1
    for size in sizes:
        units.append(total)
        total *= size
    if total >= 2**63:
        raise Refused(f"{sizes} lattice points along the axes are too many to number: use larger deviations")
    unit_D = torch.tensor(units, device=keys_NVD.device)
    return ((flat_KD - low_D) * unit_D).sum(1), unit_D


def _neighbours(points_M: Tensor, unit_D: Tensor) -> Tensor:
    """Rows (V, 2, M) of the neighbours: all coordinates one up and the direction's own d down, and the reverse."""
    dims, count = len(unit_D), len(points_M)
    all_up = unit_D.sum()
    jump_V = torch.cat([all_up - (dims + 1) * unit_D, all_up[None]])
    wanted_V2M = points_M + torch.stack([jump_V, -jump_V], dim=1)[..., None]
    found_V2M = torch.searchsorted(points_M, wanted_V2M).clamp_(max=count - 1)
    return torch.where(points_M[found_V2M] == wanted_V2M, found_V2M, count)
