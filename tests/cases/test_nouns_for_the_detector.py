"""A noun that the detector cannot be asked for costs only itself, and more nouns than fit are asked for in parts."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from assets.data.images import Pixels
from assets.data.tables import Referent
from assets.ssc.candidate_masks import Detected, Query
from assets.ssc.grounded_masks import Grounding
from assets.ssc.knobs import CandidateKnobs
from assets.ssc.tables import of_classes
from resources.embedded.cards import embedded_folder
from resources.models.detection import Captioned
from resources.models.grounding_dino import MAX_TOKENS, GroundingDino
from resources.models.grounding_text import read_tokenizer

PIXELS = np.zeros((4, 300, 3), np.uint8)
WORDS = ["apple", "arrow", "bag", "zebra", *(f"thing {number}" for number in range(200))]


class Finds(GroundingDino):
    """The embedded detector's tokenizer; finds each class once, as a column of its own."""

    def __init__(self) -> None:
        self.tokenizer = read_tokenizer(embedded_folder("detector"))
        self.asked: list[str] = []

    def detect(self, _: Pixels, caption_text: str) -> Any:
        encoding = self.tokenizer(caption_text, return_offsets_mapping=True)
        assert len(encoding["input_ids"]) <= MAX_TOKENS
        names = caption_text.removesuffix(" .").split(" . ")
        start, spans = 0, []
        for name in names:
            spans.append((start, start + len(name)))
            start += len(name) + 3
        columns = np.arange(len(names), dtype=np.float32) + len(self.asked)
        self.asked += names
        scores = np.array(
            [[0.9 * (a <= first < last <= b) for first, last in encoding["offset_mapping"]] for a, b in spans],
            np.float32,
        )
        boxes = np.stack([columns, 0 * columns, columns + 1, 0 * columns + 4], axis=1)
        return SimpleNamespace(boxes_Q4=boxes, token_scores_QT=scores, offsets=encoding["offset_mapping"])


class Fills:
    """Masks that fill their boxes."""

    def segment(self, image: Pixels, boxes: Any) -> tuple[Any, Any]:
        masks = np.zeros((len(boxes), 3, *image.shape[:2]), bool)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[:, y0:y1, x0:x1] = True
        return masks, np.full((len(boxes), 3), 0.5, np.float32)


def finder() -> Detected:
    return Detected(detector=Captioned(Finds()), segmenter=cast(Any, Fills()), knobs=CandidateKnobs())


@pytest.mark.parametrize(
    ("noun", "asked", "why"),
    [
        ("man.left", "man left", "end a phrase"),
        ("who?", "who", "end a phrase"),
        ("...", None, "no character"),
        ("\u200b", None, "no character"),
        ("\x00\x07", None, "no character"),
        ("\u0301\ufffd", None, "no character"),
        (" ", None, "no character"),
        ("", None, "no character"),
        ("- " * 300, None, "300 tokens"),
    ],
)
def test_the_other_nouns_of_the_image_are_found(noun: str, asked: str | None, why: str) -> None:
    find, query = finder(), Query(image_id="a", classes=["bird", noun])
    rows = find(query, PIXELS)
    assert [row.label for row in rows] == (["bird", asked] if asked else ["bird"])
    assert [row.label for row in of_classes(rows, ["bird"])] == ["bird"]
    assert [row.label for row in of_classes(rows, [noun])] == ([asked] if asked else [])
    (changed,) = find.reworded([query, query])
    assert (changed.label, changed.asked, changed.images) == (noun, asked, 2)
    assert why in changed.reason


def test_an_image_of_which_no_noun_is_left_has_no_candidate() -> None:
    assert finder()(Query(image_id="a", classes=["\u200b", "."]), PIXELS) == []


def test_more_nouns_than_fit_into_a_caption_are_all_found() -> None:
    find = finder()
    rows = find(Query(image_id="a", classes=WORDS), PIXELS)
    assert {row.label for row in rows} == set(WORDS)
    assert cast(Any, find.detector).model.asked == sorted(WORDS)
    assert not find.reworded([Query(image_id="a", classes=WORDS)])
    for row in rows:
        place = sorted(WORDS).index(row.label)
        assert row.x0 == place
        assert row.mask.decode()[:, place].all()


@pytest.mark.parametrize("sentence", ["\u200b", "?", "- " * 300])
def test_a_sentence_that_cannot_be_asked_for_leaves_the_others_of_its_referent(sentence: str) -> None:
    one = Referent(ref_id=1, object_id="1", image_id="a", split="val", sent_ids=[4, 5], expressions=[sentence, "cup"])
    said: list[str] = []
    rows = Grounding(detector=Captioned(Finds()), segmenter=cast(Any, Fills()), log=said.append)(one, PIXELS)
    assert [bool(row.mask.decode().any()) for row in rows] == [False, True]
    assert [line.startswith("an empty mask for sentence 4") for line in said] == [True]
