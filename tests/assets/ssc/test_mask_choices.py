"""Constrained matching at stage 2: objects of an image compete for its masks by CLIP's similarity."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from assets.data.tables import ImageRow, Referent
from assets.ssc.candidate_masks import candidate_row
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.mask_choices import ChoiceByScore, matched_choices
from assets.ssc.offers import Offered
from assets.ssc.tables import CandidateRow, of_classes
from ops.ssc.mask_selection import Choice


def mask(number: int) -> CandidateRow:
    return candidate_row("a", number, np.ones((3, 3), bool), label="cup", segmenter_score=0.5)


def masks(*offered: tuple[int, ...]) -> list[list[CandidateRow]]:
    return [[mask(number) for number in row] for row in offered]


def offer(*offered: tuple[int, ...]) -> Offered:
    referents = [Referent(ref_id=row, object_id=str(row), image_id="a", split="train") for row in range(len(offered))]
    image = ImageRow(image_id="a", image_file="a.png", width=3, height=3, sha256="")
    return Offered(image=image, referents=referents, candidates=masks(*offered))


def by_clip(index: int, *scores: float) -> Choice:
    return Choice(index=index, scores_N=scores, reason="clip")


def test_the_second_object_gives_way() -> None:
    alone = [by_clip(0, 30.0, 20.0), by_clip(0, 25.0, 24.0)]
    found = matched_choices(alone, [{4: 30.0, 7: 20.0}, {4: 25.0, 7: 24.0}], masks((4, 7), (4, 7)))
    assert [choice.index for choice in found] == [0, 1]
    assert {choice.reason for choice in found} == {"matched"}


def test_the_largest_sum_may_leave_the_best_pair() -> None:
    alone = [by_clip(0, 30.0, 29.0), by_clip(0, 28.0, 20.0)]
    similar = [{4: 30.0, 7: 29.0}, {4: 28.0, 7: 20.0}]
    taken = {
        rule: matched_choices(alone, similar, masks((4, 7), (4, 7)), rule=rule) for rule in ("greedy", "hungarian")
    }
    assert {rule: [choice.index for choice in found] for rule, found in taken.items()} == {
        "greedy": [0, 1],
        "hungarian": [1, 0],
    }


def test_a_single_candidate_is_taken_and_excluded() -> None:
    single = Choice(index=0, scores_N=(math.nan,), reason="single")
    found = matched_choices([by_clip(1, 20.0, 25.0), single], [{4: 20.0, 7: 25.0}, {7: 28.0}], masks((4, 7), (7,)))
    assert [choice.index for choice in found] == [0, 0]
    assert [choice.reason for choice in found] == ["matched", "single"]


def test_an_object_with_one_large_candidate_takes_it_from_others() -> None:
    views = {4: torch.tensor([1.0, 0.0]), 7: torch.tensor([0.0, 1.0]), 8: torch.tensor([0.6, 0.8])}
    texts = {"first": torch.tensor([1.0, 0.0]), "second": torch.tensor([0.8, 0.6])}
    scorer = SimpleNamespace(
        texts=lambda said: torch.stack([texts[one] for one in said]),
        images=lambda shown: [[views[mask.candidate] for mask in masks] for _, masks in shown],
    )
    competing = offer((4, 7), (4, 8))
    small = [replace(one, area=1 if one.candidate == 7 else 9) for one in competing.candidates[0]]
    referents = [replace(one, expressions=[said]) for one, said in zip(competing.referents, texts, strict=True)]
    competing = replace(competing, referents=referents, candidates=[small, competing.candidates[1]])
    knobs = ChoiceKnobs(assign="greedy", min_area=5)
    rows = ChoiceByScore(knobs=knobs, scorer=cast(Any, scorer))(competing, np.zeros((3, 3, 3), np.uint8))
    assert [row.chosen for row in rows] == [4, 8]
    assert [row.reason for row in rows] == ["only large one", "matched"]


def test_letter_case_and_spaces_of_a_class_do_not_matter() -> None:
    assert of_classes([mask(1)], ["Cup "]) == [mask(1)]
    assert of_classes([mask(1)], ["cupboard"]) == []


def test_left_overs_keep_their_own_best_and_objects_without_candidates_nothing() -> None:
    nothing = Choice(index=-1, scores_N=(), reason="no candidate")
    single = Choice(index=0, scores_N=(math.nan,), reason="single")
    found = matched_choices([single, single, nothing], [{4: 30.0}, {4: 20.0}, {}], masks((4,), (4,), ()))
    assert [choice.index for choice in found] == [0, 0, -1]
    assert found[2].reason == "no candidate"
