"""The refer layout is read whole, and what is broken is left out with a reason."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.datasets import DatasetConfig, GroundTruth, Limits, open_dataset
from resources.datasets.ground_truth import encode_ground_truth, ground_truth_mask
from resources.datasets.images import ImageProblem
from resources.datasets.plain_pickle import load_plain_pickle
from resources.datasets.published_counts import PUBLISHED, SplitCount, check_counts
from resources.datasets.reading import check_images
from resources.datasets.records import in_split

from .conftest import IMAGES, ReferSet, picture, reference, sentence, square


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch attacked",)


def reasons(config: DatasetConfig) -> list[str]:
    return [row.reason for row in open_dataset(config).corpus().quarantined]


def test_expressions_come_in_file_order_with_both_texts(refer_set: ReferSet) -> None:
    corpus = open_dataset(refer_set.write()).corpus()
    assert [row.expression for row in corpus.expressions] == ["red thing", "left one", "red thing"]
    assert [row.raw for row in corpus.expressions] == ["red thing!", "left one!", "red thing!"]
    assert [(row.ref_id, row.sent_id, row.object_id) for row in corpus.expressions] == [
        (1, 10, "101"),
        (1, 11, "101"),
        (2, 20, "102"),
    ]
    assert corpus.expressions[0].image_file == "COCO_1.jpg", "the name of instances.json, not the ref's own"
    assert (corpus.expressions[0].width, corpus.expressions[0].height) == (40, 30)
    assert corpus.splits == ("train", "val")
    assert corpus.quarantined == ()


@pytest.mark.parametrize(
    ("field", "wanted", "belongs"),
    [
        ("train", "train", True),
        ("val", "train", False),
        ("testA", "testA", True),
        ("testAC", "testA", True),
        ("testB", "testA", False),
        ("test", "test", True),
        ("testA", "test", True),
        ("trainval", "val", False),
    ],
)
def test_splits_are_selected_as_the_refer_layout_does(field: str, wanted: str, belongs: bool) -> None:
    assert in_split(field, wanted) is belongs


def test_a_split_can_be_renamed(refer_set: ReferSet) -> None:
    refer_set.refs = refer_set.refs[1:]
    corpus = open_dataset(refer_set.write(split_map={"val": "train"})).corpus()
    assert [row.ref_id for row in corpus.of("train")] == [2]
    assert corpus.of("val") == ()


def test_a_pickle_that_calls_os_system_is_refused_unrun(refer_set: ReferSet) -> None:
    config = refer_set.write()
    (refer_set.root / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps([Attack()]))
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p asks for os\.system; only plain data is read"):
        open_dataset(config).corpus()
    assert not Path("attacked").exists()


def test_a_pickle_with_outside_objects_is_refused(tmp_path: Path) -> None:
    class Outside(pickle.Pickler):
        def persistent_id(self, thing: object) -> object:
            return "elsewhere" if thing == "secret" else None

    with (tmp_path / "refs.p").open("wb") as file:
        Outside(file).dump(["secret"])
    with pytest.raises(ValueError, match="outside object"):
        load_plain_pickle(tmp_path / "refs.p")


def test_python_2_text_is_read_as_utf_8_else_as_latin_1(tmp_path: Path) -> None:
    for name, data in {"utf": "é".encode(), "latin": b"\xe9"}.items():
        path = tmp_path / name
        path.write_bytes(b"\x80\x02U" + bytes([len(data)]) + data + b".")  # SHORT_BINSTRING, as Python 2 wrote it
        assert load_plain_pickle(path) == "é"


@pytest.mark.parametrize("data", [b"", b"hello", b"\x80\x02", pickle.dumps([1])[:-2]])
def test_a_broken_pickle_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "refs.p").write_bytes(data)
    with pytest.raises(ValueError, match=r"refs\.p is no readable pickle"):
        load_plain_pickle(tmp_path / "refs.p")


def test_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p is missing \(the folder is missing or empty\); check root"):
        open_dataset(DatasetConfig(kind="refer", root=tmp_path)).corpus()
    with pytest.raises(ValueError, match="is no folder; set root"):
        open_dataset(DatasetConfig(kind="refer", root=tmp_path / "nowhere")).corpus()


def test_instances_in_another_form_say_so(refer_set: ReferSet) -> None:
    config = refer_set.write()
    path = refer_set.root / "refcoco" / "instances.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="no readable JSON"):
        open_dataset(config).corpus()
    path.write_text(json.dumps({"images": []}))
    with pytest.raises(ValueError, match="has no annotations, it has images; check"):
        open_dataset(config).corpus()


def test_broken_records_are_left_out_one_row_per_sentence(refer_set: ReferSet) -> None:
    lost_annotation, lost_image, foreign = reference(3, texts=("one", "two")), reference(4, image=9), reference(5)
    refer_set.annotations += [square(4, 9), square(5, 2)]
    refer_set.refs += [lost_annotation, lost_image, foreign, reference(2), {"ref_id": 7}, reference(8, texts=())]
    refer_set.annotations.append(square(8))
    corpus = open_dataset(refer_set.write()).corpus()
    assert [row.ref_id for row in corpus.expressions] == [1, 1]
    assert [row.reason for row in corpus.quarantined] == [
        "several references have the ref_id 2; number them anew",
        "its annotation 103 is not in instances.json",
        "its annotation 103 is not in instances.json",
        "its image 9 is not in instances.json",
        "its annotation 105 belongs to image 2, not 1",
        "several references have the ref_id 2; number them anew",
        "it lacks ann_id and image_id and split and sentences",
        "the reference has no sentence",
    ]
    assert [row.ref_id for row in corpus.quarantined] == [2, 3, 3, 4, 5, 2, 7, 8]


def test_bad_sentences_are_left_out_and_good_ones_stay(refer_set: ReferSet) -> None:
    long, wide = "word " * 10_000, "字" * 2_001
    texts = ("  ", long, wide, "lone \ud83d", 7, "左边的男人 🙂")
    refer_set.refs = [reference(1, texts=texts)]
    refer_set.refs[0]["sentences"] += [sentence(16, "mine"), sentence(16, "the number of another")]
    corpus = open_dataset(refer_set.write()).corpus()
    assert [row.expression for row in corpus.expressions] == ["左边的男人 🙂"]
    assert [row.reason for row in corpus.quarantined] == [
        "the sentence is left out: sent is 7, no text",
        "several sentences have the sent_id 16; number them anew",
        "several sentences have the sent_id 16; number them anew",
        "the expression is empty",
        "the expression has 10,000 words, more than 200",
        "the expression has 2,001 characters, more than 2,000",
        "the expression is no valid Unicode text; save the manifest as UTF-8",
    ]
    assert all(len(row.item) < 100 for row in corpus.quarantined)


def test_limits_can_be_moved(refer_set: ReferSet) -> None:
    config = refer_set.write(limits=Limits(max_words=1))
    assert reasons(config) == ["the expression has 2 words, more than 1"] * 3


def test_a_broken_image_takes_all_its_rows_along_and_no_others(refer_set: ReferSet) -> None:
    folder = refer_set.root / IMAGES
    (folder / "COCO_1.jpg").write_bytes(b"")
    assert reasons(refer_set.write()) == ["COCO_1.jpg has 0 bytes; copy it again"] * 2
    (folder / "COCO_1.jpg").unlink()
    assert reasons(refer_set.write()) == ["COCO_1.jpg is missing; put it into train2014/"] * 2
    picture(folder / "COCO_1.jpg", width=41)
    assert reasons(refer_set.write()) == ["COCO_1.jpg is 41 x 30 pixels, the manifest says 40 x 30"] * 2
    refer_set.images[0]["file_name"] = "../../etc/passwd"
    assert set(reasons(refer_set.write())) == {
        "'../../etc/passwd' leads out of the image folder; name a file inside train2014/"
    }


def test_check_images_finds_what_the_header_hides(refer_set: ReferSet) -> None:
    path = picture(refer_set.root / IMAGES / "COCO_1.jpg")
    path.write_bytes(path.read_bytes()[:-100])
    dataset = open_dataset(refer_set.write())
    corpus = dataset.corpus()
    assert len(corpus.expressions) == 3
    checked = check_images(dataset, corpus)
    assert [row.ref_id for row in checked.expressions] == [2]
    assert [row.ref_id for row in checked.quarantined] == [1, 1]
    assert checked.splits == ("val",)


def test_the_fingerprint_follows_content_and_nothing_else(refer_set: ReferSet) -> None:
    before = open_dataset(refer_set.write()).fingerprint()
    path = refer_set.root / IMAGES / "COCO_1.jpg"
    os.utime(path, (1, 1))
    assert open_dataset(refer_set.write()).fingerprint() == before
    moved = refer_set.root.rename(refer_set.root.with_name("moved"))
    assert open_dataset(DatasetConfig(kind="refer", root=moved)).fingerprint() == before
    moved.rename(refer_set.root)
    assert open_dataset(refer_set.write(split_map={"val": "train"})).fingerprint() != before
    picture(path, quality=50)
    assert open_dataset(refer_set.write()).fingerprint() != before


def test_the_fingerprint_can_trust_modification_times(refer_set: ReferSet) -> None:
    config = refer_set.write(image_identity="stat")
    path = refer_set.root / IMAGES / "COCO_1.jpg"
    os.utime(path, (1, 1))
    before = open_dataset(config).fingerprint()
    assert open_dataset(config).fingerprint() == before
    os.utime(path, (2, 2))
    assert open_dataset(config).fingerprint() != before


def test_a_name_that_escapes_has_no_path(refer_set: ReferSet) -> None:
    dataset = open_dataset(refer_set.write())
    with pytest.raises(ImageProblem, match="leads out"):
        dataset.image_path("../x.jpg")


def test_ground_truth_holds_each_referred_object_once(refer_set: ReferSet) -> None:
    refer_set.refs.append({**reference(3), "ann_id": 101})
    refer_set.annotations.append(square(50))
    objects, broken = open_dataset(refer_set.write()).ground_truth()
    assert [(one.object_id, one.category, one.width, one.height) for one in objects] == [
        ("101", "person", 40, 30),
        ("102", "person", 40, 30),
    ]
    assert broken == []
    expected_HW = np.zeros((30, 40), bool)
    expected_HW[2:12, 2:12] = True
    np.testing.assert_array_equal(ground_truth_mask(objects[0]), expected_HW)


def test_overlapping_parts_stay_or_drop_out_as_asked(refer_set: ReferSet) -> None:
    left, right = [0, 0, 10, 0, 10, 10, 0, 10], [5, 0, 15, 0, 15, 10, 5, 10]
    refer_set.annotations[0]["segmentation"] = [left, right]
    objects, _ = open_dataset(refer_set.write()).ground_truth()
    assert ground_truth_mask(objects[0]).sum() == 150
    assert ground_truth_mask(objects[0], overlap="compat").sum() == 100


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "no polygon and no run lengths"),
        ([[1, 2, 3, 4]], "three corners"),
        ([[1, 2, 3, 4, float("nan"), 6]], "by far"),
        ([[1, 2, 3, 4, 1e12, 6]], "by far"),
        ([["a"] * 6], "can not be read"),
        ({"size": [30, 41], "counts": "0"}, "size [30, 41] do not fit an image of height 30, width 40"),
        ({"size": [30, 40], "counts": [1200]}, "covers no pixel"),
        ({"size": [30, 40], "counts": [100]}, "run lengths"),
        ({"size": [30, 40], "counts": "`1"}, "run lengths"),
        ({"size": [30, 40], "counts": "P"}, "run lengths"),
        (None, "can not be read"),
    ],
)
def test_a_segmentation_that_can_not_be_decoded_is_left_out(
    refer_set: ReferSet, segmentation: object, reason: str
) -> None:
    refer_set.annotations[0]["segmentation"] = segmentation
    objects, broken = open_dataset(refer_set.write()).ground_truth()
    assert [one.object_id for one in objects] == ["102"]
    assert [row.item for row in broken] == ["annotation 101"]
    assert reason in broken[0].reason


def test_annotations_without_an_image_are_named(refer_set: ReferSet) -> None:
    refer_set.annotations += [square(60, 77)]
    _, broken = open_dataset(refer_set.write()).ground_truth()
    assert [(row.item, row.reason) for row in broken] == [("annotation 160", "its image 77 is not in instances.json")]


def test_published_counts_are_demanded_of_a_copy_that_is_nearly_whole() -> None:
    published = PUBLISHED["refcoco", "unc"]
    check_counts("refcoco", "unc", published, expect=True)
    truncated = {**published, "val": SplitCount(1_500, 3_810, 10_831)}
    with pytest.raises(ValueError, match="val has 1,500 images, 3,810 references, 10,831 expressions, published are"):
        check_counts("refcoco", "unc", truncated, expect=None)
    check_counts("refcoco", "unc", truncated, expect=False)
    check_counts("refcoco", "unc", {"val": published["val"]}, expect=None)
    with pytest.raises(ValueError, match="train has 0 images"):
        check_counts("refcoco", "unc", {"val": published["val"]}, expect=True)
    with pytest.raises(ValueError, match="no counts are published for mine"):
        check_counts("mine", "unc", {}, expect=True)


def test_the_published_totals_are_those_of_the_paper() -> None:
    totals = {
        name: (sum(c.images for c in splits.values()), sum(c.referents for c in splits.values()))
        for name, splits in PUBLISHED.items()
    }
    assert totals["refcoco", "unc"] == (19_994, 50_000)
    assert totals["refcocog", "umd"] == (25_799, 49_822)
    assert sum(count.expressions for count in PUBLISHED["refcoco", "unc"].values()) == 142_210
    assert sum(count.expressions for count in PUBLISHED["refcocog", "umd"].values()) == 95_010


def test_an_unpublished_copy_is_refused_when_counts_are_expected(refer_set: ReferSet) -> None:
    with pytest.raises(ValueError, match="is not the published set: train has 1 images"):
        open_dataset(refer_set.write(expect_published_counts=True)).corpus()


@pytest.mark.parametrize(
    ("name", "split_by", "sentences", "objects"),
    [
        ("refcoco", "unc", 224, 77),
        ("refcoco+", "unc", 224, 77),
        ("refcocog", "umd", 39, 21),
        ("refcocog", "google", 38, 19),
    ],
)
def test_real_photographs_and_sentences_are_read_without_loss(
    shared: Path, name: str, split_by: str, sentences: int, objects: int
) -> None:
    config = DatasetConfig(kind="refer", root=shared / "refer_mini", name=name, split_by=split_by)
    dataset = open_dataset(config)
    corpus = check_images(dataset, dataset.corpus())
    truths, broken = dataset.ground_truth()
    assert (len(corpus.expressions), len(truths)) == (sentences, objects)
    assert corpus.quarantined == ()
    assert broken == []
    assert {row.object_id for row in corpus.expressions} == {one.object_id for one in truths}
    annotations = json.loads((config.root / name / "instances.json").read_text())["annotations"]
    by_id = {str(annotation["id"]): annotation for annotation in annotations}
    for truth in truths:
        mask_HW, annotation = ground_truth_mask(truth), by_id[truth.object_id]
        assert mask_HW.sum() == pytest.approx(annotation["area"], rel=0.01)
        assert box_iou(mask_HW, annotation["bbox"]) > 0.96


def box_iou(mask_HW: Any, box: list[float]) -> float:
    """How well the box around a mask agrees with an x, y, width, height box."""
    ys, xs = np.nonzero(mask_HW)
    x, y, width, height = box
    across = min(xs.max() + 1, x + width) - max(xs.min(), x)
    down = min(ys.max() + 1, y + height) - max(ys.min(), y)
    area = (np.ptp(xs) + 1) * (np.ptp(ys) + 1)
    return float(across * down / (area + width * height - across * down))


def test_run_lengths_are_decoded_as_cocos_own_decoder_does() -> None:
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 90, (40, 2)).tolist():
        coarse = rng.random((height // 6 + 1, width // 6 + 1)) < rng.random()
        mask_HW = np.kron(coarse, np.ones((6, 6), bool))[:height, :width]
        truth = GroundTruth(
            object_id="",
            image_id="",
            category="",
            segmentation=encode_ground_truth(mask_HW),
            height=height,
            width=width,
        )
        np.testing.assert_array_equal(ground_truth_mask(truth), mask_HW)
