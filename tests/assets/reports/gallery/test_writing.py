"""The folder of a gallery: what its columns and files of masks say, and what a second writing leaves alone."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.data.images import Pixels
from assets.data.tables import ImageRow
from assets.reports.gallery import chunks
from assets.reports.gallery.index import coded
from assets.reports.gallery.writing import SIDE, Written, thumbnail, write_gallery
from resources.datasets import ImageChangedError
from storage.masks import Rle
from tests.galleries import HEIGHT, OBJECTS, WIDTH, grey, simulated

GALLERY = simulated(5, predictions=2)
ATTACK = "</script><script>alert(1)</script>\u2028\u202e‮<img src=x onerror=alert(1)>\ud800"


def said(path: Path) -> Any:
    """The argument of the call that a data file is."""
    found = re.fullmatch(r"wordmask\.\w+\((\d+, )?(.*)\);\n", path.read_bytes().decode("ascii"))
    assert found
    return json.loads(found[2])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_gallery(GALLERY, tmp_path_factory.mktemp("out"), grey)


@pytest.fixture(scope="module")
def index(written: Written) -> Any:
    return said(written.page.parent / "data" / "index.js")


def test_every_expression_has_a_row_with_its_words_split_class_and_choice(index: Any) -> None:
    referents, rows = index["referents"], index["rows"]
    for place, row in enumerate(GALLERY.rows):
        at = rows["referent"][place]
        choice = GALLERY.methods[0].choices[row.ref_id]
        got = [referents[name]["words"][referents[name]["codes"][at]] for name in ("split", "class")]
        assert [rows["id"][place], rows["text"][place], referents["id"][at]] == [
            row.sent_id,
            row.expression,
            row.ref_id,
        ]
        assert got == [row.split, GALLERY.classes[row.ref_id]]
        reason = index["choices"][0]["reason"]
        assert reason["words"][reason["codes"][at]] == choice.reason
        assert index["choices"][0]["candidates"][at] == len(choice.candidates)
        assert index["choices"][0]["margin"][at] == (
            None if choice.margin is None else pytest.approx(choice.margin, abs=1e-3)
        )
        assert index["choices"][0]["agree"][at] == (667 if choice.candidates else 1000)


def test_ious_are_those_of_the_masks_and_null_where_a_model_was_not_asked(index: Any) -> None:
    for number, method in enumerate(GALLERY.methods):
        for place, row in enumerate(GALLERY.rows):
            mask, truth = method.masks.get(row.sent_id), GALLERY.truth[row.sent_id]
            assert truth is not None
            expected = None if row.sent_id not in method.masks else 0 if mask is None else round(1000 * mask.iou(truth))
            assert index["iou"][number][place] == expected
            area = None if expected is None else 0 if mask is None else round(1000 * mask.area / (HEIGHT * WIDTH))
            assert index["area"][number][place] == area


def test_masks_candidates_scores_and_maps_come_back_whole(written: Written) -> None:
    chunk = said(written.page.parent / "data" / "masks-00000.js")
    for place, row in enumerate(GALLERY.rows):
        numbers = chunk["rows"][str(place)]
        asked = [*(method.masks for method in GALLERY.methods), GALLERY.truth]
        for number, masks in zip(numbers, asked, strict=True):
            assert (number is None) == (row.sent_id not in masks)
            if number is not None:
                got = None if number < 0 else Rle(chunk["masks"][number].encode(), HEIGHT, WIDTH)
                assert got == masks[row.sent_id]
        choice = GALLERY.methods[0].choices[row.ref_id]
        shown = chunk["choices"][0][str(row.ref_id)]
        assert (shown["numbers"], shown["taken"]) == (choice.candidates, choice.taken)
        offered = chunk["candidates"][0][str(int(row.image_id))]
        assert [name for name, *_ in offered] == choice.candidates
        height, width, cells = chunk["responses"][0][str(place)]
        map_hw = np.maximum(GALLERY.responses[0].maps_Nhw[place].astype(np.float32), 0)
        got_hw = np.frombuffer(b64decode(cells), np.uint8).reshape(height, width)
        np.testing.assert_allclose(got_hw / 255, map_hw / map_hw.max(), atol=0.003)
    assert len(chunk["masks"]) < sum(len(numbers) for numbers in chunk["rows"].values())


def test_images_are_divided_among_files_of_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "IMAGES", 2)
    found = write_gallery(GALLERY, tmp_path, grey)
    files = sorted((found.page.parent / "data").glob("masks-*.js"))
    assert [len(said(file)["rows"]) for file in files] == [2 * OBJECTS**2, 2 * OBJECTS**2, OBJECTS**2]


def test_a_second_writing_draws_only_new_images_and_deletes_what_is_of_none(tmp_path: Path) -> None:
    few = write_gallery(simulated(3), tmp_path, grey)
    mine = few.page.parent / "notes.txt"
    mine.write_text("mine")
    times = {path: path.stat().st_mtime_ns for path in few.page.parent.glob("thumbs/*")}
    assert (few.images, few.drawn, len(times)) == (3, 3, 3)

    more = write_gallery(simulated(5), tmp_path, grey)
    assert (more.page, more.drawn) == (few.page, 2)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())

    less = write_gallery(simulated(1), tmp_path, grey)
    assert (less.page, less.drawn, len(list(less.page.parent.glob("thumbs/*")))) == (few.page, 0, 1)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("file", ["index.html", "data/index.js", "thumbs/kept.jpg"])
def test_what_a_person_made_or_changed_there_stays_and_the_gallery_goes_beside_it(tmp_path: Path, file: str) -> None:
    first = write_gallery(simulated(1), tmp_path, grey).page.parent
    own = next(first.glob("thumbs/*")) if "kept" in file else first / file
    own.write_text("mine")
    second = write_gallery(simulated(1), tmp_path, grey).page.parent
    assert second != first
    assert own.read_text() == "mine"


def test_an_image_that_changed_keeps_its_rows_and_has_no_picture(tmp_path: Path) -> None:
    def read(image: ImageRow) -> Pixels:
        if image.image_id == "1":
            raise ImageChangedError(image.image_file, "is another file now")
        return grey(image)

    found = write_gallery(simulated(3), tmp_path, read)
    index = said(found.page.parent / "data" / "index.js")
    assert [thumb is None for thumb in index["images"]["thumb"]] == [False, True, False]
    assert (found.lost, found.drawn, found.expressions) == (("../1.jpg",), 2, 27)


def test_what_people_typed_is_data_and_no_markup(tmp_path: Path) -> None:
    gallery = simulated(1)
    rows = [replace(row, expression=ATTACK, raw=ATTACK + "!", split=ATTACK) for row in gallery.rows]
    images = {name: replace(image, image_file=ATTACK) for name, image in gallery.images.items()}
    classes = dict.fromkeys(gallery.classes, ATTACK)
    found = write_gallery(replace(gallery, rows=rows, images=images, classes=classes), tmp_path, grey)
    for file in [*found.page.parent.rglob("*.js"), found.page]:
        if file.name != "gallery.js":
            text = file.read_bytes().decode()
            assert "alert(1)</script" not in text
            assert "<img" not in text
            assert "\u202e" not in text
    assert said(found.page.parent / "data" / "index.js")["rows"]["text"][0].startswith("</script>")


def test_without_ground_truth_and_without_any_method_there_is_a_page_too(tmp_path: Path) -> None:
    gallery = replace(simulated(2, truth=False), methods=[], candidates=[], responses=[])
    found = write_gallery(gallery, tmp_path, grey)
    index = said(found.page.parent / "data" / "index.js")
    assert (index["iou"], index["choices"], index["disagreement"]) == ([], [], [None] * 18)
    assert "ground truth" not in found.page.read_text()


@pytest.mark.parametrize(("size", "small"), [((40, 30), (40, 30)), ((1600, 400), (SIDE, 80)), ((3, 2000), (1, SIDE))])
def test_a_small_picture_fits_and_is_never_enlarged(
    size: tuple[int, int], small: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "small.jpg").write_bytes(thumbnail(np.zeros((size[1], size[0], 3), np.uint8)))
    with Image.open(tmp_path / "small.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", small)


def test_words_that_repeat_are_written_once() -> None:
    assert coded(["val", "train", "val", ""]) == {"words": ["val", "train", ""], "codes": [0, 1, 0, 2]}
