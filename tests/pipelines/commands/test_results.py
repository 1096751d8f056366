"""The papers' tables: what they need, and how figures over seeds are told."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from assets.data.source import ToyWorld
from assets.framework.stage import StageInstance
from ops.refusal import Refused
from ops.tris.losses import LossWeights
from pipelines.commands import results
from pipelines.commands.report import summary_of
from pipelines.commands.result_cells import ResultCells
from pipelines.commands.results import markdown, register, runs_of, world
from pipelines.config.paper_tables import PaperTable, Row, paper_tables
from pipelines.graph.load import in_use, leading_to, load_plan, planned
from pipelines.graph.state import StageState
from resources.paths import PROJECT
from resources.toyref.refcoco_writer import SPLIT_BY
from storage.artifact import Artifact

TABLES = paper_tables()


def test_worlds_are_registered_for_every_experiment_of_the_tables() -> None:
    register(["toyref", "toyref+"], range(2), TABLES)
    instances = load_plan()
    for experiment, stage in runs_of(TABLES):
        for dataset in ("toyref", "toyref_seed1", "toyrefplus_seed0", "toyrefplus_seed1"):
            assert stage in {one.stage.name for one in in_use(instances, dataset, experiment)}
    toys = {one.dataset: one.source.toy for one in instances}
    assert toys["toyrefplus_seed1"] == ToyWorld(style="toyref+", seed=1)


def test_the_style_of_refcocog_is_read_and_scored_in_its_own_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    register(["toyrefg"], [0], TABLES)
    source = planned("toyrefg_seed0", "base")[-1].source
    assert source.toy == ToyWorld(style="toyrefg")
    assert (source.config.split_by, source.splits) == (SPLIT_BY["toyrefg"], ("train", "val", "test"))
    monkeypatch.setattr(results, "cells_of", lambda *_: {"val": (0.3, 0.5), "test": (0.4, 0.6)})
    page = markdown(["toyrefg"], range(1), [table for table in TABLES if table.number in (1, 2, 23)])
    assert re.findall("masks: [^|]* [|] (.*) [|]", page) == ["val | test", "train | val | test", "train | val"]
    assert "| S+S+C | 30.0 / 50.0 | 40.0 / 60.0 |" in page


def test_a_fresh_graph_has_one_world() -> None:
    assert {one.dataset for one in load_plan()} == {"toyref"}


def test_another_world_is_another_training() -> None:
    register(["toyref"], [1], TABLES)
    one, other = (planned(name, "base")[-1] for name in ("toyref", "toyref_seed1"))
    assert (one.source.seed, other.source.seed) == (0, 1)
    assert one.knobs == other.knobs
    assert one.recipe != other.recipe


def test_a_row_tells_mean_and_spread_and_how_many_seeds_are_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"toyref": {"val": (0.3, 0.5)}, "toyref_seed1": {"val": (0.5, 0.6), "testA": (0.1, 0.2)}}

    def cells(
        _: Sequence[StageInstance], dataset: str, row: Row, measures: Sequence[str], known: ResultCells
    ) -> dict[str, tuple[float, float]]:
        assert measures == ("oIoU", "mIoU")
        return figures[dataset] if row.method == "ZSBootstrap" else {}

    monkeypatch.setattr(results, "cells_of", cells)
    lines = markdown(["toyref"], range(2), TABLES[:1]).splitlines()
    assert "| ZSBootstrap | 40.0 ± 14.1 / 55.0 ± 7.1 | 10.0 / 20.0 (1 of 2) | - |" in lines
    assert "| S+S+C | - | - | - |" in lines
    alone = markdown(["toyref"], range(1), TABLES[:1]).splitlines()
    assert "| ZSBootstrap | 30.0 / 50.0 | - | - |" in alone


def test_a_table_says_its_measures_and_what_masks_do_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row(label="labels", experiment="tris", stage="tris_scores", method="refined labels")
    table = PaperTable(number=1, title="", rows=(row,), splits=("train",), measures=("mIoU", "PointM"))
    monkeypatch.setattr(results, "cells_of", lambda *_: {"train": (0.3, float("nan"))})
    lines = markdown(["toyref"], range(1), [table]).splitlines()
    assert lines[-3:] == ["| masks: mIoU / PointM | train |", "|---|---|", "| labels | 30.0 / - |"]
    noted = table.model_copy(update={"note": "A label has no point."})
    lines = markdown(["toyref"], range(1), [noted]).splitlines()
    assert lines[-3:] == ["| labels | 30.0 / - |", "", "A label has no point."]
    monkeypatch.setattr(results, "cells_of", lambda *_: {})
    assert markdown(["toyref"], range(2), [table]).splitlines()[-1] == "No row of it is finished."


class Summed:
    """An artifact's summary, in memory."""

    def has(self, _: str) -> bool:
        return True

    def table(self, _: str) -> pa.Table:
        some = {"per": "expression", "resolution": "original", "oIoU": 0.1}
        rows = [
            {"split": "train", "method": "refined labels", "mIoU": 0.3, "PointM": None, **some},
            {"split": "val", "method": "TRIS", "mIoU": 0.5, "PointM": 0.7, **some},
            {"split": "val", "method": "TRIS", "mIoU": 0.6, "PointM": 0.8, **some, "per": "object"},
        ]
        return pa.Table.from_pylist(rows)


def test_a_cell_holds_the_measures_that_are_asked_for() -> None:
    stages = {"tris_scores": cast(Artifact, Summed())}
    assert summary_of(stages)["val", "TRIS"] == (0.1, 0.5)
    found = summary_of(stages, ("mIoU", "PointM"))
    assert found["val", "TRIS"] == (0.5, 0.7)
    assert found["train", "refined labels"] == pytest.approx((0.3, float("nan")), nan_ok=True)


@pytest.mark.parametrize("number", [23, 25, 26, 27, 28])
def test_ablations_of_step_1_cost_nothing_that_comes_after_it(number: int) -> None:
    (table,) = [table for table in TABLES if table.number == number]
    register(["toyref"], [0], [table])
    instances = load_plan()
    for row in table.rows:
        needed = {one.stage.name for one in leading_to(row.stage, in_use(instances, "toyref", row.experiment))}
        assert "response_scores" in needed
        assert not needed & {"refined_labels", "tris_segmenter", "tris_predictions"}


@pytest.mark.parametrize(
    ("number", "pattern", "knob", "rows"),
    [
        (25, r"K = (\d+)", "negatives", 4),
        (25, r"N [+] 1 = (\d+)", "batch_negatives", 8),
        (27, r"(\d+)$", "width", 5),
        (28, r"(\d+)$", "classification_weight", 4),
    ],
)
def test_what_a_row_of_an_ablation_says_is_what_its_experiment_does(
    number: int, pattern: str, knob: str, rows: int
) -> None:
    (table,) = [table for table in TABLES if table.number == number]
    said = {row.experiment: int(found[1]) for row in table.rows if (found := re.match(pattern, row.label))}
    defaults: dict[str, float] = {
        "negatives": LossWeights().negatives,
        "classification_weight": LossWeights().classification,
    }
    assert len(said) == rows
    register(["toyref"], [0], [table])
    instances = [one for one in load_plan() if one.stage.name == "tris_response_model"]
    for experiment, number_said in said.items():
        (one,) = in_use(instances, "toyref", experiment)
        knobs = one.knobs.model_dump()
        defaults["batch_negatives"] = knobs["batch_size"] - 1
        value = defaults[knob] if knobs[knob] is None else knobs[knob]
        assert number_said - (knob == "batch_negatives") == value


def test_tables_that_nobody_asked_for_stay_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (
        PaperTable(number=number, title="one: two", rows=(_choice_of("base"),), splits=("val",)) for number in (2, 10)
    )
    monkeypatch.setattr(results, "cells_of", lambda *_: {"val": (0.3, 0.5)})
    page = markdown(["toyref"], range(1), [second])
    monkeypatch.setattr(results, "cells_of", lambda *_: {"val": (0.4, 0.6)})
    both = markdown(["toyref+", "toyref"], range(1), [first], page)
    titles = re.findall("## (.*):", both)
    assert titles == ["toyref, Table 2: one", "toyref, Table 10: one", "toyref+, Table 2: one"]
    assert re.findall("base [|] (.*) [|]", both) == ["40.0 / 60.0", "30.0 / 50.0", "40.0 / 60.0"]
    assert "`wordmask results --seeds 1 --style toyref+ --table 2`" in both
    assert markdown(["toyref"], range(1), [second, first], both).count("40.0 / 60.0") == 3
    monkeypatch.setattr(results, "cells_of", lambda *_: {})
    assert markdown(["toyref"], range(1), [first], both) == both
    assert markdown(["toyref"], range(1), [first], f"{both}\n## Notes\n\nMine.\n") == f"{both}\n## Notes\n\nMine.\n"


def test_the_page_of_the_repository_comes_first_with_its_summary_and_stays_as_it_is() -> None:
    page = (PROJECT / "RESULTS.md").read_text()
    assert re.findall("^## (.*)", page, re.MULTILINE)[0] == "Summary"
    assert markdown([], range(3), [], page) == page


def test_nothing_is_read_before_it_is_finished(tmp_path: Path) -> None:
    register(["toyref"], [0], TABLES)
    lines = markdown(["toyref"], range(1), TABLES).splitlines()
    assert lines.count("No row of it is finished.") == len(TABLES)


def test_a_table_runs_what_is_not_finished_and_a_failure_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [
        PaperTable(number=1, title="", rows=tuple(_choice_of(name) for name in ("base", "sam_select", "gl_clip")))
    ]
    register(["toyref"], [0], tables)
    ran, told = [], []

    def run(instances: Sequence[StageInstance], dataset: str, experiment: str, *, until: str) -> bool:
        assert {instance.dataset for instance in instances} == {dataset}
        assert all(experiment in instance.used_by for instance in instances)
        ran.append((dataset, experiment, until))
        return experiment != "sam_select"

    finished = {"base"}
    monkeypatch.setattr("pipelines.commands.run.run_planned", run)
    monkeypatch.setattr(results, "states_of", lambda used, _: {one.key: _finished_if(one, finished) for one in used})
    failed = results.run_rows(load_plan(), ["toyref"], [0], tables, lambda: told.append(len(ran)))
    assert ran == [("toyref", name, "choice_scores") for name in ("sam_select", "gl_clip")]
    assert told == [1, 2]
    assert failed == ["wordmask run -d toyref -e sam_select --until choice_scores"]


def test_a_run_whose_figures_came_from_another_machine_is_not_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = (
        _choice_of("base"),
        _choice_of("sam_select"),
        _choice_of("sam_select").model_copy(update={"method": "each"}),
    )
    tables = [PaperTable(number=1, title="", rows=rows)]
    register(["toyref"], [0], tables)
    instances, known, ran = load_plan(), ResultCells(path=tmp_path / "RESULTS.csv"), list[str]()
    for row in rows[:2]:
        last = leading_to(row.stage, in_use(instances, "toyref", row.experiment))[-1]
        known.note(last, row, tables[0].measures, {"val": (0.3, 0.5)})

    def run(_: Sequence[StageInstance], dataset: str, experiment: str, *, until: str) -> bool:
        ran.append(experiment)
        return True

    monkeypatch.setattr("pipelines.commands.run.run_planned", run)
    results.run_rows(instances, ["toyref"], [0], tables, lambda: None, known=known)
    assert ran == ["sam_select"], "of which one row's figures are missing"
    other = [dataclasses.replace(one, recipe="another") for one in instances]
    results.run_rows(other, ["toyref"], [0], tables, lambda: None, known=known)
    assert ran == ["sam_select", "base", "sam_select"]


def _finished_if(instance: StageInstance, finished: set[str]) -> StageState:
    return StageState(state="ready" if finished & set(instance.used_by) else "stale")


def _choice_of(experiment: str) -> Row:
    return Row(label=experiment, experiment=experiment, stage="choice_scores", method="S+S")


def test_world_names_are_told_apart() -> None:
    assert world("toyref", 0) == "toyref"
    assert len({world(style, seed) for style in ("toyref", "toyref+", "toyrefg") for seed in range(3)}) == 9


def test_tables_are_written_into_a_file_that_keeps_its_other_sections(tmp_path: Path) -> None:
    out = tmp_path / "RESULTS.md"
    out.write_text("# Results\n\n## Notes\n\nMine.\n")
    assert results.write_results(out, ["toyref"], range(1), ["3"], show=True) == []
    page = out.read_text()
    assert "## toyref, Table 3: mask choice\n\nNo row of it is finished.\n" in page
    assert page.endswith("## Notes\n\nMine.\n")


def test_a_page_shows_what_the_paper_prints_below_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "cells_of", lambda *_: {"val": (0.3, 0.5)})
    page = markdown(["toyref"], range(1), TABLES[:1])
    printed = page[page.index("<details>") :]
    assert "S+S+C, Table 1, as printed" in printed
    assert "no number compares" in printed
    assert "| S+S+C (weak (pseudo-masks)) | 57.22 | 64.11 |" in printed
    assert markdown(["toyref"], range(1), TABLES[:1], page) == page


def test_figures_of_another_machine_fill_the_page_while_their_recipe_is_planned(tmp_path: Path) -> None:
    register(["toyref"], [0], TABLES[:1])
    instances = load_plan()
    row = TABLES[0].rows[0]
    used = leading_to(row.stage, in_use(instances, "toyref", row.experiment))[-1]
    path = tmp_path / "RESULTS.csv"
    elsewhere = ResultCells.read(path)
    elsewhere.note(used, row, ("oIoU", "mIoU"), {"val": (0.25, 0.5), "testA": (0.1, float("nan"))})
    elsewhere.write()
    results.write_results(tmp_path / "RESULTS.md", ["toyref"], range(1), ["1"], show=True)
    assert "| random candidate | 25.0 / 50.0 | 10.0 / - | - |" in (tmp_path / "RESULTS.md").read_text()
    assert ResultCells.read(path).of(used, row, ("mIoU",))["val"] == (0.5,)
    replanned = dataclasses.replace(used, recipe="another")
    assert ResultCells.read(path).of(replanned, row, ("oIoU", "mIoU")) == {}
    again = ResultCells.read(path)
    again.note(replanned, row, ("oIoU", "mIoU"), {"val": (0.75, 0.5)})
    assert [place.recipe for place in again.values] == ["another"] * 2


@pytest.mark.parametrize(("text", "told"), [("Mine.", "move it away"), ("HEAD\na,b", "line 2")])
def test_a_file_of_something_else_is_not_overwritten(tmp_path: Path, text: str, told: str) -> None:
    head = "dataset,experiment,stage,method,classes,split,measure,recipe,value"
    (tmp_path / "RESULTS.csv").write_text(text.replace("HEAD", head))
    with pytest.raises(Refused, match=told):
        results.write_results(tmp_path / "RESULTS.md", ["toyref"], range(1), ["1"], show=True)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_shares_make_every_run_once(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    register(["toyref"], [0, 1], TABLES[:1])
    instances, ran = load_plan(), list[tuple[str, str, str]]()

    def run(_: Sequence[StageInstance], dataset: str, experiment: str, *, until: str) -> bool:
        ran.append((dataset, experiment, until))
        return True

    monkeypatch.setattr("pipelines.commands.run.run_planned", run)
    for part in range(1, parts + 1):
        results.run_rows(instances, ["toyref"], [0, 1], TABLES[:1], lambda: None, share=(part, parts))
    assert len(ran) == len(set(ran)) == 2 * len(runs_of(TABLES[:1]))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/2", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    assert results.share_of("2/3") == (2, 3)
    with pytest.raises(Refused, match="2/3"):
        results.share_of(text)
