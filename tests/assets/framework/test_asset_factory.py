"""What every asset does, whatever its stage: look up, compute, keep, refuse, tell."""

import errno
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch

from assets.framework.failures import is_transient
from ops.refusal import Refused
from resources.checkpoints import MissingCheckpoint
from resources.datasets import ImageChangedError
from tests.assets.toy import Toy, data_version, key_of, metadata_of, why


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Toy(tmp_path, instance)


def products(toy: Toy) -> list[int]:
    return toy.store.resolve(key_of("numbers")).table("numbers")["product"].to_pylist()


def objects(toy: Toy, stage: str) -> int:
    return len(list((toy.store.root / "objects" / stage).iterdir()))


def test_a_second_run_is_a_look_up(toy: Toy) -> None:
    first = toy.run()
    assert first.success
    assert len(toy.computed) == 12
    second = toy.run()
    assert second.success
    assert len(toy.computed) == 12
    assert data_version(first, "sums") == data_version(second, "sums")


def test_a_turned_knob_is_computed_and_the_old_result_stays_and_comes_back(toy: Toy) -> None:
    first = toy.run()
    toy.knobs = {"numbers": {"factor": 5}}
    toy.run()
    assert products(toy) == [5 * number for number in range(10)]
    assert (objects(toy, "seeds"), objects(toy, "numbers"), objects(toy, "sums")) == (1, 2, 2)
    toy.knobs, count = {}, len(toy.computed)
    back = toy.run()
    assert len(toy.computed) == count
    assert products(toy) == [2 * number for number in range(10)]
    assert data_version(back, "sums") == data_version(first, "sums")


def test_new_data_reuse_the_rows_that_are_already_there(toy: Toy) -> None:
    toy.run()
    toy.raw, toy.computed = "12 numbers", []
    result = toy.run()
    assert toy.computed == ["seeds", "number 10", "number 11", "sums"]
    shown = metadata_of(result, "numbers")
    assert (shown["numbers: reused"], shown["numbers: computed"], shown["numbers: rows"]) == (10, 2, 12)


def test_a_missing_input_is_refused_by_name(toy: Toy) -> None:
    result = toy.run("numbers")
    assert not result.success
    assert "Materialize set/seeds first" in why(result)


def test_an_input_of_other_settings_is_refused_by_name(toy: Toy) -> None:
    toy.run()
    toy.knobs = {"numbers": {"factor": 5}}
    result = toy.run("sums")
    assert not result.success
    assert "set/base/numbers was made with other settings" in why(result)
    assert "materialize it first" in why(result)


def test_inputs_from_two_states_of_the_data_are_refused(toy: Toy) -> None:
    toy.run()
    toy.raw = "12 numbers"
    assert toy.run("seeds").success
    result = toy.run("sums")
    assert not result.success
    assert "set/base/numbers was made from an earlier set/seeds" in why(result)
    assert toy.run("numbers", "sums").success


def test_a_broken_run_goes_on_where_it_stopped(toy: Toy) -> None:
    toy.error = RuntimeError("power cut")
    assert not toy.run().success
    assert toy.computed == ["seeds", *(f"number {number}" for number in range(4))]
    toy.error, toy.computed = None, []
    assert toy.run().success
    assert toy.computed == [*(f"number {number}" for number in range(4, 10)), "sums"]
    assert products(toy) == [2 * number for number in range(10)]


def test_a_run_that_finds_every_row_says_where_they_were_computed(toy: Toy) -> None:
    toy.gpu, toy.late = True, Refused("the disk is full")
    assert not toy.run(device="cpu").success
    toy.late, toy.computed = None, []
    assert toy.run(device="cpu").success
    assert toy.computed == ["sums"]
    artifact = toy.store.resolve(key_of("numbers"))
    assert artifact.manifest.extra["machine"]["device"] == "cpu"
    assert artifact.manifest.extra["machine"]["precision"] in ("bfloat16", "float32")
    assert not list((toy.folder / "store" / "partial").rglob("machine.json"))


@pytest.mark.parametrize(
    "error",
    [
        Refused("no mask to train on"),
        MissingCheckpoint("swint_ogc: get it there"),
        FloatingPointError("the loss is nan at step 7"),
        ImageChangedError("a.png", "is another file now"),
    ],
)
def test_what_a_person_has_to_act_on_is_told_and_not_tried_again(toy: Toy, error: Exception) -> None:
    toy.gpu, toy.error = True, error
    result = toy.run()
    assert not result.success
    assert str(error) in why(result)
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]


@pytest.mark.parametrize("error", [ValueError("zip() argument 2 is shorter than argument 1"), KeyError("cup")])
def test_a_mistake_in_a_body_ends_the_stage_with_its_traceback_and_is_no_quarantined_row(
    toy: Toy, error: Exception
) -> None:
    toy.gpu, toy.error = True, error
    result = toy.run()
    assert not result.success
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    told = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error
    assert told is not None
    assert told.cause is not None
    assert type(error).__name__ == told.cause.cls_name
    assert any("toy.py" in line and "raise self.error" in line for line in told.cause.stack)
    assert not list((toy.store.root / "objects").glob("numbers/*"))
    toy.error = None
    assert toy.run().success
    ledger = toy.store.resolve(key_of("numbers")).ledger("numbers")
    assert set(ledger["status"].to_pylist()) == {"ok"}


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (TimeoutError("the disk does not answer"), True),
        (ConnectionResetError("reset by peer"), True),
        (OSError(errno.ESTALE, "stale file handle"), True),
        (torch.OutOfMemoryError("out of memory"), True),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), True),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), False),
        (OSError(errno.ENOSPC, "no space left"), False),
        (ValueError("a mistake"), False),
        (RuntimeError("a mistake"), False),
        (Refused("no word"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, transient: bool) -> None:
    assert is_transient(error) == transient


def test_force_computes_every_row_again(toy: Toy) -> None:
    first = toy.run()
    toy.computed = []
    forced = toy.run(force=True)
    assert len(toy.computed) == 12
    assert data_version(first, "sums") == data_version(forced, "sums")


# what the page of an asset shows


def test_rows_columns_and_numbers_are_shown(toy: Toy) -> None:
    shown = metadata_of(toy.run(), "numbers")
    assert shown["dagster/row_count"] == 10
    assert shown["factor"] == 2.0
    columns = {one.name: (one.type, one.description) for one in shown["dagster/column_schema"].columns}
    assert columns["product"] == ("int64", "the seed times the factor")
    assert Path(shown["dagster/uri"]) == toy.store.resolve(key_of("numbers")).path


def test_a_look_up_shows_the_same_as_the_run_that_computed(toy: Toy) -> None:
    first, second = toy.run(), toy.run()
    assert metadata_of(first, "numbers") == metadata_of(second, "numbers")


def test_the_picture_is_shown_inside_the_page(toy: Toy) -> None:
    shown = metadata_of(toy.run(), "numbers")["preview"]
    start = "![preview](data:image/png;base64,"
    assert shown.startswith(start)
    assert b64decode(shown.removeprefix(start).removesuffix(")")).startswith(b"\x89PNG")


def check(result: dg.ExecuteInProcessResult) -> Any:
    (found,) = [one for one in result.get_asset_check_evaluations() if one.asset_key.path[-1] == "numbers"]
    return found


@pytest.mark.parametrize(
    ("bad", "limit", "passed", "severity", "success"),
    [
        (0, 0.0, True, None, True),
        (1, 0.1, True, None, True),
        (2, 0.1, False, dg.AssetCheckSeverity.WARN, True),
        (5, 0.1, False, dg.AssetCheckSeverity.WARN, True),
        (6, 0.1, False, dg.AssetCheckSeverity.ERROR, False),
    ],
)
def test_quarantined_units_warn_above_the_limit_and_stop_the_run_above_a_half(
    toy: Toy, bad: int, limit: float, passed: bool, severity: dg.AssetCheckSeverity | None, success: bool
) -> None:
    toy.knobs = {"numbers": {"bad": bad}}
    result = toy.run(quarantine_limit=limit)
    found = check(result)
    assert found.passed is passed
    assert severity is None or found.severity is severity
    assert found.metadata["share"].value == bad / 10
    assert result.success is success
    assert ("sums" in toy.computed) is success


def test_the_manifest_says_what_made_the_artifact_and_its_content_digest_does_not(toy: Toy) -> None:
    toy.run("seeds", accumulate=4)
    artifact = toy.store.resolve(key_of("seeds"))
    machine, content = artifact.manifest.extra["machine"], artifact.content_digest
    assert 0 <= artifact.manifest.extra["seconds"] < 60
    assert (machine["device"], machine["precision"], machine["accumulate"]) == (None, None, 4)
    assert {"python", "torch", "numpy", "pyarrow", "spacy"} <= set(artifact.manifest.versions)
    toy.run("seeds", accumulate=2, force=True)
    again = toy.store.resolve(key_of("seeds"))
    assert again.manifest.extra["machine"]["accumulate"] == 2
    assert again.content_digest == content
    assert again.path == artifact.path
