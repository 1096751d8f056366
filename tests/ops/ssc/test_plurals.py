"""How many objects an expression asks for, by the embedded parser."""

import math
from functools import partial

import pytest

from ops.ssc.plurals import Said, agreed, numbers_said, several_best
from resources.models.spacy_parser import load_parser, parse_all

SAID: dict[str, Said] = {
    "dog": 1,
    "the second dog": 1,
    "one of the dogs": 1,
    "man in jeans": 1,
    "man with two dogs": 1,
    "player number 3": 1,
    "scissors": 1,
    "sheep on left": 1,
    "the dog and the cat": 1,
    "": 1,
    "both dogs": 2,
    "Both": 2,
    "two on left": 2,
    "the left two": 2,
    "two sheep": 2,
    "the two cats on the left": 2,
    "three people standing": 3,
    "the 4 cups": 4,
    "all birds": "all",
    "birds": "all",
    "all of the cups": "all",
    "every cup": "all",
    "the dogs that are sleeping": "all",
    "children": "all",
}


def test_the_head_and_what_stands_before_it_say_how_many() -> None:
    parse = partial(parse_all, load_parser())
    assert dict(zip(SAID, numbers_said(list(SAID), parse), strict=True)) == SAID


@pytest.mark.parametrize(
    ("said", "together"),
    [([1], 1), ([2], 2), ([1, 2], 1), ([1, 2, 2], 2), (["all", 1, 3], 3), (["all", "all", 1], "all"), ([3, 2], 3)],
)
def test_most_expressions_of_a_referent_decide(said: list[Said], together: Said) -> None:
    assert agreed(said) == together


@pytest.mark.parametrize(
    ("said", "taken"),
    [(1, [2]), (2, [0, 2]), (3, [0, 1, 2]), (9, [0, 1, 2, 4]), ("all", [0, 2])],
)
def test_a_number_takes_so_many_and_all_takes_what_is_near(said: Said, taken: list[int]) -> None:
    assert several_best([24.0, 20.0, 25.0, math.nan, 19.0], 2, said, margin=1.5) == taken
