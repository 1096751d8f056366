"""`wordmask times`: what finished runs took, out of their manifests."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from ops.refusal import Refused
from pipelines.cli import app
from pipelines.commands.results import register
from pipelines.commands.times import METHODS, Artifacts, row_of, seconds_a_sample, times_table, training_line
from pipelines.config.dataset_files import ask_for
from pipelines.config.paper_tables import paper_tables
from pipelines.graph.load import identify, planned
from storage.artifact import Artifact
from storage.manifest import Tally
from tests.homes import CHOSEN, TRY, copy_home, finish


def made(computed: int, *, seconds: float | None, reused: int = 0, rows: int | None = None) -> Artifact:
    """An artifact whose table so many units of a timed run filled."""
    tally = Tally(reused=reused, computed=computed, quarantined=0, rows=computed + reused if rows is None else rows)
    extra: Mapping[str, Any] = {} if seconds is None else {"seconds": seconds}
    manifest = SimpleNamespace(rows={"table": tally}, extra=extra, metrics={"images": 4})
    return cast(Artifact, SimpleNamespace(manifest=manifest))


def test_stages_of_images_are_shared_by_all_expressions_and_copied_units_count() -> None:
    finished = {
        "references": made(40, seconds=9.0),
        "candidate_masks": made(2, seconds=3.0, reused=2, rows=11),
        "mask_choices": made(4, seconds=2.0, rows=20),
        "corrected_predictions": made(4, seconds=1.0, rows=10),
    }
    assert seconds_a_sample(("candidate_masks", "mask_choices"), finished) == pytest.approx((6 + 2) / 40)
    assert seconds_a_sample(("corrected_predictions",), finished) == pytest.approx(0.1)
    untimed = {**finished, "candidate_masks": made(0, seconds=3.0, reused=4)}
    assert seconds_a_sample(("candidate_masks", "mask_choices"), untimed) is None


def test_trainings_are_told_as_a_multiple_of_lavt_once_all_are_timed() -> None:
    names = ("zs_bootstrap", "corrected", "supervised")
    finished = {name: made(10, seconds=spent) for name, spent in zip(names, (100.0, 60.0, 80.0), strict=True)}
    (line,) = training_line(finished)
    assert "together 2.0 times LAVT on ground truth (80 s)" in line
    assert not list(training_line({**finished, "corrected": made(10, seconds=None)}))
    assert not list(training_line({name: finished[name] for name in names[:2]}))


def test_a_method_that_is_not_finished_has_no_row() -> None:
    some: Artifacts = {"references": made(4, seconds=1.0)}
    assert [row_of(method, some) for method in METHODS] == [None] * len(METHODS)


def test_every_method_is_one_of_an_experiment_that_ships(home: Path) -> None:
    register(["toyref"], [0], paper_tables())
    for method in METHODS:
        assert set(method.stages) <= {one.stage.name for one in planned("toyref", method.experiment)}


def test_finished_runs_are_told_with_masks_of_an_image(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_home(chosen, tmp_path, experiments={"try": TRY})
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    monkeypatch.setattr("pipelines.graph.load.identify", identify)
    ask_for("little", ["base"])
    finish(home, stages=CHOSEN)
    said = CliRunner().invoke(app, ["times", "-d", "little"], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    assert re.search(r"S\+S[^0-9]+0\.\d{3}[^0-9]+1\.78[^0-9]+\d+\.\d", said.output)
    assert "S+S+C" not in said.output


def test_where_nothing_is_finished_a_run_is_asked_for(home: Path) -> None:
    with pytest.raises(Refused, match="wordmask run -d toyref -e correct"):
        times_table("toyref")
