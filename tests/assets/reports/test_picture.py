"""The picture of the way from an expression to a mask: which example it takes, and what it shows."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from assets.data.tables import ImageRow
from assets.reports.picture import WIDTH, Example, draw, panels_of
from assets.ssc.tables import CandidateRow, ChoiceRow
from storage.masks import Rle

PIXELS = np.full((120, 160, 3), (120, 160, 140), np.uint8)


def square(number: int) -> Rle:
    mask_HW = np.zeros((120, 160), bool)
    mask_HW[20:80, 40 * number : 40 * number + 30] = True
    return Rle.of(mask_HW)


def candidate(number: int) -> CandidateRow:
    return CandidateRow(
        image_id="i",
        candidate=number,
        label="cup",
        x0=None,
        y0=None,
        x1=None,
        y1=None,
        detector_score=None,
        segmenter_score=1.0,
        area=square(number).area,
        **square(number).columns(),
    )


CHOICE = ChoiceRow(
    ref_id=1,
    image_id="i",
    candidates=[0, 2, 3],
    scores=[20.0, 31.26, None],
    reason="clip",
    chosen=2,
    chosen_by_sentence=[2],
    **square(2).columns(),
)
EXAMPLE = Example(
    image=ImageRow(image_id="i", image_file="i.png", width=160, height=120, sha256=""),
    expression="the cup in the middle",
    nouns=["cup"],
    candidates=[candidate(number) for number in (0, 2, 3)],
    choice=CHOICE,
    predicted=square(2),
    worst_iou=1.0,
    worst_candidate=1.0,
)


def test_the_picture_tells_expression_candidates_choice_and_scores_in_this_order() -> None:
    titles = [title for (title, _), _ in panels_of(EXAMPLE, PIXELS)]
    lines = [line for _, line in panels_of(EXAMPLE, PIXELS)]
    assert titles == ["image and expression", "S1: candidate masks", "S2: the choice", "trained segmenter"]
    assert "the cup in the middle" in lines[0]
    assert "cup" in lines[1]
    assert "(2: 31.3, 1: 20.0)" in lines[2]


def test_without_a_trained_segmenter_the_picture_ends_with_the_choice() -> None:
    untrained = replace(EXAMPLE, predicted=None)
    assert [title for (title, _), _ in panels_of(untrained, PIXELS)][-1] == "S2: the choice"


@pytest.mark.parametrize("predicted", [square(2), None])
def test_the_picture_is_as_wide_as_a_page_shows_it_and_small(predicted: Rle | None) -> None:
    png = draw(replace(EXAMPLE, predicted=predicted), PIXELS)
    width, height = Image.open(io.BytesIO(png)).size
    assert abs(width - WIDTH) < 0.05 * WIDTH
    assert height < width / 1.5
    assert len(png) < 200_000
