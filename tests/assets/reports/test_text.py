"""Characters that a page may not have."""

import pytest

from assets.reports.text import visible


@pytest.mark.parametrize("unseen", ["\x00", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\udc80", "\uffff"])
def test_what_shows_nothing_or_turns_what_follows_becomes_a_sign(unseen: str) -> None:
    assert visible(f"a{unseen}b") == "a\ufffdb"
    visible(unseen).encode()


@pytest.mark.parametrize(
    "text", ["", "the red one\ton the\nleft", "l'été à l'ombre", "左边的狗", "الكلب", "<b>&\"'", "👍🏽"]
)
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == text
