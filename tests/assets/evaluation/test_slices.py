"""The bins that scores are sliced by."""

import pytest

from assets.evaluation.slices import Traits, count_bin, length_bin, size_bin, spatial_bin


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("dog", "1-2 words"),
        ("red  dog", "1-2 words"),
        ("the red dog", "3 words"),
        ("the big red dog", "4-5 words"),
        ("one two three four five six", "6-8 words"),
        ("a b c d e f g h i", "9+ words"),
        ("word " * 40, "9+ words"),
    ],
)
def test_sentences_are_binned_by_their_words(sentence: str, expected: str) -> None:
    assert length_bin(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Left, please", "with"),
        ("man in front of the bus", "with"),
        ("second from the door", "with"),
        ("the leftover pizza", "without"),
        ("bright red umbrella", "without"),
        ("", "without"),
    ],
)
def test_a_word_of_place_counts_only_as_a_whole_word(sentence: str, expected: str) -> None:
    assert spatial_bin(sentence) == expected


def test_an_object_alone_of_its_class_is_told_from_a_crowd() -> None:
    assert [count_bin(count) for count in (1, 2, 3, 4, 17)] == ["1", "2", "3", "4+", "4+"]


def test_sizes_are_shares_of_the_image_and_an_edge_belongs_to_the_larger_bin() -> None:
    shares = (0.0, 0.0099, 0.01, 0.05, 0.16, 1.0)
    assert [size_bin(share) for share in shares] == [
        "0 to 1 %",
        "0 to 1 %",
        "1 to 4 %",
        "4 to 16 %",
        "16 % or more",
        "16 % or more",
    ]


def test_expressions_are_found_by_bin_in_alphabetical_order_and_who_has_none_is_in_none() -> None:
    traits = Traits()
    traits.add(7, {"size": "large"})
    traits.add(9, {"size": "little", "class": "seen"})
    traits.add(8, {"size": "large"})
    found = [(by, name, places.tolist()) for by, name, places in traits.parts([8, 9, 7, 9])]
    assert found == [("class", "seen", [1, 3]), ("size", "large", [0, 2]), ("size", "little", [1, 3])]
    assert list(traits.parts([])) == []
