"""Cutting rows of ids to 20."""

import pytest
import torch
from torch import Tensor

from ops.tris.tokens import is_overlong, truncate

END = 90


def rows(*words: int) -> Tensor:
    """A row of 12 ids for each number of words."""
    ids = torch.zeros(len(words), 12, dtype=torch.long)
    for row, count in zip(ids, words, strict=True):
        row[0], row[count + 1] = 89, END
        row[1 : count + 1] = torch.arange(1, count + 1)
    return ids


def test_a_long_sentence_loses_words_and_keeps_its_end() -> None:
    assert truncate(rows(9), length=6).tolist() == [[89, 1, 2, 3, 4, END]]


def test_the_authors_slice_loses_the_end() -> None:
    assert truncate(rows(9), length=6, rule="compat_slice").tolist() == [[89, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("rule", ["keep_end", "compat_slice"])
def test_sentences_that_just_fit_are_only_sliced(rule: str) -> None:
    ids = rows(4, 1, 0)
    assert torch.equal(truncate(ids, length=6, rule=rule), ids[:, :6])  # type: ignore[arg-type]


def test_rows_that_are_short_already_stay() -> None:
    ids = rows(3)[:, :5]
    assert torch.equal(truncate(ids, length=6), ids)


def test_the_input_is_left_alone() -> None:
    ids = rows(9, 2)
    before = ids.clone()
    truncate(ids, length=6)
    assert torch.equal(ids, before)


def test_overlong_rows_are_told() -> None:
    assert is_overlong(rows(3, 4, 5, 9), length=6).tolist() == [False, False, True, True]


def test_no_room_for_start_and_end_is_refused() -> None:
    with pytest.raises(ValueError, match="2 or more"):
        truncate(rows(3), length=1)
