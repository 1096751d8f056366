"""The split of COCO's classes, against the ids of the open-vocabulary detection benchmark."""

import pytest

from ops.open_vocabulary_split import NEITHER, SEEN, UNSEEN, split_part
from ops.ssc.class_projection import COCO_80

MISSING = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
IDS = dict(zip((one for one in range(1, 91) if one not in MISSING), COCO_80, strict=True))
"""COCO's category ids, which leave out ten numbers."""
UNSEEN_IDS = {5, 6, 17, 18, 21, 22, 28, 32, 36, 41, 47, 49, 61, 63, 76, 81, 87}
NEITHER_IDS = {10, 11, 13, 14, 37, 39, 40, 43, 46, 58, 64, 67, 77, 88, 89}


def test_the_split_is_the_published_one_by_id() -> None:
    assert {IDS[one] for one in UNSEEN_IDS} == UNSEEN
    assert {IDS[one] for one in NEITHER_IDS} == NEITHER
    assert (len(SEEN), len(UNSEEN), len(NEITHER)) == (48, 17, 15)
    assert set(COCO_80) == SEEN | UNSEEN | NEITHER


@pytest.mark.parametrize(
    ("category", "expected"),
    [("person", "seen"), ("dog", "unseen"), ("sports ball", "neither"), ("unicorn", None), ("", None)],
)
def test_a_class_is_seen_unseen_neither_or_no_class_of_coco(category: str, expected: str | None) -> None:
    assert split_part(category) == expected
