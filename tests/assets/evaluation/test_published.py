"""The published numbers: that they are what the papers print, and how they are shown."""

import pytest

from assets.evaluation.published import markdown_of, published, published_in, published_on
from pipelines.config.paper_tables import paper_tables


def value(paper: str, table: str, system: str, dataset: str, measure: str, split: str) -> float:
    found = [
        row
        for row in published_in(paper, [table])
        if (row.system, row.dataset, row.measure) == (system, dataset, measure)
    ]
    assert len(found) == 1
    return found[0].values[split]


@pytest.mark.parametrize(
    ("cell", "printed"),
    [
        (("S+S+C", "Table 1", "S+S+C", "RefCOCO", "oIoU", "testA"), 64.11),
        (("S+S+C", "Table 4", "ZSBootstrap", "RefCOCO", "oIoU", "val"), 35.05),
        (("S+S+C", "Table 2", "S+S+C ablation: stage 1, spaCy + CP + SAM", "RefCOCO", "mIoU", "train-1000"), 74.31),
        (("TRIS", "Table 4", "TRIS Step-1 ablation: w/ PRMS", "RefCOCO+", "mIoU", "val"), 24.48),
        (("MERES", "Table 3", "MERES ablation: LE", "RefCOCO", "P@0.9", "val"), 34.87),
    ],
)
def test_cells_are_those_of_the_papers(cell: tuple[str, str, str, str, str, str], printed: float) -> None:
    assert value(*cell) == printed


def test_every_line_is_a_share_by_a_known_measure_and_none_stands_twice() -> None:
    rows = published()
    assert all(0 <= share <= 100 for row in rows for share in row.values.values())
    assert {row.measure for row in rows} == {
        *("oIoU", "mIoU", "IoU", "P@0.5", "P@0.7", "P@0.9", "PointIt", "PointM", "Acc_box")
    }
    keys = [(row.paper, row.table, row.system, row.supervision, row.dataset, row.measure) for row in rows]
    assert len(keys) == len(set(keys))


def test_a_wrong_number_of_a_paper_says_so() -> None:
    wrong = next(
        row
        for row in published_in("S+S+C", ["Table 1"])
        if (row.system, row.dataset, row.measure) == ("LAVT", "RefCOCO+", "oIoU")
    )
    assert wrong.values["testA"] == 63.38
    assert "LAVT has 68.38" in wrong.note


def test_every_table_of_ours_that_names_a_published_one_finds_it() -> None:
    named = [table for table in paper_tables() if table.published]
    assert len(named) > 10
    for table in named:
        assert table.published is not None
        assert published_in(table.published.paper, table.published.tables)
    with pytest.raises(ValueError, match="Table 99"):
        published_in("MERES", ["Table 99"])


def test_on_a_real_data_set_splits_are_called_as_it_calls_them_and_measures_do_not_mix() -> None:
    rows = published_on("refcocog", "umd", ["oIoU"])
    assert {row.measure for row in rows} == {"oIoU"}
    assert {split for row in rows for split in row.values} <= {"train", "val", "test"}
    assert not any("ablation" in row.system for row in rows)
    keys = [row.system for row in rows]
    assert "S+S+C" in keys
    assert len(keys) == len(set(keys))
    assert published_on("my_photos", "unc", ["oIoU"]) == []


def test_markdown_has_a_table_for_each_measure_and_notes_below() -> None:
    lines = markdown_of(published_in("S+S+C", ["Table 1"]))
    heads = [line for line in lines if line.startswith(("| oIoU |", "| mIoU |"))]
    assert len(heads) == 2
    assert "RefCOCO testA" in heads[0]
    row = next(line for line in lines if line.startswith("| LAVT (full)"))
    assert row.count("|") == heads[0].count("|")
    assert any("LAVT has 68.38" in line for line in lines if line.startswith("["))
