"""The papers' tables as files: kinds of rows, numbers, and that every row can be run."""

from pathlib import Path

import pytest

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.experiment_files import read_experiments
from pipelines.config.paper_tables import Row, paper_tables, suite, tables_called
from pipelines.config.yaml_files import SHIPPED
from pipelines.graph.planner import closure

KINDS = """
kinds:
  choice: {experiment: base, stage: choice_scores, method: S+S}
tables:
"""


def test_a_row_has_what_its_kind_says_and_what_is_different_in_it(tmp_path: Path) -> None:
    own = "{label: c, experiment: e, stage: s, method: m}"
    rows = f"{{label: a, kind: choice}}, {{label: b, kind: choice, experiment: other}}, {own}"
    (tmp_path / "a.yaml").write_text(f"{KINDS}  - {{number: 2, title: two, splits: [val], rows: [{rows}]}}\n")
    (tmp_path / "b.yaml").write_text("tables: [{number: 1, title: one, measures: [mIoU], rows: []}]\n")
    first, second = paper_tables(tmp_path)
    assert (first.number, first.splits, first.measures) == (1, ("val", "testA", "testB"), ("mIoU",))
    assert (second.number, second.splits, second.measures) == (2, ("val",), ("oIoU", "mIoU"))
    assert second.rows == (
        Row(label="a", experiment="base", stage="choice_scores", method="S+S"),
        Row(label="b", experiment="other", stage="choice_scores", method="S+S"),
        Row(label="c", experiment="e", stage="s", method="m"),
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{label: a, kind: chioce}", r"row 'a': no kind is called chioce; kinds: choice"),
        ("{label: a}", "experiment"),
        ("{label: a, kind: choice, clases: seen}", "clases"),
    ],
)
def test_a_wrong_row_is_refused_with_its_file(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "odd.yaml").write_text(f"{KINDS}  - {{number: 1, title: one, rows: [{row}]}}\n")
    with pytest.raises(Refused, match=rf"(?s)odd\.yaml.*{message}"):
        paper_tables(tmp_path)


def test_shipped_tables_have_a_number_each_and_rows_that_an_experiment_makes() -> None:
    experiments = read_experiments([SHIPPED / "experiments"], STAGES)
    tables = paper_tables()
    assert len({table.number for table in tables}) == len(tables)
    for row in (row for table in tables for row in table.rows):
        assert row.stage in closure(experiments[row.experiment], STAGES), row.label


def test_tables_are_asked_for_by_number_or_by_their_own_name() -> None:
    assert [table.number for table in tables_called(["ours", "5", "1"])] == [1, 5, 31]
    assert tables_called(["31"]) == tables_called(["ours"]) == (suite("ours"),)
    with pytest.raises(Refused, match=r"there is no table 9, our; choose from 1, 2.*, ours, ours_choice"):
        tables_called(["1", "9", "our"])
