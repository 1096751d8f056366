"""Classes and expressions as what the detector is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.refusal import Refused
from ops.ssc.captions import caption, expression_caption, question, reworded, token_spans


def letters(text: str) -> int:
    """A tokenizer that makes a token of every letter."""
    return sum(sign.isalpha() for sign in text)


def test_a_caption_lists_each_class_once_in_alphabetical_order() -> None:
    asked = caption(["Sports  Ball", "car", "car", "apple"])
    assert asked.text == "apple . car . sports ball ."
    assert asked.classes == ("apple", "car", "sports ball")
    assert [asked.text[start:end] for start, end in asked.spans] == ["apple", "car", "sports ball"]


@given(st.permutations(["person", "dog", "tennis racket", "tv", "hair drier"]))
def test_a_caption_does_not_depend_on_the_order_of_the_classes(classes: list[str]) -> None:
    assert caption(classes) == caption(sorted(classes))


def test_a_caption_needs_a_class() -> None:
    with pytest.raises(ValueError, match="no class"):
        caption([])


@pytest.mark.parametrize("classes", [[""], ["dog", " "], [" . "]])
def test_a_caption_refuses_a_name_without_a_word(classes: list[str]) -> None:
    with pytest.raises(Refused, match=r"class"):
        caption(classes)


def test_an_expression_becomes_one_phrase_without_separators() -> None:
    asked = expression_caption("The dog. On the left?", tokens=letters, at_most=200)
    assert asked.text == "the dog on the left ."
    assert asked.spans == ((0, len("the dog on the left")),)
    with pytest.raises(Refused, match="no character"):
        expression_caption(" . ? ", tokens=letters, at_most=200)
    with pytest.raises(Refused, match="20 tokens"):
        expression_caption("The dog. On the left? there", tokens=letters, at_most=20)


def test_token_spans_follow_the_characters() -> None:
    asked = caption(["bat", "sports ball"])
    offsets = [(0, 0), (0, 3), (4, 5), (6, 12), (13, 15), (15, 17), (18, 19), (0, 0)]
    assert token_spans(offsets, asked.spans) == ((1,), (3, 4, 5))


def test_token_spans_of_another_caption_are_refused() -> None:
    with pytest.raises(Refused, match="different captions"):
        token_spans([(0, 0), (0, 3), (4, 5), (0, 0)], caption(["cat", "dog"]).spans)


@given(st.lists(st.sampled_from(["dog", "tv", "sports ball", "St. Bernard", ""]), min_size=1))
def test_what_fits_into_one_caption_is_asked_as_before(classes: list[str]) -> None:
    asked = question(classes, tokens=letters, at_most=200)
    assert list(asked.captions) == ([caption([name for name in classes if name])] if any(classes) else [])
    assert set(asked.left_out) == set(classes) & {""}


@given(st.sets(st.text("abc", min_size=1, max_size=12), min_size=1), st.integers(4, 30))
def test_every_class_is_asked_once_or_left_out(classes: set[str], at_most: int) -> None:
    asked = question(classes, tokens=letters, at_most=at_most)
    assert list(asked.classes) == sorted(classes - asked.left_out.keys())
    assert all(len(name) >= at_most for name in asked.left_out)
    for one in asked.captions:
        assert sum(len(name) + 1 for name in one.classes) <= at_most
        assert one == caption(one.classes)


def test_what_is_not_asked_as_it_is_has_its_reason() -> None:
    classes = ["man.left", "Dog", "\u200b", "x" * 20]
    changes = reworded(classes, question(classes, tokens=letters, at_most=20))
    assert {name: change.asked for name, change in changes.items()} == {
        "man.left": "man left",
        "\u200b": None,
        "x" * 20: None,
    }
    assert "no character" in changes["\u200b"].reason
    assert "20 tokens" in changes["x" * 20].reason
