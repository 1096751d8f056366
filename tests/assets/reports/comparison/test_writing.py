"""The folder of a comparison: what its page and its data say, and which pictures it draws."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from assets.reports.comparison import writing
from assets.reports.comparison.writing import name_of, write_comparison
from assets.reports.gallery.writing import SIDE, write_gallery
from storage.masks import Rle
from tests.assets.reports.gallery.test_writing import ATTACK, said
from tests.comparisons import compared, measured
from tests.galleries import HEIGHT, OBJECTS, WIDTH, grey, simulated

MEASURED = measured(compared(["base", "other", "third"], trained=["other", "third"]))


def test_the_page_has_every_figure_and_the_data_every_mask(tmp_path: Path) -> None:
    written = write_comparison(MEASURED, tmp_path, grey, links=[("Report of base", "../r.html")], gallery="../g.html")
    page = written.page.read_text()
    assert written.page.parent.name == "base_and_other_third"
    assert page.count('<th scope="row">third</th>') == 2
    assert "Without such masks: base. The baseline here is other." in page
    assert '<a href="../r.html">Report of base</a>' in page
    index, chunk = (said(written.page.parent / "data" / name) for name in ("index.js", "masks-00000.js"))
    assert [(one["part"], one["first"], one["second"]) for one in index["pairs"]] == [
        ("ZSBootstrap", "other", "third"),
        ("choice (S2)", "base", "other"),
        ("choice (S2)", "base", "third"),
        ("choice (S2)", "other", "third"),
    ]
    parts = {part.title: part.masks for part in MEASURED.comparison.parts}
    for one, pair in zip(index["pairs"], MEASURED.pairs, strict=True):
        assert one["ious"] == sorted(one["ious"])
        assert one["differing"] == sum(iou < 1 for ious in pair.ious.values() for iou in ious.values())
        assert one["differing"] == len(one["rows"]) + sum(one["more"])
        assert set(one["more"]) == ({2} if pair.part == "choice (S2)" else {0})
        row = one["rows"][0]
        for side, name in zip(one["masks"], (pair.first, pair.second), strict=True):
            number = chunk["rows"][str(row)][side]
            mask = None if number < 0 else Rle(chunk["masks"][number].encode(), HEIGHT, WIDTH)
            assert mask == parts[pair.part][name].masks[index["rows"]["id"][row]]


def test_of_many_expressions_those_that_differ_most_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SHOWN", 2)
    plain = measured(compared(["base", "other"], images=30))
    written = write_comparison(plain, tmp_path, grey)
    (pair,) = plain.pairs
    farthest = [list(dict.fromkeys(sent_id // OBJECTS for sent_id in ious))[:2] for ious in pair.ious.values()]
    index = said(written.page.parent / "data" / "index.js")
    assert (len(index["rows"]["id"]), index["pairs"][0]["more"]) == (4, [2, 2, 2, 2])
    assert set(index["referents"]["id"]) == {ref_id for some in farthest for ref_id in some}


def test_small_pictures_of_the_gallery_are_taken_over(tmp_path: Path) -> None:
    gallery = write_gallery(simulated(12), tmp_path, grey).page.parent
    for picture in gallery.glob("thumbs/*"):
        picture.write_bytes(picture.read_bytes() + b"marked")
    written = write_comparison(MEASURED, tmp_path / "c", grey, drawn=gallery)
    pictures = list(written.page.parent.glob(f"thumbs/*-{SIDE}.jpg"))
    assert len(pictures) == written.images > 0
    assert all(picture.read_bytes().endswith(b"marked") for picture in pictures)


def test_experiments_that_agree_have_a_page_without_pictures(tmp_path: Path) -> None:
    part = MEASURED.comparison.parts[1]
    twins = replace(part, masks={"base": part.masks["base"], "other": part.masks["base"]})
    same = replace(MEASURED.comparison, experiments=("base", "other"), parts=[twins], knobs=[])
    written = write_comparison(measured(same), tmp_path, grey)
    assert (written.expressions, written.images) == (0, 0)
    assert re.search(r"Knobs that differ</h2>\s*<p>None.</p>", written.page.read_text())


def test_what_people_typed_is_no_markup(tmp_path: Path) -> None:
    comparison = compared([ATTACK, "other"])
    rows = [replace(row, expression=ATTACK, split="train") for row in comparison.rows]
    written = write_comparison(measured(replace(comparison, rows=rows)), tmp_path, grey, gallery='"><b>')
    for file in [*written.page.parent.rglob("*.js"), written.page]:
        text = file.read_bytes().decode()
        assert "alert(1)</script" not in text
        assert "<img" not in text
        assert "\u202e" not in text


def test_a_folder_is_called_as_its_experiments_while_they_are_few() -> None:
    assert name_of(["a", "b"]) == "a_and_b"
    assert name_of(["a", *"bcdef"]) == "a_and_5_others"
