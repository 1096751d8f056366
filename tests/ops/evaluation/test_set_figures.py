"""Figures of a data set, on sentences whose cues are plain."""

import pytest

from ops.evaluation.set_figures import Referred, histogram, set_figures, shared_cues

NOUNS = {"left guy": ["guy"], "man on left": ["man"], "guy in red": ["guy"], "guy": ["guy"], "the man": ["man"]}


def referred(*expressions: str, image: str = "a", area: float | None = 0.1) -> Referred:
    return Referred(image=image, size=(120, 100), area=area, expressions=expressions)


@pytest.mark.parametrize(
    ("texts", "shared"),
    [
        (("left guy", "man on left"), [True]),
        (("left guy", "guy in red"), [False]),
        (("left guy", "guy"), [False]),
        (("guy", "the man"), [True]),
        (("red hat left", "blue hat left"), [True]),
        (("left guy", "guy in red", "man on left"), [False, True, False]),
    ],
)
def test_siblings_share_a_cue_whatever_the_noun(texts: tuple[str, ...], shared: list[bool]) -> None:
    assert shared_cues([referred(*texts)], NOUNS) == shared


def test_figures_count_images_once_and_leave_out_what_has_no_mask() -> None:
    some = [referred("left guy", "guy in red"), referred("guy", area=0.3), referred("guy", image="b", area=None)]
    found = set_figures(some, nouns=NOUNS, has_place=lambda text: "left" in text)
    assert list(found.values()) == [
        "2",
        "120 x 100",
        "12.0 / 20.0 / 28.0",
        "1.50",
        "50 / 50 / 0 / 0 / 0",
        "1.33",
        "1 / 2 / 3",
        "25",
        "0",
    ]


def test_images_are_counted_by_their_referents() -> None:
    some = [referred("guy", image=image) for image in "abbcccddddeeeeefffffff"]
    assert histogram(some) == "17 / 17 / 17 / 17 / 33"
