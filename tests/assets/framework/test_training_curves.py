"""The curve of a training: appended at every save, written anew when it is taken up again, and never in its way."""

from pathlib import Path
from typing import Any

import pytest

from assets.framework import training_curves
from assets.framework.training_curves import Curve
from storage.event_files import EventFile


def state(steps: int) -> dict[str, Any]:
    values = [float(step) for step in range(1, steps + 1)]
    history = {"step": list(range(1, steps + 1)), "loss": values, "lr": values, "samples_per_second": values}
    return {"step": steps, "history": history}


def test_each_step_is_written_once_and_all_of_them_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[list[int]] = []

    class Noted(EventFile):
        def add(self, curves: Any) -> None:
            added.append(list(curves))
            super().add(curves)

    monkeypatch.setattr(training_curves, "EventFile", Noted)
    curve = Curve(tmp_path, lambda _: None)
    curve(state(2))
    curve(state(5))
    Curve(tmp_path, lambda _: None)(state(6))
    assert added == [[1, 2], [3, 4, 5], [1, 2, 3, 4, 5, 6]]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_refuses_is_told_once_and_costs_the_curve_only(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[str] = []
    curve = Curve(tmp_path / "file", told.append)
    curve(state(2))
    curve(state(3))
    assert len(told) == 1
    assert "the training goes on" in told[0]
