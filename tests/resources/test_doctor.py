"""The doctor sees what is there and says what to do about the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resources.checkpoints import CHECKPOINTS
from resources.doctor import Check, diagnose


def topics(checks: list[Check]) -> dict[str, Check]:
    return {check.topic: check for check in checks}


def test_the_machine_and_every_checkpoint_are_looked_at(tmp_path: Path) -> None:
    found = topics(diagnose(store=tmp_path / "not" / "yet", checkpoints=tmp_path))
    assert {"python", "torch", "device", "free disk", "memory", "store", "chromium", *CHECKPOINTS} <= set(found)
    assert found["python"].verdict == "good"
    assert found["store"].verdict == "good"
    assert found["vit_h"].verdict == "note", "full-size weights are optional"
    assert "sam_vit_h_4b8939.pth" in found["vit_h"].advice
    assert not (tmp_path / "not").exists(), "looking changes nothing"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_without_write_permission_is_bad(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    check = topics(diagnose(store=tmp_path, checkpoints=tmp_path))["store"]
    assert check.verdict == "bad"
    assert "writable" in check.advice


def test_a_store_that_refuses_files_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    check = topics(diagnose(store=tmp_path, checkpoints=tmp_path))["store"]
    assert (check.verdict, "No space left" in check.found) == ("bad", True)
