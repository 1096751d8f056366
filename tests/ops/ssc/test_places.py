"""Which boxes place words mean, on scenes drawn by hand: what people say, and which thing it should be."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.ssc.places.geometry import Scene, estimated_size, scene_of
from ops.ssc.places.grammar import Place, read_all
from ops.ssc.places.nouns import fit, kinds_of
from ops.ssc.places.term import place_term
from ops.ssc.places.words import MAX_WORDS, words_of

SIZE = (640, 480)
Boxes = dict[str, tuple[float, float, float, float]]
LINE: Boxes = {  # four cups side by side
    "one": (20, 200, 100, 300),
    "two": (180, 200, 260, 300),
    "three": (340, 200, 420, 300),
    "four": (520, 200, 600, 300),
}
DEPTH: Boxes = {  # the near one is large and low, the far one small and high
    "far": (280, 60, 340, 120),
    "mid": (80, 140, 200, 300),
    "near": (360, 180, 620, 470),
}
GRID: Boxes = {  # two rows of three
    **{f"top {name}": (x, 40, x + 120, 180) for name, x in (("left", 40), ("middle", 260), ("right", 480))},
    **{f"bottom {name}": (x, 300, x + 120, 440) for name, x in (("left", 40), ("middle", 260), ("right", 480))},
}
STREET: Boxes = {  # a bus, a car behind it, people on both sides of a bench
    "bus": (220, 120, 440, 330),
    "car": (420, 150, 560, 230),
    "man": (80, 180, 150, 400),
    "woman": (470, 240, 540, 440),
    "boy": (560, 200, 620, 360),
    "bench": (160, 380, 300, 470),
}
KINDS = {"bus": "bus", "car": "car", "bench": "bench", "man": "person", "woman": "person", "boy": "person"}
SAID = [
    (LINE, "left", "one"),
    (LINE, "the cup on the far right", "four"),
    (LINE, "leftmost cup", "one"),
    (LINE, "lft most one", "one"),
    (LINE, "righty", "four"),
    (LINE, "cup on rigth side of the picture", "four"),
    (LINE, "second from left", "two"),
    (LINE, "2nd cup from the right", "three"),
    (LINE, "third one in from the left", "three"),
    (LINE, "two from the right", "three"),
    (LINE, "second to last on right", "three"),
    (LINE, "last on the right", "four"),
    (LINE, "right second", "three"),
    (LINE, "from left third", "three"),
    (LINE, "left second cup", "two"),
    (LINE, "cup to the right of the left one", "two"),
    (LINE, "right hand side", "four"),
    (LINE, "cup at the left edge of the photo", "one"),
    (DEPTH, "closest to us", "near"),
    (DEPTH, "front cup", "near"),
    (DEPTH, "cup in the foreground", "near"),
    (DEPTH, "in front", "near"),
    (DEPTH, "nearest the camera", "near"),
    (DEPTH, "back one", "far"),
    (DEPTH, "cup in the background", "far"),
    (DEPTH, "furthest away", "far"),
    (DEPTH, "way in the back", "far"),
    (DEPTH, "biggest", "near"),
    (DEPTH, "smallest cup", "far"),
    (DEPTH, "tallest one", "near"),
    (DEPTH, "second biggest cup", "mid"),
    (DEPTH, "second closest", "mid"),
    (DEPTH, "top", "far"),
    (DEPTH, "btm right", "near"),
    (DEPTH, "lowest cup", "near"),
    (GRID, "top left corner", "top left"),
    (GRID, "bottomright", "bottom right"),
    (GRID, "upper middle one", "top middle"),
    (GRID, "bottom row second from left", "bottom middle"),
    (GRID, "first from right in the top row", "top right"),
    (GRID, "bottom center cup", "bottom middle"),
    (GRID, "left on second row from the top", "bottom left"),
    (GRID, "cup at 2 o'clock", "top right"),
    (GRID, "lower left, not the right one", "bottom left"),
    (GRID, "top but not the left or the right one, middle", "top middle"),
    (STREET, "left of the bus", "man"),
    (STREET, "car behind the bus", "car"),
    (STREET, "person next to the bench", "man"),
    (STREET, "person in front of the car", "woman"),
    (STREET, "man right of the bus", "woman"),
    (STREET, "thing between the man and the woman", "bus"),
    (STREET, "kid on the right", "boy"),
    (STREET, "bench on the right", "bench"),  # the only one of its kind
    (STREET, "bus not on the left", "bus"),
]
SILENT = [
    "red cup",
    "left handed batter",
    "woman in a red top",
    "man with his right hand up",
    "girl looking left",
    "right",
    "guy facing to the right",
    "all right then",
    "boy holding bat in left hand",
    "what is left over of the cake",
    "person with back to the camera",
    "back of her head",
    "lady in tank top",
    "boy standing up",
    "number two",
    "man on first base",
    "flight of light bright fights",
    "next to the zeppelin",
    "",
    "%$ \u00e9\u00df \u4e2d",
]


def scene(boxes: Boxes, *, kinds: dict[str, str] | None = None) -> Scene:
    known = [frozenset({kinds[name]}) if kinds else frozenset[str]() for name in boxes]
    return scene_of(list(boxes.values()), SIZE, known)


def term(sentence: str, boxes: Boxes, *, among: Sequence[int] | None = None) -> np.ndarray:
    (reading,) = read_all([sentence])
    return place_term(reading, scene(boxes, kinds=KINDS if boxes is STREET else None), among or range(len(boxes)))


@pytest.mark.parametrize(("boxes", "sentence", "meant"), SAID, ids=[sentence for _, sentence, _ in SAID])
def test_the_box_that_is_meant_is_the_most_probable(boxes: Boxes, sentence: str, meant: str) -> None:
    term_N = term(sentence, boxes)
    assert list(boxes)[int(term_N.argmax())] == meant
    assert np.exp(term_N).sum() == pytest.approx(1)
    assert np.sort(term_N)[-1] > np.sort(term_N)[-2] + 0.05


@pytest.mark.parametrize("sentence", [sentence for sentence in SILENT if sentence != "right"])
def test_sentences_without_a_place_say_exactly_nothing(sentence: str) -> None:
    assert not term(sentence, LINE).any()
    assert not term(sentence, STREET).any()


def test_a_denied_place_is_the_contrary_of_a_stated_one() -> None:
    stated, denied = term("the left one", LINE), term("not the left one", LINE)
    assert stated.argmax() == denied.argmin()
    assert term("cup without a handle on the left", LINE).argmax() == 0


def test_nothing_is_said_of_a_single_candidate() -> None:
    assert term("left", LINE, among=[2]).tolist() == [0.0]


def test_boxes_that_are_no_candidates_are_landmarks_only() -> None:
    people = [list(STREET).index(name) for name in ("man", "woman", "boy")]
    assert people[int(term("right of the bus", STREET, among=people).argmax())] == list(STREET).index("woman")


def test_ordinals_count_things_of_the_kind_asked_for_and_each_once() -> None:
    assert list(STREET)[int(term("second person from the left", STREET).argmax())] == "woman"
    twice = {"one": LINE["one"], "again": (22, 202, 101, 299), **{name: LINE[name] for name in ("two", "three")}}
    assert list(twice)[int(term("second from left", twice).argmax())] == "two"


def test_a_relation_to_a_thing_that_is_not_there_is_a_weak_absolute_place() -> None:
    seen, unseen = term("cup on the left", LINE), term("cup left of the piano", LINE)
    assert unseen.argmax() == 0
    assert seen[0] > unseen[0] > np.log(1 / 4)


def test_places_within_an_anchor_belong_to_the_anchor() -> None:
    (reading,) = read_all(["cup next to the left car"])
    assert reading.places == (
        Place(
            kind="near",
            anchor="car",
            words="next to",
            anchor_places=(Place(kind="side", direction="left", words="the left"),),
        ),
    )


def test_one_statement_never_decides_alone() -> None:
    """A term is bounded below, so that other evidence can speak against it."""
    assert term("left", LINE).min() > np.log(0.02 / 4) - 0.01


MIRRORED = {"left": "right", "right": "left"}
SENTENCES = (
    "left",
    "the cup on the far right",
    "second from left",
    "top right corner",
    "not the left one",
    "in the middle",
    "closest",
    "bottom row second from the right",
    "left of the bus",
    "third one",
    "person next to the car on the right",
    "between the man and the woman",
    "biggest one at the left edge",
)


@given(
    st.lists(
        st.tuples(st.floats(0, 500), st.floats(0, 380), st.floats(10, 140), st.floats(10, 100)), min_size=2, max_size=6
    ),
    st.sampled_from(SENTENCES),
    st.data(),
)
def test_mirrors_and_the_order_of_candidates_change_nothing(
    drawn: list[tuple[float, float, float, float]], sentence: str, data: st.DataObject
) -> None:
    kinds = [frozenset({data.draw(st.sampled_from(("person", "bus", "car")))}) for _ in drawn]
    boxes = [(x, y, x + width, y + height) for x, y, width, height in drawn]
    mirror = [(640 - x1, y0, 640 - x0, y1) for x0, y0, x1, y1 in boxes]
    said, turned = read_all([sentence, " ".join(MIRRORED.get(word, word) for word in sentence.split())])
    term_N = place_term(said, scene_of(boxes, SIZE, kinds), range(len(boxes)))
    mirrored_N = place_term(turned, scene_of(mirror, SIZE, kinds), range(len(boxes)))
    np.testing.assert_allclose(mirrored_N, term_N, atol=1e-6)
    order = data.draw(st.permutations(range(len(boxes))))
    np.testing.assert_allclose(place_term(said, scene_of(boxes, SIZE, kinds), order), term_N[order], atol=1e-9)


def test_words_are_split_and_their_usual_misspellings_undone() -> None:
    assert words_of("Bottomright guy, 2nd from lft") == ("bottom", "right", "guy", ",", "second", "from", "left")
    assert words_of("left-most midle ontop 3 o'clock") == ("left", "most", "middle", "on", "top", "3", "o'clock")
    assert words_of("night light fight lover corned") == ("night", "light", "fight", "lover", "corned")
    assert len(words_of("left " * 100_000)) == MAX_WORDS


def test_kinds_of_nouns_agree_or_contradict_or_are_unknown() -> None:
    assert fit(kinds_of("guy"), kinds_of("person")) == 1
    assert fit(kinds_of("guy"), kinds_of("lady")) == -1
    assert fit(kinds_of("bus"), kinds_of("guy")) == -1
    assert fit(kinds_of("shirt"), kinds_of("guy")) == 0
    assert read_all(["hot dog on the left"])[0].noun == "hot dog"


def test_the_size_of_an_image_is_estimated_from_its_boxes() -> None:
    assert estimated_size([(0, 0, 630, 300), (10, 10, 20, 470)]) == (640, 470)
    assert estimated_size([(0, 0, 200, 600)]) == (427, 640)


class Word:
    """A token of a parse."""

    def __init__(self, i: int, pos_: str) -> None:
        self.i, self.pos_, self.head = i, pos_, self


def test_a_parse_finds_the_head_of_an_anchor() -> None:
    """In "the toy car crate" the last noun is the head, where words alone stop at a known kind."""

    def parse(sentences: object) -> list[list[Word]]:
        words = [Word(i, pos) for i, pos in enumerate(("ADJ", "ADP", "DET", "NOUN", "NOUN", "NOUN"))]
        for word in words[2:5]:
            word.head = words[5]
        return [words]

    (parsed,), (plain,) = read_all(["left of the toy car crate"], parse), read_all(["left of the toy car crate"])
    assert parsed.places[0].anchor == "crate"
    assert plain.places[0].anchor == "car"


VOCABULARY = """
left right top lower front back middle corner end row first second last third two from to of in on at the a not one next
near closest behind under above between biggest far o'clock 3 hot dog bus man other his hand looking , most
"""


@given(
    st.lists(st.sampled_from(VOCABULARY.split()), max_size=12),
    st.lists(st.tuples(*[st.integers(0, 40)] * 4), min_size=1, max_size=5),
)
def test_any_words_and_any_boxes_give_log_probabilities_or_nothing(
    words: list[str], drawn: list[tuple[int, ...]]
) -> None:
    boxes = [(x, y, x + width, y + height) for x, y, width, height in drawn]
    (reading,) = read_all([" ".join(words)])
    term_N = place_term(reading, scene_of(boxes, (60, 50), [kinds_of("bus")] * len(boxes)), range(len(boxes)))
    assert not term_N.any() or np.exp(term_N).sum() == pytest.approx(1)
