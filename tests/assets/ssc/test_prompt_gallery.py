"""The candidates of a referent as a page shows that CLIP sees them."""

import numpy as np
import pytest

from assets.reports.figures import HEIGHT
from assets.ssc.candidate_masks import candidate_row
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.prompt_gallery import CANDIDATES, scored, seen
from assets.ssc.tables import CandidateRow, ChoiceRow

SCENE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def candidate(number: int, left: int) -> CandidateRow:
    mask_HW = np.zeros((60, 80), bool)
    mask_HW[10:50, left : left + 15] = True
    return candidate_row("a", number, mask_HW, label="cup", segmenter_score=0.5)


def choice(scores: list[float | None]) -> ChoiceRow:
    numbers = list(range(len(scores)))
    return ChoiceRow(
        ref_id=1,
        image_id="a",
        candidates=numbers,
        scores=scores,
        reason="clip",
        chosen=0,
        chosen_by_sentence=[0],
        rle=None,
        height=60,
        width=80,
    )


def test_the_largest_scores_come_first_and_what_has_none_is_left_out() -> None:
    assert list(scored(choice([20.0, None, 25.0])).items()) == [(2, 25.0), (0, 20.0)]
    assert len(scored(choice([float(number) for number in range(9)]))) == CANDIDATES


@pytest.mark.parametrize("crop", ["pad", "center"])
def test_a_candidate_stays_sharp_where_all_else_is_blurred(crop: str) -> None:
    panels = seen(ChoiceKnobs(crop=crop, sigma=20), choice([20.0, 25.0]), [candidate(0, 12), candidate(1, 50)], SCENE)
    assert [title for title, _ in panels] == ["25.00", "20.00, chosen"]
    assert {picture.shape for _, picture in panels} == {(HEIGHT, HEIGHT, 3)}
    unrest = [[half.std() for half in np.split(picture[60:110].astype(float), 2, axis=1)] for _, picture in panels]
    assert unrest[0][0] < unrest[0][1]
    assert unrest[1][1] < unrest[1][0]


def test_a_red_ellipse_is_drawn_where_that_is_the_prompt() -> None:
    (_, picture), *_ = seen(
        ChoiceKnobs(prompt="red_ellipse", crop="pad"), choice([20.0]), [candidate(0, 30)], SCENE // 8
    )
    assert ((picture[..., 0] > 180) & (picture[..., 1] < 80)).sum() > 100
