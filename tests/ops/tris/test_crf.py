"""Dense CRF: against mean field over two labels with exact kernels, and the labels that come of it."""

import math

import pytest
import torch

from ops.tris.crf import IGNORE, Crf, Thresholds, mean_field, seed_labels


def exact_mean_field(image_3HW: torch.Tensor, mask_HW: torch.Tensor, crf: Crf) -> torch.Tensor:
    """Two labels, every pair of pixels, in float64: the formulas of the paper word by word."""
    height, width = mask_HW.shape
    place = torch.cartesian_prod(torch.arange(height), torch.arange(width)).double()
    colour = image_3HW.flatten(1).T.double()
    kernels = []
    for weight, features in (
        (crf.smooth_weight, place / crf.smooth_xy),
        (crf.colour_weight, torch.cat([place / crf.colour_xy, colour / crf.colour_rgb], dim=1)),
    ):
        kernel = (-0.5 * torch.cdist(features, features) ** 2).exp()
        root = kernel.sum(1).rsqrt()
        kernels.append(weight * root[:, None] * kernel * root)
    said = torch.where(mask_HW.flatten(), crf.gt_prob, 1 - crf.gt_prob).double()
    unary = torch.stack([1 - said, said]).log()
    beliefs = unary.softmax(0)
    for _ in range(crf.iterations):
        beliefs = (unary + sum(beliefs @ kernel for kernel in kernels)).softmax(0)
    return (beliefs[1] > beliefs[0]).view(height, width)


def scene(seed: int, noise: float = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """A bright disc on dark ground, and a square that covers it badly."""
    rng = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(30), torch.arange(36), indexing="ij")
    disc = (rows - 14) ** 2 + (columns - 17) ** 2 < 81
    picture = torch.where(disc, 150, 60) + noise * torch.randn(3, 30, 36, generator=rng)
    rough = (rows - 12).abs().maximum((columns - 19).abs()) < 8
    return picture.clamp(0, 255).byte(), rough


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_agrees_with_exact_mean_field(seed: int) -> None:
    picture, rough = scene(seed)
    ours = mean_field(picture, rough[None])[0]
    assert (ours != exact_mean_field(picture, rough, Crf())).float().mean() < 0.02


def test_it_follows_the_edges_of_the_picture() -> None:
    picture, rough = scene(0)
    truth = picture.float().mean(0) > 105
    assert (rough != truth).sum() > 80
    assert (mean_field(picture, rough[None])[0] != truth).sum() < 10


def test_without_kernels_the_mask_stays() -> None:
    picture, rough = scene(0)
    assert torch.equal(mean_field(picture, rough[None], crf=Crf(smooth_weight=0, colour_weight=0))[0], rough)


def test_masks_of_one_picture_do_not_disturb_each_other() -> None:
    picture, rough = scene(3)
    masks = torch.stack([rough, rough.flip(0), torch.zeros_like(rough)])
    together = mean_field(picture, masks)
    assert all(torch.equal(one, mean_field(picture, mask[None])[0]) for one, mask in zip(together, masks, strict=True))
    assert not together[2].any()


def test_seeds_are_foreground_background_and_a_zone_between() -> None:
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(44), indexing="ij")
    distance = ((rows - 20) ** 2 + (columns - 22) ** 2).sqrt()
    ring = torch.bucketize(distance, torch.tensor([8.0, 14.0]))  # three grey levels: disc, ring, ground
    picture = (200 - 60 * ring).byte().expand(3, -1, -1)
    disc_and_ring, ring_only = torch.tensor([0.9, 0.2, 0.0])[ring], torch.tensor([0.2, 0.2, 0.0])[ring]
    labels = seed_labels(picture, torch.stack([disc_and_ring, ring_only]))
    assert labels.dtype == torch.uint8
    assert torch.equal(labels[0], torch.tensor([1, IGNORE, 0], dtype=torch.uint8)[ring])
    assert torch.equal(labels[1], torch.tensor([IGNORE, IGNORE, 0], dtype=torch.uint8)[ring])


def test_foreground_wins_where_the_two_labellings_disagree() -> None:
    grey = torch.full((3, 6, 7), 100, dtype=torch.uint8)
    contrary = Thresholds(foreground=0.1, background=0.3)
    assert (seed_labels(grey, torch.full((1, 6, 7), 0.2), thresholds=contrary) == 1).all()


def test_a_response_at_the_threshold_is_not_above_it() -> None:
    flat = torch.full((1, 6, 7), 100, dtype=torch.uint8).expand(3, -1, -1)
    at_background = torch.full((1, 6, 7), 0.1)
    assert (seed_labels(flat, at_background) == 0).all()
    assert (seed_labels(flat, torch.nextafter(at_background, torch.tensor(math.inf))) == IGNORE).all()
    assert (seed_labels(flat, torch.zeros(2, 6, 7)) == 0).all()


def test_other_sizes_and_types_are_refused() -> None:
    picture, rough = scene(0)
    with pytest.raises(ValueError, match="pass uint8 RGB"):
        mean_field(picture[:, 1:], rough[None])
    with pytest.raises(ValueError, match="pass uint8 RGB"):
        mean_field(picture.float(), rough[None])
