"""Who is drawn as a negative for calibration."""

from collections import Counter

import numpy as np
import pytest

from ops.tris.negatives import NegativePool

POOL = NegativePool([0, 0, 0, 1, 2], [["left"], ["man", "left"], ["dog"], ["left"], ["red car", "left"]])


def draw(number: int, sentence: str, *, count: int = 3000, pool: NegativePool = POOL) -> Counter[tuple[int, int]]:
    return Counter(pool.draw(number, sentence, count=count, rng=np.random.default_rng(0)))


def test_negatives_come_from_other_objects_of_the_image_object_first() -> None:
    found = draw(0, "left")
    assert set(found) == {(1, 0), (1, 1), (2, 0)}  # even an equal sentence, as in the authors' code
    assert found[2, 0] == pytest.approx(1500, abs=120)
    assert found[1, 0] == pytest.approx(750, abs=100)


def test_an_object_alone_in_its_image_draws_from_all_but_its_own_sentence() -> None:
    found = draw(3, "left")
    assert set(found) == {(1, 0), (2, 0), (4, 0)}
    assert found[2, 0] == pytest.approx(1500, abs=120)


def test_the_number_asked_for_is_drawn_again_and_again_if_need_be() -> None:
    assert sum(draw(1, "man", count=7).values()) == 7


def test_draws_repeat_with_the_seed() -> None:
    assert draw(4, "red car", count=5) == draw(4, "red car", count=5)


def test_a_set_with_a_single_sentence_is_refused_instead_of_searched_for_ever() -> None:
    with pytest.raises(ValueError, match="one that differs"):
        draw(0, "left", pool=NegativePool([0, 1], [["left"], ["left"]]))


def test_an_object_without_sentences_is_refused() -> None:
    with pytest.raises(ValueError, match="have no expression"):
        NegativePool([0, 1], [["left"], []])
