"""Random walk over the pixels of a picture that does not cross edges (TRIS spec 4.6).

The published walk squares a dense (n, n) matrix `doublings` times. The same result comes from 2^doublings products with
the sparse matrix of at most 69 entries a row for radius 5: memory grows with n, not n^2, and all maps of a picture walk
at once. Shapes: K maps of one picture, H x W pixels, n = H * W nodes in row-major order, D directions, itself included.
"""

import warnings

import torch
from torch import Tensor

from ops.tris.pixel_pairs import all_sources, moved, paths, strongest_edge

RADIUS, BETA, DOUBLINGS = 5, 10, 8
"""Pairs closer than so many pixels; the power that sharpens affinities; log2 of the number of steps."""


def random_walk(
    maps_KHW: Tensor, edge_HW: Tensor, *, radius: int = RADIUS, beta: float = BETA, doublings: int = DOUBLINGS
) -> Tensor:
    """Let the maps of one picture spread until edges hold them: x (1 - edge) T^(2^doublings), (K, H, W).

    Args:
        maps_KHW: what walks, floating point; any number of maps, of any number of objects, with the same edges.
        edge_HW: probability of an edge at each pixel, same dtype.
        radius: pairs closer than so many pixels are connected.
        beta: power of the affinities.
        doublings: 2^doublings steps.

    Raises:
        ValueError: maps and edges differ in size.
    """
    if maps_KHW.shape[1:] != edge_HW.shape:
        raise ValueError(f"maps {tuple(maps_KHW.shape)} do not lie on the edges {tuple(edge_HW.shape)}: resize them")
    # As columns the maps walk by the transpose of T, whose rows sum to 1: every step is an average over neighbours.
    backward_nn = transition(edge_HW, radius=radius, beta=beta)
    walking_nK = (maps_KHW * (1 - edge_HW)).flatten(1).T.contiguous()
    for _ in range(2**doublings):
        walking_nK = backward_nn @ walking_nK
    return walking_nK.T.reshape(maps_KHW.shape)


def transition(edge_HW: Tensor, *, radius: int = RADIUS, beta: float = BETA) -> Tensor:
    """The transpose of T = A^beta / column sums (A symmetric) as a sparse CSR matrix, (n, n)."""
    height, width = edge_HW.shape
    affinity_nD, target_nD = _affinity_table(edge_HW, radius)
    weight_nD = affinity_nD**beta
    weight_nD /= weight_nD.sum(1, keepdim=True)
    present_nD = target_nD >= 0
    ends = torch.cat([present_nD.new_zeros(1, dtype=torch.long), present_nD.sum(1).cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(
            ends, target_nD[present_nD], weight_nD[present_nD], (height * width,) * 2, check_invariants=False
        )


def affinity(edge_HW: Tensor, *, radius: int = RADIUS) -> Tensor:
    """The symmetric affinity A as a dense (n, n) matrix, 1 on the diagonal: for looking at small pictures."""
    affinity_nD, target_nD = _affinity_table(edge_HW, radius)
    node, direction = (target_nD >= 0).nonzero(as_tuple=True)
    dense_nn = edge_HW.new_zeros(edge_HW.numel(), edge_HW.numel())
    dense_nn[node, target_nD[node, direction]] = affinity_nD[node, direction]
    return dense_nn


def _affinity_table(edge_HW: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Affinities to the partners in all directions (n, D), and their nodes, rising; 0 and -1 off the picture."""
    height, width = edge_HW.shape
    node_HW = torch.arange(height * width, device=edge_HW.device).view(height, width)
    by_target = sorted(paths(radius), key=lambda path: path[0])
    directions, middle = 2 * len(by_target) + 1, len(by_target)
    affinity_DHW = edge_HW.new_zeros(directions, height, width)
    target_DHW = node_HW.new_full((directions, height, width), -1)
    affinity_DHW[middle], target_DHW[middle] = 1, node_HW
    for number, path in enumerate(by_target, 1):
        near = all_sources(height, width, path[0])
        far = moved(near, path[0])
        alike = 1 - strongest_edge(edge_HW, path, near)
        for direction, here, there in ((middle + number, near, far), (middle - number, far, near)):
            affinity_DHW[direction, *here], target_DHW[direction, *here] = alike, node_HW[*there]
    return affinity_DHW.flatten(1).T, target_DHW.flatten(1).T
