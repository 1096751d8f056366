"""A user's own folder is read on equal terms, and mistakes in it are named by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image

from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.ground_truth import ground_truth_mask

Write = Callable[..., DatasetConfig]
Form = Literal["NFC", "NFD"]


def test_a_csv_of_two_columns_is_enough(folder_set: Write) -> None:
    corpus = open_dataset(folder_set("image,expression\na.jpg,red half\nimages/b.png,the blue one\n")).corpus()
    assert [(row.image_file, row.expression, row.split) for row in corpus.expressions] == [
        ("images/a.jpg", "red half", "train"),
        ("images/b.png", "the blue one", "train"),
    ]
    assert [(row.width, row.height) for row in corpus.expressions] == [(40, 30), (20, 30)]
    assert len({row.object_id for row in corpus.expressions}) == 2
    assert corpus.quarantined == ()


@pytest.mark.parametrize(("said", "lies"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_may_be_one_letter_or_two(folder_set: Write, said: Form, lies: Form) -> None:
    manifest = f"image,expression\n{normalize(said, 'é.jpg')},red half\n"
    config = folder_set(manifest)
    name = normalize(lies, "é.jpg")
    (config.root / "images" / "a.jpg").rename(config.root / "images" / name)
    corpus = open_dataset(config).corpus()
    assert [row.image_file for row in corpus.expressions] == [f"images/{name}"]


def test_rows_that_share_image_and_object_are_one_object(folder_set: Write) -> None:
    text = "image,expression,object_id,split\na.jpg,one,1,val\na.jpg,two,1,val\nb.png,three,1,val\na.jpg,four,,val\n"
    corpus = open_dataset(folder_set(text)).corpus()
    assert [row.ref_id for row in corpus.expressions] == [0, 0, 1, 2]
    assert corpus.splits == ("val",)


def test_jsonl_says_the_same_as_csv(folder_set: Write) -> None:
    rows = [{"image": "a.jpg", "expression": "red half", "object_id": 3}, {"image": "b.png", "expression": "blue"}]
    from_json = open_dataset(folder_set("\n".join(map(json.dumps, rows)), name="expressions.jsonl")).corpus()
    csv = "image,expression,object_id\na.jpg,red half,3\nb.png,blue,\n"
    config = folder_set(csv, name="mine.csv", manifest="mine.csv")
    from_csv = open_dataset(config).corpus()
    assert [(r.image_file, r.expression, r.ref_id) for r in from_json.expressions] == [
        (r.image_file, r.expression, r.ref_id) for r in from_csv.expressions
    ]


@pytest.mark.parametrize("name", ["expressions.csv", "expressions.jsonl"])
def test_bom_crlf_chinese_and_emoji_are_text_like_any_other(folder_set: Write, name: str) -> None:
    text = "左边的男人 🙂"
    lines = ["image,expression", f"a.jpg,{text}"] if name.endswith("csv") else []
    lines = lines or [json.dumps({"image": "a.jpg", "expression": text}, ensure_ascii=False)]
    corpus = open_dataset(folder_set("\ufeff" + "\r\n".join(lines) + "\r\n", name=name)).corpus()
    assert [row.expression for row in corpus.expressions] == [text]


def test_a_spreadsheets_semicolons_are_understood(folder_set: Write) -> None:
    corpus = open_dataset(folder_set("Image; Expression \na.jpg;left, in red\n")).corpus()
    assert [row.expression for row in corpus.expressions] == ["left, in red"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("expressions.csv", "image,caption\na.jpg,x\n"), ("expressions.jsonl", '{"image": "a.jpg", "caption": "x"}\n')],
)
def test_a_missing_column_names_what_is_there_and_what_is_wanted(folder_set: Write, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"has no column expression; it has image, caption, wanted are image, expr"):
        open_dataset(folder_set(text, name=name)).corpus()


def test_an_empty_folder_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds neither expressions\.jsonl nor expressions\.csv; write one with the"):
        open_dataset(DatasetConfig(kind="folder", root=tmp_path)).corpus()


def test_two_manifests_are_not_guessed_between(folder_set: Write) -> None:
    folder_set("image,expression\na.jpg,x\n")
    with pytest.raises(ValueError, match="holds both"):
        open_dataset(folder_set("{}", name="expressions.jsonl")).corpus()


@pytest.mark.parametrize("text", ["", "\n\n", "image,expression\n"])
def test_a_manifest_without_rows_says_so(folder_set: Write, text: str) -> None:
    with pytest.raises(ValueError, match="holds no rows"):
        open_dataset(folder_set(text)).corpus()


def test_text_of_another_encoding_without_a_mark_says_so(folder_set: Write) -> None:
    with pytest.raises(ValueError, match="save it as UTF-8"):
        open_dataset(folder_set("image,expression\na.jpg,x\n".encode("utf-16-le"))).corpus()


def test_bad_rows_are_left_out_by_line_and_good_ones_stay(folder_set: Write) -> None:
    text = b"\n".join(
        [
            b"image,expression",
            b"a.jpg,good",
            b"../../etc/passwd,x",
            b"none.jpg,x",
            b"a.jpg,",
            b"a.jpg,one,two",
            b",x",
            b"a.jpg,caf\xe9",
            b"a.jpg," + b"word " * 10_000,
            b"n" * 300 + b".jpg,x",
            b'a.jpg,"an open quote',
            b"a.jpg,swallowed",
        ]
    )
    corpus = open_dataset(folder_set(text)).corpus()
    assert [row.expression for row in corpus.expressions] == ["good"]
    found = {row.where: row.reason for row in corpus.quarantined if "line" in row.where}
    assert "leads out of the image folder" in found["expressions.csv line 3"]
    assert found["expressions.csv line 6"] == "the row has 3 cells, the header 2; quote commas"
    assert found["expressions.csv line 7"] == "the row names no image"
    assert found["expressions.csv line 8"] == "the row is no valid Unicode text; save the file as UTF-8"
    assert "can not be used" in found["expressions.csv line 10"]
    assert (
        found["expressions.csv line 11"]
        == found["expressions.csv line 12"]
        == "a cell spans several lines; check the quotes"
    )
    others = {row.item: row.reason for row in corpus.quarantined if "line" not in row.where}
    assert others["ref 1, sentence 4"].startswith("none.jpg is missing")
    assert others["ref 2, sentence 5"] == "the expression is empty"
    assert "10,000 words" in others["ref 3, sentence 9"]
    for row in corpus.quarantined:
        f"{row.where}{row.item}{row.reason}".encode()  # must fit into a table


def test_bad_json_lines_are_left_out(folder_set: Write) -> None:
    lines = [
        '{"image": "a.jpg", "expression": "good"}',
        "{",
        "[1]",
        '{"image": 3, "expression": "x"}',
        '{"image": "a.jpg"}',
    ]
    corpus = open_dataset(folder_set("\n".join(lines), name="expressions.jsonl")).corpus()
    assert [row.expression for row in corpus.expressions] == ["good"]
    assert [row.reason.split(" (")[0] for row in corpus.quarantined] == [
        "the line is no JSON",
        "the line is no JSON object",
        "image is no text",
        "the expression is empty",
    ]


def test_an_object_lives_in_one_split(folder_set: Write) -> None:
    text = "image,expression,object_id,split\na.jpg,one,1,train\na.jpg,two,1,val\n"
    corpus = open_dataset(folder_set(text)).corpus()
    assert [row.reason for row in corpus.quarantined] == ["object 1 is in split train on line 2 and in val here"]


def test_masks_are_ground_truth_where_they_are_named(folder_set: Write, tmp_path: Path) -> None:
    mask_HW = np.zeros((30, 40), np.uint8)
    mask_HW[4:9, 10:20] = 1
    Image.fromarray(mask_HW).save(tmp_path / "m.png")
    Image.fromarray(mask_HW[:20]).save(tmp_path / "small.png")
    Image.fromarray(mask_HW * 0).save(tmp_path / "black.png")
    masks = ("m.png", "small.png", "black.png", "no.png", "")
    rows = [f"a.jpg,thing {number},{mask}" for number, mask in enumerate(masks)]
    config = folder_set("\n".join(["image,expression,mask", *rows]))
    objects, broken = open_dataset(config).ground_truth()
    np.testing.assert_array_equal(ground_truth_mask(objects[0]), mask_HW > 0)
    assert len(objects) == 1
    assert [row.where for row in broken] == [f"expressions.csv line {number}" for number in (3, 4, 5)]
    assert open_dataset(config).corpus().expressions[0].object_id == objects[0].object_id
    before = open_dataset(config).fingerprint()
    Image.fromarray(mask_HW + 1).save(tmp_path / "m.png")
    assert open_dataset(config).fingerprint() != before


def test_masks_agree_within_an_object(folder_set: Write) -> None:
    text = "image,expression,object_id,mask\na.jpg,one,1,m.png\na.jpg,two,1,n.png\na.jpg,three,1,\n"
    corpus = open_dataset(folder_set(text)).corpus()
    assert [row.expression for row in corpus.expressions] == ["one", "three"]


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose one of refer, toyref, referit, folder"):
        open_dataset(DatasetConfig(kind="coco", root=tmp_path))  # type: ignore[arg-type]
