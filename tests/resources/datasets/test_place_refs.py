"""Files of sentences and boxes: which columns may be called what, and what becomes of rows that can not be read."""

from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.datasets.place_refs import read_place_refs
from tests.paths import SHARED

DATA = SHARED / "data/refcoco_text"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "refs.csv"
    path.write_text("\n".join(lines))
    return path


def test_sentences_of_a_referent_come_together(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "uid,ref_id,img_id,sent_id,sent,bbox",
        '7_0,7,12,1,left cup,"[1.5, 2, 10, 20]"',
        '8_0,8,12,2,"the right, red one","[50, 2, 10, 20]"',
        '7_1,7,12,3,cup,"[1.5, 2, 10, 20]"',
    )
    things = read_place_refs(path).things
    assert [(thing.image, thing.box, thing.expressions) for thing in things] == [
        ("12", (1.5, 2.0, 11.5, 22.0), ("left cup", "cup")),
        ("12", (50.0, 2.0, 60.0, 22.0), ("the right, red one",)),
    ]


def test_other_names_and_no_referents_are_taken_too(tmp_path: Path) -> None:
    path = written(tmp_path, "image,expression,box", 'a.png,left,"[0,0,5,5]"', 'a.png,the left one,"[0,0,5,5]"')
    assert [thing.expressions for thing in read_place_refs(path).things] == [("left", "the left one")]


def test_rows_that_can_not_be_read_are_told_and_the_others_stay(tmp_path: Path) -> None:
    bad = ('1,2,left,"[1, 2, 3]"', '1,2,left,"[1, 2, 0, 4]"', "1,2,left,nan", "1,,left,[0;0]", '3,1,cup,"[9, 0, 5, 5]"')
    path = written(tmp_path, "ref_id,img_id,sent,bbox", '3,1,right,"[0, 0, 5, 5]"', *bad)
    found = read_place_refs(path)
    assert [thing.expressions for thing in found.things] == [("right",)]
    assert len(found.problems) == len(bad)
    assert found.problems[0].startswith("line 3: the box is not [x, y, width, height]")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("img_id,bbox", "1,[0]"), "no column for the sentence: name one sent or"),
        (("img_id,sent", "1,left"), "no column for the box"),
        (("sent,bbox", 'left,"[0, 0, 5, 5]"'), "no column for the image"),
        (("img_id,sent,bbox", "1,left,here"), "no row of refs.csv can be read"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    with pytest.raises(Refused, match=told):
        read_place_refs(written(tmp_path, *lines))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is missing"):
        read_place_refs(tmp_path / "refs.csv")


@pytest.mark.skipif(not DATA.exists(), reason="needs the open files of RefCOCO")
@pytest.mark.parametrize(("name", "referents"), [("refcoco_unc_val.csv", 3811), ("refcocog_google_val.csv", 5000)])
def test_the_open_files_are_read_whole(name: str, referents: int) -> None:
    found = read_place_refs(DATA / name)
    assert (len(found.things), found.problems) == (referents, ())
