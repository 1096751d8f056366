"""The candidates of a referent as a page shows that CLIP sees them."""

import subprocess
import sys

import numpy as np
import pytest

from assets.reports.figures import HEIGHT
from assets.ssc.candidate_masks import candidate_row
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.prompt_gallery import CANDIDATES, scored, seen
from assets.ssc.tables import CandidateRow, ChoiceRow
from resources.models.clip_images import OPENAI, Preparation
from tests.paths import ROOT

SCENE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def candidate(number: int, left: int, width: int = 80) -> CandidateRow:
    mask_HW = np.zeros((60, width), bool)
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


def test_a_page_without_prompts_imports_no_torch_and_one_with_them_no_open_clip() -> None:
    code = "import sys, assets.reports.report; print('torch' in sys.modules)\nimport assets.ssc.prompting\n"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}print('open_clip' in sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["False", "False"]


def test_the_largest_scores_come_first_and_what_has_none_is_left_out() -> None:
    assert list(scored(choice([20.0, None, 25.0])).items()) == [(2, 25.0), (0, 20.0)]
    nine = scored(choice([float(number) for number in range(9)]))
    assert list(nine) == [8, 7, 6, 5, 0]  # the last one was chosen, say by a person or because others compete
    assert len(nine) == CANDIDATES


@pytest.mark.parametrize("crop", ["pad", "center"])
def test_a_candidate_stays_sharp_where_all_else_is_blurred(crop: str) -> None:
    panels = seen(
        ChoiceKnobs(crop=crop, sigma=20),
        choice([20.0, 25.0]),
        [candidate(0, 12), candidate(1, 50)],
        SCENE,
        preparation=OPENAI,
    )
    assert [title for title, _ in panels] == ["25.00", "20.00, chosen"]
    assert {picture.shape for _, picture in panels} == {(HEIGHT, HEIGHT, 3)}
    unrest = [[half.std() for half in np.split(picture[60:110].astype(float), 2, axis=1)] for _, picture in panels]
    assert unrest[0][0] < unrest[0][1]
    assert unrest[1][1] < unrest[1][0]


def test_a_red_ellipse_is_drawn_where_that_is_the_prompt() -> None:
    (_, picture), *_ = seen(
        ChoiceKnobs(prompt="red_ellipse", crop="pad"),
        choice([20.0]),
        [candidate(0, 30)],
        SCENE // 8,
        preparation=OPENAI,
    )
    assert ((picture[..., 0] > 180) & (picture[..., 1] < 80)).sum() > 100


def test_a_clip_that_squeezes_images_is_shown_the_whole_width() -> None:
    white = np.full((60, 120, 3), 255, np.uint8)
    white[:, :6] = 0  # outside of the square in the middle
    squeezed = Preparation(mean=(0.5,) * 3, std=(0.5,) * 3, resize="squash")
    left = []
    for preparation in (OPENAI, squeezed):
        (_, picture), *_ = seen(
            ChoiceKnobs(sigma=1), choice([1.0]), [candidate(0, 30, 120)], white, preparation=preparation
        )
        left.append(int(picture[80, 0, 0]))
    assert left[0] > 240
    assert left[1] < 15
