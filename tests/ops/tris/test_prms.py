"""Which of an object's maps is kept, and how it is saved."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ops.tris.calibration import Scorer
from ops.tris.prms import agreements, normalised_map, select
from tests.ops.tris import tiny


def test_every_map_is_compared_with_every_text_and_encoded_once() -> None:
    scorer, image = Scorer(tiny.clip(tiny.VIT)), tiny.images(1)[0]
    maps, texts = torch.rand(3, tiny.SIDE, tiny.SIDE) * 5, F.normalize(torch.randn(3, tiny.EMBED), dim=-1)
    passes: list[int] = []
    scorer.clip.visual.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    found = agreements(scorer, image, maps, texts)
    assert passes == [3]
    for t in range(3):
        for m in range(3):
            alone = scorer.embed_masked(image[None], maps[t][None, None])[0]
            assert found[t, m] == pytest.approx(float(alone @ texts[m]), abs=1e-5)


def test_the_largest_sum_wins_not_the_largest_entry_and_not_a_column() -> None:
    assert select(np.array([[0.9, -0.5, 0.0], [0.3, 0.3, 0.2], [0.6, 0.0, 0.1]])) == 1


def test_the_first_of_equals_wins_whatever_the_order_of_summands() -> None:
    rows = np.array([[0.0, 0.1, 0.0], [0.3, 0.2, 0.1], [0.1, 0.2, 0.3]])
    assert sum(rows[1]) != sum(rows[2])  # plain floating point would see a winner
    assert select(rows) == select(rows[:, ::-1]) == 1


def test_a_single_expression_is_selected_even_if_it_disagrees() -> None:
    assert select(np.array([[-1.0]])) == 0


@pytest.mark.parametrize("table", [np.zeros((0, 0)), np.array([[np.nan]])])
def test_nothing_to_select_from_is_refused(table: np.ndarray) -> None:
    with pytest.raises(ValueError, match="missing or not finite"):
        select(table)


def test_a_saved_map_lies_in_zero_to_one_at_the_images_size() -> None:
    small = torch.tensor([[0.0, 4.0], [2.0, 8.0]])
    found = normalised_map(small, (3, 5))
    assert found.shape == (3, 5)
    assert found.dtype == torch.float32
    assert found.max() < 1
    np.testing.assert_allclose(found[[0, 0, 2, 2], [0, 4, 0, 4]], [0, 0.5, 0.25, 1], atol=1e-5)  # corners stay
    np.testing.assert_allclose(found[1, 2], 3.5 / 8, atol=1e-5)


def test_an_empty_map_stays_empty() -> None:
    assert normalised_map(torch.zeros(2, 2), (3, 3)).abs().max() == 0
