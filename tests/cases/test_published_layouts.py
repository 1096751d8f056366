"""One record of another type costs that record; an id that stands for two things stands for none; reasons tell why."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pycocotools.coco import COCO

from assets.data.tables import EXPRESSIONS, QUARANTINE, ImageRow, Referent
from assets.exports.coco import coco_page
from assets.exports.given import Export, Given
from ops.refusal import Refused
from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.coco_records import read_instances
from resources.datasets.ground_truth import ground_truth_mask
from resources.datasets.records import Corpus, GroundTruth, QuarantinedRow
from resources.toyref.refcoco_writer import require_world
from storage.masks import MaskError, Rle, rasterise

Record = dict[str, Any]
IMAGE: Record = {"id": 1, "file_name": "one.jpg", "width": 40, "height": 30}
ANNOTATION: Record = {"id": 10, "image_id": 1, "category_id": 1, "segmentation": [[5, 5, 15, 5, 15, 15, 5, 15]]}
SENTENCE: Record = {"sent_id": 1, "sent": "the red square", "raw": "The red square"}
REF: Record = {"ref_id": 1, "ann_id": 10, "image_id": 1, "split": "train", "sentences": [SENTENCE]}
GOOD_ANNOTATION: Record = {**ANNOTATION, "id": 11}
GOOD: Record = {**REF, "ref_id": 2, "ann_id": 11, "sentences": [{"sent_id": 9, "sent": "the cup"}]}
PAGE: Record = {
    "images": [IMAGE],
    "annotations": [ANNOTATION, GOOD_ANNOTATION],
    "categories": [{"id": 1, "name": "square"}],
}
Read = Callable[..., "Found"]


class Found:
    """What was read of a set, in a form that is quick to compare."""

    def __init__(self, corpus: Corpus, truths: list[GroundTruth], broken: list[QuarantinedRow]) -> None:
        for table, rows in ((EXPRESSIONS, corpus.expressions), (QUARANTINE, (*corpus.quarantined, *broken))):
            names = [name for name in table.schema.names if name != "key"]
            wanted = pa.schema([table.schema.field(name) for name in names])
            pa.Table.from_pylist([{name: getattr(row, name) for name in names} for row in rows], schema=wanted)
        self.refs = [row.ref_id for row in corpus.expressions]
        self.corpus, self.truths = corpus, truths
        self.reasons = [row.reason for row in corpus.quarantined]
        self.broken = [row.reason for row in broken]
        self.objects = [truth.object_id for truth in truths]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a set of two images and two references, changed as asked, and read all of it."""
    images = tmp_path / "images/mscoco/images/train2014"
    images.mkdir(parents=True)
    (tmp_path / "refcoco").mkdir()
    for name, colour in (("one.jpg", "red"), ("two.jpg", "blue")):
        Image.new("RGB", (40, 30), colour).save(images / name)

    def write(
        *refs: object, page: object = PAGE, image: Record | None = None, annotation: Record | None = None
    ) -> Found:
        if image or annotation:
            mended = [{**ANNOTATION, **(annotation or {})}, GOOD_ANNOTATION]
            page = {**PAGE, "images": [{**IMAGE, **(image or {})}], "annotations": mended}
        (tmp_path / "refcoco/refs(unc).p").write_bytes(pickle.dumps([*(refs or (REF,)), GOOD], protocol=2))
        text = page if isinstance(page, bytes) else json.dumps(page).encode()
        (tmp_path / "refcoco/instances.json").write_bytes(text)
        dataset = open_dataset(DatasetConfig(kind="refer", root=tmp_path, name="refcoco"))
        dataset.fingerprint()
        return Found(dataset.corpus(), *dataset.ground_truth())

    return write


WRONG_REFS: dict[str, tuple[object, str]] = {
    "image_id is a list": ({**REF, "image_id": [1]}, "image_id is a list, no whole number"),
    "sentences is a number": ({**REF, "sentences": 5}, "sentences is 5, no list"),
    "sentences is a text": ({**REF, "sentences": "red"}, "sentences is the text 'red', no list"),
    "ref_id beyond int64": ({**REF, "ref_id": 2**70}, "ref_id is a number of more than 64 bits, no whole number"),
    "ref_id of 5000 digits": ({**REF, "ref_id": 10**5000}, "ref_id is a number of more than 64 bits"),
    "sent_id beyond int64": ({**REF, "sentences": [{**SENTENCE, "sent_id": 2**64}]}, "more than 64 bits"),
    "ref_id is true": ({**REF, "ref_id": True}, "ref_id is a truth value, no whole number"),
    "ann_id is a dict": ({**REF, "ann_id": {}}, "ann_id is a record"),
    "half an id": ({**REF, "ann_id": 10.5}, "ann_id is 10.5, no whole number"),
    "an id with noughts before it": ({**REF, "ann_id": "010"}, "ann_id is the text '010', no whole number"),
    "split is a lone surrogate": ({**REF, "split": "\ud800"}, "split is no valid Unicode text"),
    "split is a number": ({**REF, "split": 3}, "split is 3, no text"),
    "split without end": ({**REF, "split": "x" * 10**6}, "split has 1,000,000 characters"),
    "sent is a list": ({**REF, "sentences": [{**SENTENCE, "sent": ["red"]}]}, "sent is a list, no text"),
    "sentence is a number": ({**REF, "sentences": [7]}, "it is 7, no record"),
    "record is a list": ([REF], "it is a list, no record"),
    "record is nothing": (None, "it is nothing, no record"),
    "no image": ({**REF, "image_id": 7}, "its image 7 is not in instances.json"),
    "no annotation": ({**REF, "ann_id": 7}, "its annotation 7 is not in instances.json"),
    "nothing referred to": ({**REF, "ann_id": [-1]}, "to no object (gRefCOCO)"),
    "two objects": ({**REF, "ann_id": [10, 11]}, "to 2 objects at once (gRefCOCO)"),
}


@pytest.mark.parametrize("case", WRONG_REFS)
def test_a_reference_of_the_wrong_type_is_left_out_and_says_why(read: Read, case: str) -> None:
    ref, reason = WRONG_REFS[case]
    found = read(ref)
    assert found.refs == [2]
    assert len(found.reasons) == 1
    assert reason in found.reasons[0]


WRONG_ANNOTATIONS: dict[str, tuple[Record, str, list[int]]] = {
    "category_id is a list": ({"category_id": [1]}, "category_id is a list, no whole number", [1, 2]),
    "image_id is a dict": ({"image_id": {}}, "image_id is a record, no whole number", [2]),
    "image_id is a list": ({"image_id": [1, 2]}, "image_id is a list, no whole number", [2]),
    "another image": ({"image_id": 5}, "its image 5 is not in instances.json", [2]),
    "runs of truth": ({"segmentation": {"size": [30, 40], "counts": [True, 1199]}}, "whole numbers", [1, 2]),
    "corners of truth": ({"segmentation": [[True, 1, 5, 5, 1, 5]]}, "coordinates", [1, 2]),
    "letters beyond ASCII": ({"segmentation": {"size": [30, 40], "counts": "é"}}, "compressed text", [1, 2]),
    "a number beyond all": ({"segmentation": [[10**400, 1, 5, 5, 1, 5]]}, "by far", [1, 2]),
}


@pytest.mark.parametrize("case", WRONG_ANNOTATIONS)
def test_an_annotation_of_the_wrong_type_is_left_out_and_says_why(read: Read, case: str) -> None:
    change, reason, refs = WRONG_ANNOTATIONS[case]
    found = read(annotation=change)
    assert found.refs == refs
    assert found.objects == ["11"]
    assert reason in found.broken[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"width": 60_000, "height": 60_000}, "has 60,000 x 60,000 pixels, more than 50,000,000"),
        ({"width": -40}, "has -40 x 30 pixels"),
        ({"width": 2**80}, "width is a number of more than 64 bits, no whole number"),
        ({"width": True}, "width is a truth value"),
        ({"height": "tall"}, "height is the text 'tall', no whole number"),
        ({"height": None, "width": None}, "it lacks width and height"),
        ({"file_name": 7}, "file_name is 7, no text"),
        ({"file_name": "\ud800.jpg"}, "file_name is no valid Unicode text"),
    ],
)
def test_an_image_that_can_not_be_leaves_its_objects_out_before_anything_is_reserved(
    read: Read, change: Record, reason: str
) -> None:
    found = read(image=change)
    assert (found.refs, found.objects) == ([], [])
    assert all(reason in said for said in [*found.reasons, *found.broken])
    assert len(found.reasons) == len(found.broken) == 2


@pytest.mark.parametrize(
    ("section", "record", "reason"),
    [
        ("images", {**IMAGE, "file_name": "two.jpg"}, "its image 1 can not be used"),
        ("annotations", {**ANNOTATION, "segmentation": [[0, 0, 39, 0, 39, 29]]}, "its annotation 10 can not be used"),
        ("annotations", {**ANNOTATION, "id": "10", "category_id": 2}, "its annotation 10 can not be used"),
        ("categories", {"id": 1, "name": "circle"}, "its category 1 can not be used"),
    ],
)
def test_an_id_that_stands_for_two_records_stands_for_none(
    read: Read, section: str, record: Record, reason: str
) -> None:
    found = read(page={**PAGE, section: [*PAGE[section], record]})
    lost_refs = {"images": [], "annotations": [2], "categories": [1, 2]}[section]
    assert found.refs == lost_refs
    assert found.objects == (["11"] if section == "annotations" else [])
    assert all(f"{reason}: instances.json has several of that id" in said for said in [*found.reasons, *found.broken])


@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_the_same_record_twice_is_that_record(read: Read, section: str) -> None:
    found = read(page={**PAGE, section: PAGE[section] * 2})
    assert (found.refs, found.objects, found.reasons, found.broken) == ([1, 2], ["10", "11"], [], [])


def test_references_and_sentences_that_share_a_number_are_left_out_unless_they_are_the_same(read: Read) -> None:
    other = {**REF, "sentences": [{**SENTENCE, "sent_id": 5}]}
    assert read(REF, other).reasons == ["several references have the ref_id 1; number them anew"] * 2
    again = read(REF, REF)
    assert (again.refs, again.reasons) == ([1, 2], ["the same reference is listed before"])
    words = [SENTENCE, {**SENTENCE, "sent": "another"}, {**SENTENCE, "sent_id": 3}, {**SENTENCE, "sent_id": 3}]
    mixed = read({**REF, "sentences": words})
    assert [row.sent_id for row in mixed.corpus.expressions] == [3, 9]
    shared = "several sentences have the sent_id 1; number them anew"
    assert mixed.reasons == [shared, shared, "the same sentence is listed before"]


def test_a_name_that_json_gives_twice_is_no_value(read: Read) -> None:
    text = json.dumps(PAGE).replace('"image_id": 1', '"image_id": 1, "image_id": 2', 1).encode()
    found = read(page=text)
    assert found.refs == [2]
    assert "image_id is given more than once, differently" in found.reasons[0]
    assert read(page=json.dumps(PAGE).replace('"width": 40', '"width": 40, "width": 40').encode()).refs == [1, 2]
    with pytest.raises(Refused, match=r"images in instances\.json is given more than once"):
        read(page=b'{"images": [], ' + json.dumps(PAGE).encode()[1:])


TEXT_IDS: Record = {**ANNOTATION, "id": "10", "image_id": "1", "category_id": "1"}
PLAIN: dict[str, Callable[[Read], Found]] = {
    "ids are text in the JSON": lambda read: read(image={"id": "1"}, annotation=TEXT_IDS),
    "ids are text everywhere": lambda read: read(
        {**REF, "ref_id": "1", "ann_id": "10", "image_id": "1"}, image={"id": "1"}, annotation=TEXT_IDS
    ),
    "ids are 1.0": lambda read: read({**REF, "ann_id": 10.0}, image={"id": 1.0}, annotation={"id": "10.0"}),
    "sizes are 40.0": lambda read: read(image={"width": 40.0, "height": "30"}),
    "sizes of runs are 40.0": lambda read: read(
        annotation={"segmentation": {"size": [30.0, 40.0], "counts": [100.0, 100, 1000]}}
    ),
    "no categories": lambda read: read(page={name: PAGE[name] for name in ("images", "annotations")}),
    "categories is nothing": lambda read: read(page={**PAGE, "categories": None}),
    "gRefCOCO: a list of one id": lambda read: read({**REF, "ann_id": [10]}),
    "tuples": lambda read: read({**REF, "sentences": (SENTENCE,)}),
    "no raw": lambda read: read({**REF, "sentences": [{"sent_id": 1, "sent": "the red square", "raw": None}]}),
    "UTF-8 with its mark": lambda read: read(page=b"\xef\xbb\xbf" + json.dumps(PAGE).encode()),
    "bytes that are no text where nobody reads": lambda read: read(
        page=json.dumps({**PAGE, "info": "@"}).encode().replace(b"@", b"\xff")
    ),
    "a number of 5000 digits where nobody reads": lambda read: read(
        page=json.dumps({**PAGE, "info": "@"}).encode().replace(b'"@"', b"9" * 5000)
    ),
}


@pytest.mark.parametrize("case", PLAIN)
def test_what_is_plain_is_read(read: Read, case: str) -> None:
    found = PLAIN[case](read)
    assert found.refs == [1, 2]
    assert found.objects == ["10", "11"]
    assert found.reasons == found.broken == []
    assert ground_truth_mask(found.truths[0]).sum() == 100


def test_a_record_without_a_usable_id_is_named_and_what_refers_to_nothing_says_so(read: Read) -> None:
    found = read(page={**PAGE, "images": [IMAGE, {"id": None}, 7], "annotations": [{**ANNOTATION, "id": [10]}]})
    beside = "is not in instances.json (1 there without a usable id)"
    assert found.reasons == [f"its annotation 10 {beside}", f"its annotation 11 {beside}"]
    assert found.broken[2:] == ["it lacks id", "it is 7, no record", "id is a list, no whole number"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"", "no readable JSON"),
        (b"[1]", "holds a list and no JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' * 100_000, "nested too deeply"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (json.dumps({**PAGE, "images": {}}).encode(), "images in instances.json is a record and no list"),
        (json.dumps({"images": []}).encode(), "instances.json has no annotations, it has images"),
    ],
)
def test_a_file_in_another_form_says_which(read: Read, page: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(page=page)


def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_named(read: Read, tmp_path: Path) -> None:
    read()
    config = DatasetConfig(kind="refer", root=tmp_path, name="refcoco")
    for name, make, kind in (
        ("instances.json", os.mkfifo, "a named pipe"),
        ("refs(unc).p", os.mkdir, "a folder"),
    ):
        path = tmp_path / "refcoco" / name
        path.unlink()
        make(path)
        with pytest.raises(Refused, match=kind):
            open_dataset(config).corpus()


def test_thousands_of_parts_or_an_endless_outline_do_not_fill_the_memory() -> None:
    square = [5, 5, 15, 5, 15, 15, 5, 15]
    assert rasterise([square] * 5_000, 30, 40).sum() == 100
    assert not rasterise([square] * 5_000, 30, 40, overlap="compat").any()
    with pytest.raises(MaskError, match="outline"):
        rasterise([[-400, -400, 400, 400] * 2_000], 30, 40)


def test_only_the_sections_that_are_read_are_demanded(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"annotations": [], "images": []}))
    assert read_instances(path, max_pixels=1).images.records == {}


def test_exported_annotations_have_every_section_that_other_readers_demand() -> None:
    image = ImageRow(image_id="a", image_file="a.jpg", width=4, height=4, sha256="")
    referent = Referent(ref_id=3, object_id="o", image_id="a", split="val", sent_ids=[7], expressions=["it"])
    given = Given(image=image, referent=referent, sent_id=None, mask=Rle.of(np.ones((4, 4), bool)), score=0.5)
    coco = COCO()
    export = Export(stage="", images={"a": image}, given=[given], read=lambda _: b"")
    coco.dataset = json.loads(coco_page(export))
    coco.createIndex()
    coco.info()
    assert coco.imgs[1]["license"] in [one["id"] for one in coco.dataset["licenses"]]
    assert coco.anns[1]["score"] == 0.5
    assert coco.loadCats([1]) == [{"id": 1, "name": "object", "supercategory": "object"}]
    assert coco.annToMask(coco.loadAnns([1])[0]).sum() == 16


@pytest.mark.parametrize("page", [{}, {"info": 3}, {"info": {"size": ["tiny"], "seed": {}}}])
def test_a_folder_that_holds_no_world_is_not_taken_for_one(tmp_path: Path, page: object) -> None:
    (tmp_path / "instances.json").write_text(json.dumps(page))
    with pytest.raises(Refused, match="holds no world of this project"):
        require_world(tmp_path, size="tiny", seed=0)
