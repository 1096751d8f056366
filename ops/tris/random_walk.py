"""Random walk over the pixels of an image, with affinities that edges interrupt (TRIS spec 4.6).

The published walk squares a dense (n, n) matrix `doublings` times. The same result is that of 2^doublings products with
the sparse matrix of at most 69 entries a row for radius 5: memory grows with n, not n^2, and all maps of an image are
multiplied together.
Shapes: K maps of one image, H x W pixels, n = H * W nodes in row-major order, D directions, the node itself included.
"""

import warnings

import torch
from torch import Tensor

from ops.tris.pixel_pairs import paths, shifted, sources_with_partner, strongest_edge

RADIUS, BETA, DOUBLINGS = 5, 10, 8
"""Pairs are closer than RADIUS pixels; exponent of affinities; log2 of the number of steps."""


def random_walk(
    maps_KHW: Tensor, edge_HW: Tensor, *, radius: int = RADIUS, beta: float = BETA, doublings: int = DOUBLINGS
) -> Tensor:
    """Propagate the maps of one image by a random walk: x (1 - edge) T^(2^doublings), (K, H, W).

    Args:
        maps_KHW: floating point; any number of maps, of any number of referents, with the same edges.
        edge_HW: probability of an edge at each pixel, same dtype.
        radius: pairs closer than this, in pixels, are connected.
        beta: exponent of the affinities.
        doublings: the walk has 2^doublings steps.

    Raises:
        ValueError: maps and edges differ in size.
    """
    if maps_KHW.shape[1:] != edge_HW.shape:
        raise ValueError(f"maps {tuple(maps_KHW.shape)} do not lie on the edges {tuple(edge_HW.shape)}: resize them")
    # Maps are columns and multiplied by the transpose of T, whose rows sum to 1: every step averages over neighbours.
    transposed_nn = transition(edge_HW, radius=radius, beta=beta)
    columns_nK = (maps_KHW * (1 - edge_HW)).flatten(1).T.contiguous()
    for _ in range(2**doublings):
        columns_nK = transposed_nn @ columns_nK
    return columns_nK.T.reshape(maps_KHW.shape)


def transition(edge_HW: Tensor, *, radius: int = RADIUS, beta: float = BETA) -> Tensor:
    """Transpose of the transition matrix T = A^beta / column sums (A symmetric), (n, n) sparse CSR."""
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
    """Affinity matrix A, dense (n, n), symmetric, 1 on the diagonal: to inspect small images."""
    affinity_nD, target_nD = _affinity_table(edge_HW, radius)
    node, direction = (target_nD >= 0).nonzero(as_tuple=True)
    dense_nn = edge_HW.new_zeros(edge_HW.numel(), edge_HW.numel())
    dense_nn[node, target_nD[node, direction]] = affinity_nD[node, direction]
    return dense_nn


def _affinity_table(edge_HW: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Affinities of nodes to their partners in all directions (n, D), and the partners' nodes in rising order.

    Outside of the image they are 0 and -1.
    """
    height, width = edge_HW.shape
    node_HW = torch.arange(height * width, device=edge_HW.device).view(height, width)
    by_target = sorted(paths(radius), key=lambda path: path[0])
    directions, middle = 2 * len(by_target) + 1, len(by_target)
    affinity_DHW = edge_HW.new_zeros(directions, height, width)
    target_DHW = node_HW.new_full((directions, height, width), -1)
    affinity_DHW[middle], target_DHW[middle] = 1, node_HW
    for number, path in enumerate(by_target, 1):
        sources = sources_with_partner(height, width, path[0])
        partners = shifted(sources, path[0])
        affinities = 1 - strongest_edge(edge_HW, path, sources)
        for direction, start, end in ((middle + number, sources, partners), (middle - number, partners, sources)):
            affinity_DHW[direction, *start], target_DHW[direction, *start] = affinities, node_HW[*end]
    return affinity_DHW.flatten(1).T, target_DHW.flatten(1).T
