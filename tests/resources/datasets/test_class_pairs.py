"""The CSV of `wordmask nouns` and the words for its classes."""

from pathlib import Path

import pytest

from ops.evaluation.noun_hits import LabelledExpression
from ops.refusal import Refused
from resources.datasets.class_pairs import read_class_pairs


def test_expressions_and_synonyms_are_read_and_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "coco_synonyms.txt").write_text("person, guy\n\nfire hydrant,hydrant,\n")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("dataset,sent,category\na,guy left,person\n")
    found = read_class_pairs(pairs)
    assert found.expressions == (LabelledExpression(dataset="a", expression="guy left", category="person"),)
    assert found.synonyms == {"person": ("person", "guy"), "fire hydrant": ("fire hydrant", "hydrant")}
    with pytest.raises(Refused, match=r"coco_synonyms\.txt beside it"):
        read_class_pairs(tmp_path / "none.csv")


def test_a_spreadsheets_byte_order_mark_is_read_over_and_a_short_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "coco_synonyms.txt").write_text("person, guy\n")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("\ufeffdataset,sent,category\na,guy left,person\n", encoding="utf-8")
    assert len(read_class_pairs(pairs).expressions) == 1
    pairs.write_text("dataset,sent,category\na,guy left,person\na,guy right\n")
    with pytest.raises(Refused, match=r"1 rows that can not be read \(line 3: the row has 2 cells, the header 3"):
        read_class_pairs(pairs)


def test_a_lacking_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "coco_synonyms.txt").write_text("person\n")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("sent,category\nguy left,person\n")
    with pytest.raises(Refused, match="no column dataset"):
        read_class_pairs(pairs)
