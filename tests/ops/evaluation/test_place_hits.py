"""The measure of place words: who may be known, what counts, and that the answer does not leak."""

import math

import pytest

from ops.evaluation.place_hits import Judged, PlaceEvaluation, Referred, accuracy, evaluate_places, kinds_said
from ops.ssc.places.grammar import read_all

LEFT, RIGHT = (0.0, 100.0, 100.0, 300.0), (400.0, 100.0, 500.0, 300.0)


def evaluated(*things: tuple[str, tuple[float, float, float, float], list[str]]) -> PlaceEvaluation:
    referred = [Referred(image=image, box=box, expressions=tuple(said)) for image, box, said in things]
    texts = [text for thing in referred for text in thing.expressions]
    return evaluate_places(referred, dict(zip(texts, read_all(texts), strict=True)))


def test_only_sentences_with_a_place_in_images_with_a_rival_are_judged() -> None:
    found = evaluated(
        ("a", LEFT, ["left cup", "red cup"]), ("a", RIGHT, ["cup on the left"]), ("b", LEFT, ["the left one"])
    )
    assert (found.sentences, found.shared, found.spoken) == (4, 3, 2)
    assert [(row.expression, row.hit) for row in found.judged] == [("left cup", 1.0), ("cup on the left", 0.0)]
    assert accuracy(found.judged).value == 0.5
    assert accuracy(found.judged).chance == 0.5
    assert accuracy(found.judged).surely_wrong == 0.5


def test_the_kind_of_other_things_is_known_and_that_of_the_judged_one_is_not() -> None:
    others = ("a", RIGHT, ["the big bus"])
    plain = evaluated(("a", LEFT, ["man on the right"]), others)
    assert plain.judged[0].hit == 1.0  # a bus is no man
    assert plain.by_boxes[0].hit == 0.0
    for sibling in ("man in red", "a bus", "the left car"):
        again = evaluated(("a", LEFT, ["man on the right", sibling]), others)
        assert again.judged[0].chances == plain.judged[0].chances


def test_without_kinds_shuffled_boxes_bring_the_accuracy_to_chance() -> None:
    things = [(str(n), box, [said]) for n in range(20) for box, said in ((LEFT, "left cup"), (RIGHT, "right cup"))]
    swapped = [(image, RIGHT if box is LEFT else LEFT, said) for image, box, said in things[:20]] + things[20:]
    assert accuracy(evaluated(*things).by_boxes).value == 1.0
    found = accuracy(evaluated(*swapped).by_boxes)
    assert found.value == 0.5
    assert found.interval[0] < 0.4 < 0.6 < found.interval[1]


def test_an_interval_draws_images_and_not_sentences() -> None:
    def rows(images: int) -> list[Judged]:
        said = evaluated(("a", LEFT, ["left"]), ("a", RIGHT, ["on the left"])).judged
        each = [(n, row) for n in range(400) for row in said[n % 2 :][:1]]
        return [
            Judged(**{**vars(row), "image": str(n * images // 400)}) for n, row in sorted(each, key=lambda e: e[0] % 2)
        ]

    narrow, wide = accuracy(rows(400)), accuracy(rows(4))
    assert narrow.value == wide.value == 0.5
    assert narrow.interval[1] - narrow.interval[0] < 0.12
    assert math.isnan(accuracy([]).value)
    assert math.isnan(accuracy([]).interval[0])


def test_what_half_of_the_nouns_say_is_a_kind() -> None:
    said = ["man on left", "guy", "lady", "left"]
    readings = dict(zip(said, read_all(said), strict=True))
    assert kinds_said(said, readings) == {"person", "male"}
    assert kinds_said(["left"], readings) == frozenset()


@pytest.mark.parametrize(("sentence", "kinds"), [("not the left one", ("not side",)), ("top left, left", ("side",))])
def test_kinds_are_named_once_and_denied_ones_apart(sentence: str, kinds: tuple[str, ...]) -> None:
    found = evaluated(("a", LEFT, [sentence]), ("a", (380.0, 10.0, 500.0, 90.0), ["cup"]))
    assert found.judged[0].kinds == kinds
