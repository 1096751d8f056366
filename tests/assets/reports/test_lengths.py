"""How long expressions are, and where the numbers of MERES's Table 7 stand beside it."""

from assets.reports.lengths import PRINTED, lengths_beside


def test_words_are_counted_split_by_split_beside_what_is_printed_of_these() -> None:
    found = lengths_beside({"val": [1, 2, 21], "mine": [4]}, {"val": (21, 1, 3.6), "testA": (23, None, 3.4)})
    assert found.published
    assert found.table.columns[2:] == (
        *("most words", "fewest words", "mean words"),
        *("most, MERES", "fewest, MERES", "mean, MERES"),
    )
    assert found.table.rows == [
        ("val", "3", "21", "1", "8.00", "21", "1", "3.6"),
        ("mine", "1", "4", "4", "4.00", "-", "-", "-"),
    ]


def test_without_a_published_split_ours_stand_alone() -> None:
    found = lengths_beside({"val": [3]}, {})
    assert not found.published
    assert found.table.rows == [("val", "1", "3", "3", "3.00")]


def test_what_is_printed_can_be() -> None:
    for splits in PRINTED.values():
        for most, fewest, mean in splits.values():
            assert (fewest or 1) <= (mean or 1) <= (most or 1)
