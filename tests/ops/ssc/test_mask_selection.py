"""The choice stage: the decision rule and the baselines."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ops.ssc.mask_selection import (
    COMPAT,
    FIXED,
    Rule,
    choose,
    first_choice,
    indices_to_score,
    oracle_choice,
    random_choice,
    teacher_choice,
)
from ops.ssc.similarity import mean_similarity


def rectangle_mask(x0: int, y0: int, x1: int, y1: int) -> torch.Tensor:
    mask_HW = torch.zeros(60, 80, dtype=torch.bool)
    mask_HW[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask_HW


MASKS_NHW = torch.stack([rectangle_mask(20, 20, 40, 45), rectangle_mask(50, 10, 79, 30)])


def test_scores_are_the_mean_over_sentences_of_a_hundred_cosines() -> None:
    texts_SD, images_ND = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    assert mean_similarity(texts_SD, images_ND) == pytest.approx([50, 100 * math.sqrt(0.5)])


def test_equal_pictures_get_exactly_equal_scores() -> None:
    images_ND = torch.randn(9, 33, generator=torch.Generator().manual_seed(0))
    images_ND[8] = images_ND[0]
    scores = mean_similarity(torch.randn(3, 33, generator=torch.Generator().manual_seed(1)), images_ND)
    assert scores[8] == scores[0]


def test_the_most_similar_large_candidate_is_chosen() -> None:
    choice = choose([600, 499, 500, 900], [1.0, 9.0, 3.0, 2.0])
    assert (choice.index, choice.reason) == (2, "clip")
    assert choice.scores_N == (1.0, 9.0, 3.0, 2.0)


def test_only_large_candidates_are_shown_to_clip() -> None:
    asked: list[tuple[int, ...]] = []

    def similarity(indices: tuple[int, ...]) -> list[float]:
        asked.append(indices)
        return [float(index) for index in indices]

    choice = choose([600, 499, 500], similarity)
    assert asked == [(0, 2)]
    assert choice.index == 2
    assert math.isnan(choice.scores_N[1])


@pytest.mark.parametrize(
    ("areas", "index", "reason"), [([], -1, "no candidate"), ([20], 0, "single"), ([3, 800], 1, "only large one")]
)
def test_what_needs_no_clip_does_not_ask_it(areas: list[int], index: int, reason: str) -> None:
    def refuse(indices: tuple[int, ...]) -> list[float]:
        raise AssertionError(f"asked for {indices}")

    for rule in (FIXED, COMPAT):
        assert indices_to_score(areas, rule=rule) == ()
        choice = choose(areas, refuse, rule=rule)
        assert (choice.index, choice.reason) == (index, reason)


def test_when_all_are_small_fixed_takes_the_best_and_compat_none() -> None:
    fixed, compat = choose([20, 499, 100], [1, 2, 3]), choose([20, 499, 100], [1, 2, 3], rule=COMPAT)
    assert (fixed.index, fixed.reason) == (2, "small fallback")
    assert (compat.index, compat.reason) == (-1, "all too small")


def test_ties_go_to_the_first_and_in_compat_to_the_last() -> None:
    assert choose([600] * 3, [7.0, 7.0, 1.0]).index == 0
    assert choose([600] * 3, [7.0, 7.0, 1.0], rule=COMPAT).index == 1


def test_the_least_area_can_be_a_share_of_the_image() -> None:
    rule = Rule(min_area=0.01)
    assert indices_to_score([90, 100, 110, 50], rule=rule, image_area=10_000) == (1, 2)
    with pytest.raises(ValueError, match="image_area"):
        choose([90, 100], [1, 2], rule=rule)


def test_a_score_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        choose([600, 700], [1.0, math.nan])


@given(st.lists(st.tuples(st.integers(0, 2000), st.floats(-100, 100)), max_size=8))
def test_the_choice_is_the_best_of_what_it_scored(rows: list[tuple[int, float]]) -> None:
    areas, scores = [area for area, _ in rows], [score for _, score in rows]
    for rule in (FIXED, COMPAT):
        choice, asked = choose(areas, scores, rule=rule), indices_to_score(areas, rule=rule)
        if asked:
            assert scores[choice.index] == max(scores[index] for index in asked)
        assert (choice.index == -1) == (choice.reason in {"no candidate", "all too small"})


def test_the_random_choice_depends_on_object_and_seed_alone() -> None:
    picks = [random_choice(7, referent_id=f"object {number}").index for number in range(700)]
    assert picks == [random_choice(7, referent_id=f"object {number}").index for number in range(700)]
    assert picks != [random_choice(7, referent_id=f"object {number}", seed=1).index for number in range(700)]
    counts = np.bincount(picks, minlength=7)
    assert counts.min() > 60
    assert random_choice(0, referent_id=1).index == -1


def test_the_first_choice_is_the_first() -> None:
    assert first_choice(3).index == 0
    assert first_choice(0).index == -1


def test_the_oracle_takes_the_first_of_the_best_overlaps() -> None:
    choice = oracle_choice([(0, 40), (11, 21), (20, 20), (20, 20), (0, 0)])
    assert choice.index == 2
    assert choice.scores_N == (0.0, 11 / 21, 1.0, 1.0, 0.0)
    assert oracle_choice([]).reason == "no candidate"


# a teacher's masks


@pytest.mark.parametrize(
    ("ious_SN", "scores_S", "index", "reason"),
    [
        ([[0.9, 0.1, 0.0]], [0.5], 0, "teacher"),
        ([[0.9, 0.0], [0.8, 0.1], [0.0, 1.0]], [0.5, 0.5, 0.7], 0, "teacher"),  # two that agree outvote a surer third
        ([[1.0, 0.0], [0.0, 1.0]], [0.4, 0.6], 1, "teacher"),  # of two that disagree the surer one counts
        ([[1.0, 0.0], [0.0, 1.0]], [None, 0.6], 0, "teacher"),  # a score is missing: votes are equal, the first wins
        ([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0], 0, "teacher"),
        ([[0.49, 0.3]], [1.0], -1, "unlike the teacher's"),
        ([[0.55, 0.49], [0.0, 0.49], [0.0, 0.49]], [1, 1, 1], 0, "teacher"),  # no mask is like the second one
        ([], [], -1, "no mask of the teacher"),
    ],
)
def test_a_teachers_masks_vote_for_candidates(
    ious_SN: list[list[float]], scores_S: list[float | None], index: int, reason: str
) -> None:
    ious = np.array(ious_SN, dtype=float).reshape(len(ious_SN), -1 if ious_SN else 2)
    choice = teacher_choice(ious, scores_S)
    assert (choice.index, choice.reason) == (index, reason)
    assert len(choice.scores_N) == ious.shape[1]


def test_a_teachers_scores_are_averages_of_overlaps_and_without_candidates_there_is_no_choice() -> None:
    choice = teacher_choice(np.array([[1.0, 0.0], [0.5, 0.5]]), [0.75, 0.25])
    assert choice.scores_N == (87.5, 12.5)
    assert teacher_choice(np.zeros((3, 0)), [None] * 3).reason == "no candidate"
