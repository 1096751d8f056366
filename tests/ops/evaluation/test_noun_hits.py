"""Noun hits: whole words, letter case ignored, by the head of a phrase or anywhere in it; misses are sorted."""

from collections.abc import Sequence

import pytest

from ops.evaluation.noun_hits import LabelledExpression, evaluate_nouns, failure_kind, names, noun_hit, words

SYNONYMS = {"person": ("person", "guy"), "fire hydrant": ("fire hydrant", "hydrant")}
ROWS = [
    ("a", "guy left", "person", "guy"),
    ("a", "left guy", "person", "left"),
    ("b", "red thing", "person", "thing"),
    ("b", "hydrant", "fire hydrant", "hydrant"),
]


def test_shares_count_only_expressions_that_contain_a_synonym() -> None:
    expressions = [LabelledExpression(dataset=name, expression=said, category=of) for name, said, of, _ in ROWS]
    found = evaluate_nouns(expressions, [[noun] for *_, noun in ROWS], SYNONYMS)
    assert (found.pairs, found.overall.hits, found.overall.rows) == (4, 2, 3)
    assert {name: share.value for name, share in found.datasets.items()} == {"a": 0.5, "b": 1.0}
    (failure,) = found.failures
    assert failure.examples == (("left guy", "person", ("left",)),)
    assert (found.one_word.hits, found.one_word.rows) == (2, 3)


def test_a_synonym_of_several_words_counts_overall_but_not_among_single_words() -> None:
    label = LabelledExpression(dataset="a", expression="red fire hydrant", category="fire hydrant")
    found = evaluate_nouns([label], [["hydrant"]], {"fire hydrant": ("fire hydrant",)})
    assert (found.overall.hits, found.one_word.rows) == (1, 0)


def test_a_head_names_a_synonym_of_several_words() -> None:
    assert names(("hydrant",), ("fire", "hydrant"))
    assert names(("red", "fire", "hydrant"), ("fire", "hydrant"))
    assert not names(("fire",), ("fire", "hydrant"))
    assert not names(("dog", "house"), ("dog",))


def test_anywhere_in_a_phrase_is_less_strict_and_still_means_whole_words() -> None:
    assert names(("bird", "top", "right"), ("bird",), match="phrase")
    assert names(("fire", "hydrant", "left"), ("fire", "hydrant"), match="phrase")
    assert names(("hydrant",), ("fire", "hydrant"), match="phrase")
    assert not names(("hydrant", "fire"), ("fire", "hydrant"), match="phrase")
    assert not names(("birdhouse",), ("bird",), match="phrase")


@pytest.mark.parametrize(
    ("expression", "nouns", "hit"),
    [
        ("The Dog, left!", ["dog"], True),
        ("dog left", ["left"], False),
        ("dog left", [], False),
        ("cat left", ["cat"], None),
        ("dogs left", ["dogs"], None),
        ("hot dog", ["dog"], True),
        ("puppy of the dog", ["puppy"], True),
        ("Sports Ball", ["ball"], None),
    ],
)
def test_an_expression_without_a_word_for_its_class_neither_hits_nor_misses(
    expression: str, nouns: Sequence[str], hit: bool | None
) -> None:
    assert noun_hit(expression, nouns, ["dog", "puppy"], match="phrase") is hit


def test_a_synonym_of_several_words_is_a_sequence_of_whole_words() -> None:
    assert noun_hit("red sports ball", ["ball"], ["sports ball"]) is True
    assert noun_hit("red sports balls", ["balls"], ["sports ball"]) is None
    assert noun_hit("ball of sports", ["ball"], ["sports ball"]) is None


@pytest.mark.parametrize(
    ("expression", "synonym", "noun", "kind"),
    [
        ("half of the sandwich", "sandwich", "half", "measure"),
        ("zebra eating grass", "zebra", "grass", "a later noun"),
        ("elephant feet", "elephant", "feet", "compound"),
        ("the reflection in the bus", "bus", "reflection", "an earlier noun"),
        ("bus", "bus", "", "no noun"),
    ],
)
def test_misses_are_sorted_by_kind(expression: str, synonym: str, noun: str, kind: str) -> None:
    assert failure_kind(words(expression), [words(synonym)], [words(noun)]).startswith(kind)
