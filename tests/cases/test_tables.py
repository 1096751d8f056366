"""A user's own table means one thing however it is spelled, encoded or formed; what can not be read says why."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from assets.exports.coco import COLUMNS, csv_bytes
from ops.refusal import Refused
from resources.datasets import Corpus, DatasetConfig, open_dataset
from resources.datasets.class_pairs import read_class_pairs
from resources.datasets.reading import Dataset

Rows = list[dict[str, object]]
Read = Callable[..., Corpus]
HEAD = "image,expression"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images `p0.jpg` and `images/p1.jpg`, a mask `m.png` of the first."""
    root = tmp_path / "mine"
    (root / "images").mkdir(parents=True)
    for name, grey in (("p0.jpg", 80), ("images/p1.jpg", 160)):
        Image.new("L", (40, 30), grey).save(root / name)
    mask_HW = np.zeros((30, 40), np.uint8)
    mask_HW[4:9, 10:20] = 255
    Image.fromarray(mask_HW).save(root / "m.png")
    return root


def of_folder(folder: Path, table: str | bytes | Rows, name: str | None = None) -> Dataset:
    if isinstance(table, list):
        table, name = "\n".join(map(json.dumps, table)), name or "expressions.jsonl"
    name = name or "expressions.csv"
    (folder / name).write_bytes(table.encode(errors="surrogatepass") if isinstance(table, str) else table)
    return open_dataset(DatasetConfig(kind="folder", root=folder, manifest=name))


def read(folder: Path, table: str | bytes | Rows, name: str | None = None) -> Corpus:
    return of_folder(folder, table, name).corpus()


def said(corpus: Corpus) -> list[tuple[str, str]]:
    return [(row.image_file, row.expression) for row in corpus.expressions]


def reasons(corpus: Corpus) -> list[str]:
    return [row.reason for row in corpus.quarantined]


# one file, however it is spelled

SPELLINGS = [
    "./p1.jpg",
    "images/p1.jpg",
    "images//p1.jpg",
    "./images/./p1.jpg",
    "images/../images/p1.jpg",
    "images\\p1.jpg",
    ".\\images\\p1.jpg",
    "P1.JPG",
    "Images\\P1.jpg",
    "link.jpg",
    "folder/p1.jpg",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_file_spelled_two_ways_is_one_image_and_one_object(folder: Path, spelling: str) -> None:
    (folder / "link.jpg").symlink_to("images/p1.jpg")
    (folder / "folder").symlink_to("images")
    corpus = read(folder, f"{HEAD},object_id\np1.jpg,bird,1\n{spelling},left bird,1\n")
    assert reasons(corpus) == []
    assert {(row.image_id, row.image_file, row.ref_id) for row in corpus.expressions} == {
        ("images/p1.jpg", "images/p1.jpg", 0)
    }


def test_an_accent_of_one_letter_or_two_is_one_image(folder: Path) -> None:
    (folder / "p0.jpg").rename(folder / normalize("NFC", "é.jpg"))
    rows = [f"{normalize('NFC', 'é')}.jpg,one,1", f"{normalize('NFD', 'é')}.jpg,two,1", "É.JPG,three,1"]
    corpus = read(folder, "\n".join([f"{HEAD},object_id", *rows]))
    assert len({(row.image_file, row.ref_id) for row in corpus.expressions}) == 1
    assert len(corpus.expressions) == 3


def test_two_files_that_differ_in_case_are_two_and_a_third_spelling_is_neither(folder: Path) -> None:
    Image.new("L", (20, 30)).save(folder / "P0.jpg")
    corpus = read(folder, f"{HEAD}\np0.jpg,one\nP0.jpg,two\nP0.JPG,three\n")
    assert said(corpus) == [("p0.jpg", "one"), ("P0.jpg", "two")]
    assert reasons(corpus) == ["P0.JPG may be any of P0.jpg, p0.jpg; spell it as the file"]


def test_a_mask_spelled_two_ways_is_one_and_one_row_of_an_object_may_name_it(folder: Path) -> None:
    rows = ["p0.jpg,one,1,", "./p0.jpg,two,1,m.png", "p0.jpg,three,1,./m.png", "p0.jpg,four,1,nan"]
    dataset = of_folder(folder, "\n".join([f"{HEAD},object_id,mask", *rows]))
    assert (len(dataset.corpus().expressions), dataset.corpus().quarantined) == (4, ())
    truths, broken = dataset.ground_truth()
    assert ([truth.object_id for truth in truths], broken) == (["p0.jpg#1"], [])


def test_a_backslash_in_the_name_of_a_file_is_itself(folder: Path) -> None:
    Image.new("L", (20, 30)).save(folder / "images\\p1.jpg")
    assert said(read(folder, f"{HEAD}\nimages\\p1.jpg,x\n")) == [("images\\p1.jpg", "x")]


@pytest.mark.parametrize("name", ["C:\\p0.jpg", "C:p0.jpg", "\\\\server\\p0.jpg", "..\\p0.jpg", "../p0.jpg", "/p0.jpg"])
def test_a_name_that_leads_out_of_the_folder_is_left_out(folder: Path, name: str) -> None:
    corpus = read(folder, f"{HEAD}\n{name},x\np0.jpg,good\n")
    assert said(corpus) == [("p0.jpg", "good")]
    assert "leads out of the image folder" in reasons(corpus)[0]


# ids and splits: one rule for CSV and JSON

NO_ID = ["NaN", "nan", "None", "null", "NA", "n/a", "<NA>", "NaT", "#N/A", "-nan", " ", ""]
SAME_ID = [("7", "7.0"), ("7", "7.00"), ("7", "7e0"), ("1000", "1e3"), ("1000", "1E+3"), ("0", "-0.0"), ("70", "7.e1")]
OTHER_ID = [
    ("7", "007"),
    ("7", "7.5"),
    ("1.1", "1.10"),
    ("7", "7a"),
    ("a", "A"),
    ("9007199254740993", "9007199254740992.0"),
]


@pytest.mark.parametrize("form", ["csv", "json text", "json"])
@pytest.mark.parametrize(
    ("first", "second", "objects"),
    [(word, word, 2) for word in NO_ID] + [(*pair, 1) for pair in SAME_ID] + [(*pair, 2) for pair in OTHER_ID],
)
def test_ids_are_texts_or_numbers_or_no_value(folder: Path, form: str, first: str, second: str, objects: int) -> None:
    if form == "csv":
        corpus = read(folder, f"{HEAD},object_id\np0.jpg,one,{first}\np0.jpg,two,{second}\n")
    else:
        ids = [plain(text) if form == "json" else json.dumps(text) for text in (first, second)]
        lines = [f'{{"image": "p0.jpg", "expression": "x", "object_id": {one}}}' for one in ids]
        corpus = read(folder, "\n".join(lines), "expressions.jsonl")
    assert reasons(corpus) == []
    assert len({row.ref_id for row in corpus.expressions}) == objects


def plain(text: str) -> str:
    """The same as JSON's own number or constant where it has one."""
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text


@pytest.mark.parametrize(
    ("split", "kept"),
    [
        ("NaN", "train"),
        (None, "train"),
        ("", "train"),
        ("None", "train"),
        (1, "1"),
        (1.0, "1"),
        ("1", "1"),
        (float("nan"), "train"),
    ],
)
def test_a_split_follows_the_rule_of_ids(folder: Path, split: object, kept: str) -> None:
    row = {"image": "p0.jpg", "expression": "x", "split": split}
    assert [row.split for row in read(folder, [row]).expressions] == [kept]
    written = "" if split is None else split
    assert [row.split for row in read(folder, f"{HEAD},split\np0.jpg,x,{written}\n").expressions] == [kept]


@pytest.mark.parametrize("column", ["object_id", "split"])
@pytest.mark.parametrize("value", [True, "True", "false", [1], {"a": 1}])
def test_a_truth_value_or_a_list_names_nothing(folder: Path, column: str, value: object) -> None:
    rows: Rows = [{"image": "p0.jpg", "expression": "bad", column: value}, {"image": "p0.jpg", "expression": "good"}]
    corpus = read(folder, rows)
    assert said(corpus) == [("p0.jpg", "good")]
    assert reasons(corpus)[0].startswith(f"{column} is ")
    if isinstance(value, bool | str):
        corpus = read(folder, f"{HEAD},{column}\np0.jpg,bad,{value}\np0.jpg,good,\n")
        assert said(corpus) == [("p0.jpg", "good")]


ERRORS = ["#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#num!", "Err:502"]
ROUNDED = ["1.23457E+12", "-1.2E+11", "9.99999E+20"]


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        (column, error, "an error of a spreadsheet")
        for column in ("object_id", "split", "expression")
        for error in ERRORS
    ]
    + [("expression", "#N/A", "an error of a spreadsheet")]
    + [(column, number, "a spreadsheet has rounded") for column in ("object_id", "split") for number in ROUNDED]
    + [("object_id", "9" * 501, "object_id has 501 characters, more than 500"), ("split", "a" * 501, "501 characters")],
)
def test_what_a_spreadsheet_could_not_keep_names_nothing(
    folder: Path, form: str, column: str, value: str, told: str
) -> None:
    row: dict[str, object] = {"image": "p0.jpg", "expression": "bad", column: value}
    good: dict[str, object] = {"image": "p0.jpg", "expression": "good"}
    if form == "csv":
        corpus = read(folder, f"{','.join(row)}\n{','.join(map(str, row.values()))}\np0.jpg,good,\n")
    else:
        corpus = read(folder, [{**row}, good])
    assert said(corpus) == [("p0.jpg", "good")]
    assert [told in reason for reason in reasons(corpus)] == [True]


def test_splits_of_a_folder_are_what_they_are_called(folder: Path) -> None:
    names = ["train", "test", "test_hard", "testA", "A", "latest"]
    corpus = read(folder, "\n".join([f"{HEAD},split", *(f"p0.jpg,{name},{name}" for name in names)]))
    assert {split: [row.expression for row in corpus.of(split)] for split in corpus.splits} == {
        name: [name] for name in names
    }


# forms of a table

ROWS = [("p0.jpg", "yellow bird"), ("images/p1.jpg", "white shirt, left")]
CSV = 'image,expression\np0.jpg,yellow bird\np1.jpg,"white shirt, left"\n'
OBJECTS: Rows = [{"image": "p0.jpg", "expression": ROWS[0][1]}, {"image": "p1.jpg", "expression": ROWS[1][1]}]
LINES = "\n".join(map(json.dumps, OBJECTS))
SEMICOLONS = "image;expression\np0.jpg;yellow bird\np1.jpg;white shirt, left\n"
FORMS: dict[str, str | bytes] = {
    "a list": json.dumps(OBJECTS),
    "a list in many lines": json.dumps(OBJECTS, indent=2),
    "a list with its mark": "\ufeff" + json.dumps(OBJECTS),
    "lines": LINES,
    "lines with commas": LINES.replace("}\n", "},\n"),
    "an unfinished list": f"[\n{LINES.replace('}', '},')}",
    "names in capitals": LINES.replace("image", "Image ").replace("expression", "EXPRESSION"),
    "commas": CSV,
    "semicolons": SEMICOLONS,
    "tabs": SEMICOLONS.replace(";", "\t"),
    "bars": SEMICOLONS.replace(";", "|"),
    "sep=": f"sep=;\r\n{SEMICOLONS}",
    "quoted sep=": f'"sep=;"\r\n{SEMICOLONS}',
    "more commas in the header than semicolons": SEMICOLONS.replace("expression", "expression;a,b,c", 1),
    "empty cells at the end": CSV.replace("\n", ",,,\n"),
    "empty cells at the end of rows": CSV.replace("bird", "bird,").replace('"\n', '",\n'),
    "empty rows": CSV.replace("\n", "\n,,,\n\n \n"),
    "optional cells left out": CSV.replace("expression", "expression,object_id,split,mask"),
    "spaces before quotes": CSV.replace(",y", ", y").replace(',"', ', "'),
    "spaces before quotes, columns left out": CSV.replace("expression", "expression,object_id").replace(',"', ', "'),
    "old line ends": CSV.replace("\n", "\r"),
    "an index without a name": ',image,expression\n0,p0.jpg,yellow bird\n1,p1.jpg,"white shirt, left"\n',
    "marks in the header": CSV.replace("image,expression", "\u200bim\u00adage\u00a0,\ufeffexpression"),
    "a header of wide letters": CSV.replace("image,expression", "\uff49\uff4d\uff41\uff47\uff45,\uff25xpression"),
    "lines of files that were laid end to end": "\ufeff" + LINES.replace("\n", "\n\ufeff"),
    "lines with their separators": "\x1e" + LINES.replace("\n", "\n\x1e"),
    "UTF-8 with its mark twice": "\ufeff\ufeff" + CSV,
    **{encoding: CSV.encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32")},
    "UTF-16 from the other end": "\ufeff".encode("utf-16-be") + CSV.encode("utf-16-be"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["expressions.csv", "expressions.json", "captions.txt"])
def test_a_table_is_read_by_what_it_holds(folder: Path, form: str, name: str) -> None:
    corpus = read(folder, FORMS[form], name)
    assert (said(corpus), reasons(corpus)) == (ROWS, [])


def test_a_table_of_another_suffix_is_found_where_there_is_no_other(folder: Path) -> None:
    (folder / "expressions.json").write_text(json.dumps(OBJECTS))
    assert said(open_dataset(DatasetConfig(kind="folder", root=folder)).corpus()) == ROWS
    (folder / "expressions.csv").write_text(f"{HEAD}\np0.jpg,x\n")
    assert said(open_dataset(DatasetConfig(kind="folder", root=folder)).corpus()) == [("p0.jpg", "x")]


REFUSED: list[tuple[str, str | bytes, str]] = [
    ("a.csv", b"PK\x03\x04\x14\0", "is an Excel workbook or a zip archive, no table of text; save it as CSV"),
    ("a.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"is a pointer of git-lfs .*git lfs pull"),
    ("a.csv", b"<!DOCTYPE html>\n<html>", "is a web page"),
    ("a.csv", CSV.encode("utf-16-le"), "save it as UTF-8"),
    ("a.csv", CSV.encode("utf-16")[:-1], "is no whole utf-16 text"),
    ("a.csv", "image,image,expression\np0.jpg,p1.jpg,x\n", "has the column image twice; leave one"),
    ("a.csv", "p0.jpg,yellow bird\n", r"has no column image and expression; it has p0\.jpg, yellow bird"),
    ("a.csv", "im\x1b[2Jage\n1\n", r"it has im\\x1b\[2jage"),
    ("a.json", "[]", "holds no rows"),
    ("a.json", '[\n {"image":\n "p0.jpg"', r"no readable JSON \(.*line 3 column.*write one JSON object a line"),
    ("a.json", '{"image": {"0": "p0.jpg"}, "expression": {"0": "x"}}', "write one JSON object a line, or a list"),
    ("a.json", '{"images": [], "annotations": []}', "has no column image and expression; it has images, annotations"),
    ("a.json", '{"image": "p0.jpg", "\\ud800": 1}', r"it has image, \\ud800, wanted"),
    ("a.json", "[" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("name", "table", "told"), REFUSED)
def test_what_is_no_table_names_the_form_that_is_wanted(folder: Path, name: str, table: str | bytes, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        read(folder, table, name)
    str(refused.value).encode()


CELLS = "the row has {} cells, the header 2; quote commas"
OPEN = "a cell spans several lines; check the quotes"
TOO_LONG = "the row can not be read (field larger than field limit (131072))"
NO_TEXT = "the row is no valid Unicode text; save the file as UTF-8"
BLANK = "the expression has no visible character"
TWICE = "the line has {} twice, with different values; leave one"
FORM = 'the line is no JSON object ({"image": ..., "expression": ...})'
CUT = "the line is no JSON (Expecting ',' delimiter: line 1 column 19 (char 18))"
LEFT_OUT: list[tuple[str, str | bytes, list[str]]] = [
    ("a.csv", "p0.jpg,left, in red", [CELLS.format(3)]),
    ("a.csv", "p0.jpg,left, in red,,", [CELLS.format(3)]),
    ("a.csv", "p0.jpg", [CELLS.format(1)]),
    ("a.csv", 'p0.jpg,"an open quote\np0.jpg,swallowed\n\np0.jpg,too', [OPEN]),
    ("a.csv", 'p0.jpg,"an open quote\np0.jpg,and a last one"\n', [OPEN]),
    ("a.csv", 'p0.jpg,"open\n' + "p0.jpg,swallowed\n" * 9000, [TOO_LONG]),
    ("a.csv", b"p0.jpg,caf\xe9", [NO_TEXT]),
    ("a.csv", "p0.jpg,\u200b\u2060\ufeff", [BLANK]),
    ("a.csv", "p0.jpg,\u00ad \u3164\u034f", [BLANK]),
    ("a.csv", ",x", ["the row names no image"]),
    ("a.json", '{"image": "p0.jpg", "image": "p1.jpg", "expression": "x"}', [TWICE.format("image")]),
    ("a.json", '{"image": "p0.jpg", "expression": "x", "Expression": "y"}', [TWICE.format("expression")]),
    ("a.json", '{"image": "p0.jpg", "expression": "\\ud800"}', [NO_TEXT]),
    ("a.json", '{"image": "p0.jpg", "expression": "x", "split": "\\udfff"}', [NO_TEXT]),
    ("a.json", '{"image": "p0.jpg", "expression": NaN}', ["the expression is empty"]),
    ("a.json", '{"image": "p0.jpg", "expression": 5}', ["expression is no text"]),
    ("a.json", '{"image": NaN, "expression": "x"}', ["the row names no image"]),
    ("a.json", "[1, 2]", [FORM]),
    ("a.json", '{"image": "p0.jpg"', [CUT]),
    ("a.json", '{"a": ' + "[" * 100_000, ["the line is no JSON (nested too deeply)"]),
]


@pytest.mark.parametrize(("name", "rows", "told"), LEFT_OUT)
def test_a_bad_row_is_left_out_with_its_own_reason_and_the_others_stay(
    folder: Path, name: str, rows: str | bytes, told: list[str]
) -> None:
    data = rows if isinstance(rows, bytes) else rows.encode()
    good = f"{HEAD}\np0.jpg,good\n" if name == "a.csv" else '{"image": "p0.jpg", "expression": "good"}\n'
    corpus = read(folder, good.encode() + data, name)
    assert ("p0.jpg", "good") in said(corpus)
    assert list(dict.fromkeys(reasons(corpus))) == told
    lines = sum(bool(line.strip()) for line in data.splitlines())
    assert len(corpus.expressions) - 1 + len(corpus.quarantined) == lines
    assert len({row.where for row in corpus.quarantined if "line" in row.where}) in (0, len(corpus.quarantined))
    for row in corpus.quarantined:
        f"{row.where}{row.item}{row.reason}{row.split}".encode()


def test_a_list_with_one_broken_row_loses_that_row_alone(folder: Path) -> None:
    rows = [
        '{"image": "p0.jpg", "expression": "good"},',
        '{"image": "p0.jpg", "expression": },',
        json.dumps(OBJECTS[1]),
    ]
    corpus = read(folder, "\n".join(["[", *rows, "]"]), "expressions.json")
    assert said(corpus) == [("p0.jpg", "good"), ROWS[1]]
    assert [row.where for row in corpus.quarantined] == ["expressions.json line 3"]


def test_rows_of_a_list_are_named_by_their_place(folder: Path) -> None:
    corpus = read(folder, json.dumps([*OBJECTS, 5, {"image": "p0.jpg", "expression": []}]), "a.json")
    assert [row.sent_id for row in corpus.expressions] == [1, 2]
    assert [(row.where, row.reason) for row in corpus.quarantined] == [
        ("a.json record 3", 'the record is no JSON object ({"image": ..., "expression": ...})'),
        ("a.json record 4", "expression is no text"),
    ]


# what we write, we read

TEXTS = [
    "the yellow bird\nbeside the clock",
    "a\r\nb",
    'she said "left"',
    '"',
    "left, in red;\tup",
    "=1+1",
    "'-x",
    "one\n\ntwo",
    'x\n"y",\nz',
]


def test_what_export_writes_is_read_back(folder: Path) -> None:
    rows = [
        ("p0.jpg", text, f"p0.jpg@{number}, masks/1.png", "val", "m.png", "0.5", "")
        for number, text in enumerate(TEXTS)
    ]
    corpus = read(folder, csv_bytes([COLUMNS, *rows]))
    assert [row.expression for row in corpus.expressions] == TEXTS
    assert reasons(corpus) == []


def test_a_spreadsheet_computes_no_cell_of_a_guarded_table() -> None:
    cells = ("=1+1", "+1", "-1", "@a", " =1", "\uff1d1", "\t=1", "\0=1", "\ufeff=1", "\u200b@a", "a=1", "")
    guarded = "'=1+1,'+1,'-1,'@a,' =1,'\uff1d1,'\t=1,'\0=1,'\ufeff=1,'\u200b@a,a=1,\r\n"
    assert csv_bytes([cells], guard_formulas=True).decode() == guarded
    assert csv_bytes([cells]).decode() == guarded.replace("'", "")


# what is no regular file


@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_pipe_among_the_files_is_not_waited_for(folder: Path, column: str) -> None:
    os.mkfifo(folder / "pipe.png")
    row = "p0.jpg,x,pipe.png" if column == "mask" else "pipe.png,x,"
    dataset = of_folder(folder, f"{HEAD},mask\np0.jpg,good,\n{row}\n")
    assert dataset.fingerprint()
    assert ("p0.jpg", "good") in said(dataset.corpus())


def test_a_pipe_as_a_table_is_named(folder: Path) -> None:
    os.mkfifo(folder / "expressions.csv")
    with pytest.raises(Refused, match=r"expressions\.csv is a named pipe; a regular file is wanted"):
        open_dataset(DatasetConfig(kind="folder", root=folder)).corpus()


LONG = "a" * 300


@pytest.mark.parametrize(
    ("root", "manifest", "told"),
    [
        ("mine", LONG, r"a+\.\.\. is missing; set manifest"),
        ("mine", "p0.jpg/a.csv", "is missing; set manifest"),
        ("mine", "a\0b", "is missing; set manifest"),
        (LONG, None, r"a+\.\.\. can not be reached \(File name too long\); set root"),
        ("mine/p0.jpg/x", None, "is no folder; set root"),
        ("mine/around", None, r"can not be reached \(Too many levels of symbolic links\); set root"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_what_to_do(
    folder: Path, root: str, manifest: str | None, told: str
) -> None:
    (folder / "around").symlink_to("around")
    config = DatasetConfig(kind="folder", root=folder.parent / root, manifest=manifest)
    with pytest.raises(Refused, match=told):
        open_dataset(config).corpus()
    with pytest.raises(Refused, match=told):
        open_dataset(config).ground_truth()


def test_a_table_that_is_a_link_to_nothing_is_missing(folder: Path) -> None:
    (folder / "expressions.csv").symlink_to("nowhere")
    with pytest.raises(Refused, match=r"expressions\.csv is missing"):
        open_dataset(DatasetConfig(kind="folder", root=folder)).corpus()


# the table of `wordmask nouns`

PAIRS = "dataset,sent,category\na,guy left,person\n"


@pytest.mark.parametrize(
    ("pairs", "synonyms", "told"),
    [
        (PAIRS.encode() + b"a,caf\xe9,person\n", b"person\n", "line 3: the row is no valid Unicode text"),
        (PAIRS.encode() + b'a,"open\na,b,c', b"person\n", "line 3: a cell spans several lines"),
        (PAIRS.encode(), b"person,caf\xe9\n", r"coco_synonyms\.txt is no UTF-8 text"),
        (b"sent,sent,dataset,category\n", b"person\n", "has the column sent twice"),
    ],
)
def test_pairs_that_can_not_be_read_are_refused_by_name(
    tmp_path: Path, pairs: bytes, synonyms: bytes, told: str
) -> None:
    (tmp_path / "coco_synonyms.txt").write_bytes(synonyms)
    (tmp_path / "pairs.csv").write_bytes(pairs)
    with pytest.raises(Refused, match=told):
        read_class_pairs(tmp_path / "pairs.csv")
