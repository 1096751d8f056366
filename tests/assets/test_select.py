"""Constrained matching at stage 2: objects of an image compete for its masks by CLIP's similarity."""

import math

from assets.records import CandidateRecord, ImageRecord, ObjectRecord
from assets.select import _matched, _Scene
from ops.choice import Choice


def mask(number: int) -> CandidateRecord:
    return CandidateRecord(image_id="a", candidate=number, label="cup", area=9, rle=b"", height=3, width=3)


def scene(*offered: tuple[int, ...]) -> _Scene:
    objects = [ObjectRecord(ref_id=row, object_id=str(row), image_id="a", split="train") for row in range(len(offered))]
    image = ImageRecord(image_id="a", image_file="a.png", width=3, height=3, sha256="")
    return _Scene(image=image, objects=objects, offered=[[mask(number) for number in row] for row in offered])


def by_clip(index: int, *scores: float) -> Choice:
    return Choice(index=index, scores_N=scores, reason="clip")


def test_the_second_object_gives_way() -> None:
    alone = [by_clip(0, 30.0, 20.0), by_clip(0, 25.0, 24.0)]
    found = _matched(alone, [{4: 30.0, 7: 20.0}, {4: 25.0, 7: 24.0}], scene((4, 7), (4, 7)))
    assert [choice.index for choice in found] == [0, 1]
    assert {choice.reason for choice in found} == {"matched"}


def test_a_single_candidate_is_taken_and_excluded() -> None:
    single = Choice(index=0, scores_N=(math.nan,), reason="single")
    found = _matched([by_clip(1, 20.0, 25.0), single], [{4: 20.0, 7: 25.0}, {7: 28.0}], scene((4, 7), (7,)))
    assert [choice.index for choice in found] == [0, 0]
    assert [choice.reason for choice in found] == ["matched", "single"]


def test_left_overs_keep_their_own_best_and_objects_without_candidates_nothing() -> None:
    nothing = Choice(index=-1, scores_N=(), reason="no candidate")
    single = Choice(index=0, scores_N=(math.nan,), reason="single")
    found = _matched([single, single, nothing], [{4: 30.0}, {4: 20.0}, {}], scene((4,), (4,), ()))
    assert [choice.index for choice in found] == [0, 0, -1]
    assert found[2].reason == "no candidate"
