"""Place words in the choice: added to CLIP's similarity where they are said, and nothing where they are not."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from assets.data.tables import ImageRow, Referent
from assets.ssc.candidate_masks import candidate_row
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.mask_choices import ChoiceByScore
from assets.ssc.offers import Offered
from assets.ssc.place_terms import PlaceTerms, box_of
from assets.ssc.tables import CandidateRow

HEIGHT, WIDTH = 60, 120


def candidate(number: int, x: int, *, label: str = "cup", y: int = 20) -> CandidateRow:
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[y : y + 20, x : x + 20] = True
    return candidate_row("a", number, mask_HW, label=label, segmenter_score=0.5)


CUPS = [candidate(4, 5), candidate(7, 50), candidate(9, 95)]
BUS = candidate(11, 70, label="bus", y=0)


def scorer(**similar: float) -> Any:
    """Every expression finds candidate 7 the most similar by a point of 100 cosine."""
    views = {4: 0.20, 7: 0.21, 9: 0.20, 11: 0.0}
    return SimpleNamespace(
        texts=lambda said: torch.tensor([[1.0, 0.0]] * len(said)),
        images=lambda shown: [
            [torch.tensor([views[mask.candidate], (1 - views[mask.candidate] ** 2) ** 0.5]) for mask in masks]
            for _, masks in shown
        ],
    )


def chosen(*said: str, weight: float = 1.0, candidates: list[CandidateRow] = CUPS, **knobs: Any) -> Any:
    referents = [
        Referent(
            ref_id=1, object_id="1", image_id="a", split="train", sent_ids=[*range(len(said))], expressions=[*said]
        ),
        Referent(ref_id=2, object_id="2", image_id="a", split="train", sent_ids=[9], expressions=["bus"]),
    ]
    image = ImageRow(image_id="a", image_file="a.png", width=WIDTH, height=HEIGHT, sha256="")
    offer = Offered(image=image, referents=referents, candidates=[candidates, [BUS]])
    choice = ChoiceByScore(
        knobs=ChoiceKnobs(min_area=0, **knobs), scorer=cast(Any, scorer()), places=PlaceTerms(weight=weight)
    )
    return choice(offer, np.zeros((HEIGHT, WIDTH, 3), np.uint8))[0]


@pytest.mark.parametrize("assign", ["each", "greedy"])
def test_a_place_outweighs_a_small_difference_of_similarity(assign: str) -> None:
    assert chosen("red cup", assign=assign).chosen == 7
    assert chosen("left cup", assign=assign).chosen == 4
    assert chosen("second cup from the left", assign=assign).chosen == 7
    assert chosen("left cup", assign=assign, weight=0.0).chosen == 7
    assert chosen("left cup", assign=assign, weight=0.01).chosen == 7


def test_each_expression_decides_by_its_own_places() -> None:
    row = chosen("right cup", "red cup", "left cup")
    assert row.chosen_by_sentence == [9, 7, 4]
    assert row.scores == pytest.approx(chosen("left cup", "red cup", "right cup").scores)


def test_expressions_agree_by_their_mean_by_a_product_or_the_first_decides() -> None:
    said = ("left cup", "right cup", "right cup")
    assert {rule: chosen(*said, consensus=rule).chosen for rule in ("mean", "product", "first")} == {
        "mean": 9,
        "product": 9,
        "first": 4,
    }
    alone, twice = (chosen(*["left cup"] * count, consensus="product") for count in (1, 2))
    assert twice.scores == pytest.approx([2 * score for score in alone.scores])
    assert sum(math.exp(score) for score in alone.scores) == pytest.approx(1)


def test_without_places_scores_are_the_very_same() -> None:
    assert chosen("red cup", "cup").scores == chosen("red cup", "cup", weight=0.0).scores


def test_candidates_of_other_referents_are_landmarks() -> None:
    assert chosen("cup right of the bus").chosen == 9
    assert chosen("cup left of the bus", candidates=CUPS[1:]).chosen == 7


def test_a_candidate_has_the_box_of_the_detector_or_of_its_mask() -> None:
    assert box_of(CUPS[1]) == (50, 20, 70, 40)
    assert box_of(replace(CUPS[1], x0=1.0, y0=2.0, x1=3.0, y1=4.0)) == (1, 2, 3, 4)


def test_keys_tell_boxes_apart_where_places_are_read() -> None:
    offer = Offered(
        image=ImageRow(image_id="a", image_file="a.png", width=WIDTH, height=HEIGHT, sha256=""),
        referents=[Referent(ref_id=1, object_id="1", image_id="a", split="train")],
        candidates=[CUPS],
    )
    renamed = replace(offer, candidates=[[replace(mask, label="mug") for mask in CUPS]])
    assert offer.key == renamed.key
    assert offer.placed_key != renamed.placed_key
