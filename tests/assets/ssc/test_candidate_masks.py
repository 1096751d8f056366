"""Where candidate masks come from: one per box by prompt, the best inside each box, or everything in the image."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from assets.data.images import Mask, Pixels
from assets.data.tables import Referent
from assets.framework.work import Work
from assets.ssc import candidate_masks
from assets.ssc.candidate_masks import Query, candidate_finder
from assets.ssc.grounded_masks import Grounding
from assets.ssc.knobs import CandidateKnobs
from assets.ssc.tables import CANDIDATES, CandidateRow, candidates_of
from ops.ssc.captions import caption
from resources.models.detection import Captioned, RawDetections
from resources.runtime import Runtime
from storage.artifact import Artifact

PIXELS = np.zeros((20, 30, 3), np.uint8)
BOXES = np.array([[2, 3, 10, 12], [12, 3, 20, 12], [15, 5, 25, 18]], np.float32)


def block(x0: int, y0: int, x1: int, y1: int) -> Mask:
    mask = np.zeros((20, 30), bool)
    mask[y0:y1, x0:x1] = True
    return mask


class Captions:
    """Finds three cups, the first one most surely."""

    passes, caption_tokens = 0, 254

    def tokens(self, text: str) -> int:
        return len(text.split())

    def score(self, _: Sequence[Pixels], captions: Sequence[str]) -> list[RawDetections]:
        said = caption(["cup"])
        assert list(captions) == [said.text]
        scores = np.array([[0.9], [0.8], [0.7]], np.float32)
        return [RawDetections(boxes_Q4=BOXES, token_scores_QT=scores, offsets=(said.spans[0],))]


class Segmenter:
    """Fills a box by prompt; finds a part of it, or nothing in the second one, without."""

    def segment(self, _: Pixels, boxes: Any) -> tuple[Any, Any]:
        masks = np.stack([block(*box.astype(int)) for box in boxes])
        return np.stack([masks] * 3, 1), np.full((len(boxes), 3), 0.6, np.float32)

    def inside(self, _: Pixels, boxes: Any) -> tuple[Any, Any]:
        assert np.array_equal(boxes, BOXES)
        masks = np.stack([block(4, 5, 9, 10), block(0, 0, 0, 0), block(16, 6, 20, 9)])
        return masks, np.array([0.5, 0.0, 0.4], np.float32)

    def segment_batch(self, images: Sequence[Pixels], boxes: Sequence[Any]) -> list[Any]:
        return list(map(self.segment, images, boxes))

    def automatic(self, _: Pixels) -> tuple[Any, Any]:
        return block(0, 0, 30, 10)[None], np.array([0.3], np.float32)


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_masks, "open_detector", lambda *_: Captioned(Captions()))
    monkeypatch.setattr(candidate_masks, "open_segmenter", lambda *_: Segmenter())


def rows(**knobs: Any) -> Sequence[CandidateRow]:
    work = cast(Work, SimpleNamespace(runtime=Runtime()))
    return candidate_finder(CandidateKnobs(**knobs), work.runtime)(Query(image_id="a", classes=["cup"]), PIXELS)


def test_a_box_in_which_nothing_is_found_keeps_its_row_but_is_no_candidate() -> None:
    found = rows(source="crop")
    assert [row.area for row in found] == [25, 0, 12]
    assert [row.x0 for row in found] == [2.0, 12.0, 15.0]
    assert [row.label for row in found] == ["cup"] * 3
    table = pa.Table.from_pylist([CANDIDATES.columns(row) for row in found], schema=CANDIDATES.schema)
    read = candidates_of(cast(Artifact, SimpleNamespace(batches=lambda *_, **__: table.to_batches())))
    assert [candidate.candidate for candidate in read["a"]] == [0, 2]
    assert all(isinstance(candidate, CandidateRow) for candidate in read["a"])


def test_masks_inside_boxes_lie_where_they_were_found() -> None:
    found = rows(source="crop")
    masks = [row.mask.decode() for row in found]
    assert np.array_equal(masks[0], block(4, 5, 9, 10))
    assert np.array_equal(masks[2], block(16, 6, 20, 9))


def test_boxes_are_prompts_otherwise_and_everything_needs_no_box() -> None:
    assert [row.area for row in rows()] == [72, 72, 130]
    (whole,) = rows(source="everything")
    assert (whole.area, whole.label, whole.x0) == (300, "", None)


@pytest.mark.parametrize(
    ("source", "models"),
    [
        ("detector", ("embedded/detector", "embedded/segmenter")),
        ("crop", ("embedded/detector", "embedded/segmenter")),
        ("everything", ("embedded/segmenter",)),
    ],
)
def test_recipes_name_the_models_that_a_source_uses(source: Any, models: tuple[str, ...]) -> None:
    assert CandidateKnobs(source=source).models() == models


def test_a_sentence_without_words_has_an_empty_mask() -> None:
    one = Referent(ref_id=1, object_id="1", image_id="a", split="val", sent_ids=[4, 5], expressions=["cup", ". ?"])
    said: list[str] = []
    ground = Grounding(detector=Captioned(Captions()), segmenter=cast(Any, Segmenter()), log=said.append)
    rows = ground(one, PIXELS)
    masks = [row.mask.decode() for row in rows]
    assert [row.sent_id for row in rows] == [4, 5]
    assert np.array_equal(masks[0], block(2, 3, 10, 12))
    assert not masks[1].any()
    assert said == [
        "an empty mask for sentence 5: '. ?' cannot be asked for: it holds no character that the detector reads"
    ]
