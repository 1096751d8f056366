"""Responses inside and outside of candidates, against a plain formulation."""

import numpy as np
import torch

from ops.ssc.response_contrast import coverage, response_contrast


def test_the_contrast_is_the_mean_inside_minus_outside_in_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    maps_Shw, masks_Nhw = rng.gamma(1.0, 3.0, (2, 6, 5)), rng.random((3, 6, 5)) > 0.6
    found_SN = response_contrast(torch.from_numpy(maps_Shw), torch.from_numpy(masks_Nhw))
    expected = [[(one[mask].mean() - one[~mask].mean()) / one.std() for mask in masks_Nhw] for one in maps_Shw]
    assert np.allclose(found_SN, expected)
    rescaled_SN = response_contrast(torch.from_numpy(7 * maps_Shw + 3), torch.from_numpy(masks_Nhw))
    assert np.allclose(rescaled_SN, expected)


def test_what_tells_nothing_apart_says_nothing() -> None:
    masks_Nhw = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks_Nhw[0, :2], masks_Nhw[1] = True, True
    flat, slope = torch.full((4, 4), 2.0), torch.arange(16.0).reshape(4, 4)
    found_SN = response_contrast(torch.stack([flat, slope]), masks_Nhw)
    assert found_SN[0].tolist() == [0, 0, 0]
    assert found_SN[1, 0] < -1
    assert found_SN[1, 1:].tolist() == [0, 0]


def test_a_candidate_smaller_than_a_pixel_of_the_map_still_counts() -> None:
    mask_HW = torch.zeros(1, 30, 60, dtype=torch.bool)
    mask_HW[0, 1, 2] = True
    covered_hw = coverage(mask_HW, size=(6, 6))[0]
    assert covered_hw[0, 0] == 1 / 50
    map_hw = torch.zeros(1, 6, 6)
    map_hw[0, 0, 0] = 1.0
    assert response_contrast(map_hw, covered_hw[None])[0, 0] > 5
