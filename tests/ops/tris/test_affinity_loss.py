"""The four losses against plain loops over pairs."""

import math

import pytest
import torch

from ops.tris.affinity_loss import EPSILON, affinity_losses, label_pairs
from ops.tris.pixel_pairs import affinities, paths, sources


def plain(edges: torch.Tensor, drift: torch.Tensor, labels: torch.Tensor, radius: int) -> list[float]:
    """Every pair of every picture, one at a time: alike, different, drift of foreground and background."""
    width = labels.shape[2]
    affinity = affinities(edges.sigmoid(), radius).double()
    flat = sources(torch.arange(labels[0].numel()).view(labels.shape[1:]), radius).tolist()
    sums = {name: [0.0, 0] for name in ("bg", "fg", "apart", "drift fg", "drift bg")}

    def add(name: str, value: float) -> None:
        sums[name][0] += value
        sums[name][1] += 1

    for picture in range(len(labels)):
        for number, path in enumerate(paths(radius)):
            dy, dx = path[0]
            for at, source in enumerate(flat):
                y, x = divmod(source, width)
                ends = int(labels[picture, y, x]), int(labels[picture, y + dy, x + dx])
                alike = float(affinity[picture, number, at])
                moved = (drift[picture, :, y, x] - drift[picture, :, y + dy, x + dx]).tolist()
                if max(ends) > 20:
                    continue
                if ends[0] != ends[1]:
                    add("apart", -math.log(1 + EPSILON - alike))
                elif ends[0]:
                    add("fg", -math.log(alike + EPSILON))
                    add("drift fg", abs(moved[0] - dy) + abs(moved[1] - dx))
                else:
                    add("bg", -math.log(alike + EPSILON))
                    add("drift bg", abs(moved[0]) + abs(moved[1]))
    mean = {name: total / (count + EPSILON) for name, (total, count) in sums.items()}
    return [(mean["bg"] + mean["fg"]) / 2, mean["apart"], mean["drift fg"] / 2, mean["drift bg"] / 2]


def test_the_losses_are_means_over_the_pairs_of_the_whole_batch() -> None:
    rng = torch.Generator().manual_seed(0)
    edges, drift = torch.randn(2, 8, 9, generator=rng), torch.randn(2, 2, 8, 9, generator=rng)
    labels = torch.tensor([0, 1, 255, 0, 1], dtype=torch.uint8)[torch.randint(0, 5, (2, 8, 9), generator=rng)]
    ours = affinity_losses(edges, drift, labels, radius=3)
    terms = [ours.same_label, ours.different_label, ours.displacement_foreground, ours.displacement_background]
    assert [term.item() for term in terms] == pytest.approx(plain(edges, drift, labels, 3), rel=1e-4)
    assert ours.total.item() == pytest.approx(sum(term.item() for term in terms) / 2)


def test_ignored_pixels_are_in_no_pair() -> None:
    pairs = label_pairs(torch.full((1, 9, 9), 255, dtype=torch.uint8), radius=3)
    assert not (pairs.background | pairs.foreground | pairs.different).any()


def test_labels_that_say_nothing_cost_nothing_and_stay_finite() -> None:
    edges = torch.zeros(1, 9, 9, requires_grad=True)
    losses = affinity_losses(edges, torch.ones(1, 2, 9, 9), torch.full((1, 9, 9), 255, dtype=torch.uint8), radius=3)
    assert losses.total.item() == 0
    (gradient,) = torch.autograd.grad(losses.total, edges)
    assert not gradient.any()


def test_certain_edges_cost_a_finite_loss() -> None:
    labels = (torch.arange(9) > 4).byte().expand(1, 9, 9)
    for logit in (-200.0, 200.0):
        losses = affinity_losses(torch.full((1, 9, 9), logit), torch.zeros(1, 2, 9, 9), labels, radius=3)
        assert torch.isfinite(losses.total)


def test_a_field_that_points_to_the_centre_of_the_object_costs_nothing_inside() -> None:
    places = torch.stack(torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij"))
    labels = torch.ones(1, 9, 9, dtype=torch.uint8)
    assert affinity_losses(torch.zeros(1, 9, 9), 4 - places[None], labels, radius=3).displacement_foreground.item() == 0
    assert affinity_losses(torch.zeros(1, 9, 9), places[None], labels, radius=3).displacement_foreground.item() > 1
