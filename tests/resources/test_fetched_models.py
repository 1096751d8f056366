"""A detector and a segmenter come from a hub in the layout in which they are published, and are opened without it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from resources.models import loading
from resources.runtime import Runtime
from tests.resources.hub_server import Hub, running
from tests.resources.models.hub_folders import made

KINDS = {"owner/detector": "owlv2", "owner/segmenter": "sam2_video"}


def test_what_was_fetched_is_opened_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {name: made(kind, tmp_path / kind) for name, kind in KINDS.items()}
    files = {name: {path.name: path.read_bytes() for path in folder.iterdir()} for name, folder in folders.items()}
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path / "models"))
    monkeypatch.setattr("resources.fetching.PAUSE", 0.001)
    with running(Hub(files, breaks=2)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        told = CliRunner().invoke(app, ["models", "get", *KINDS])
        assert told.exit_code == 0, told.output
        assert sum(one.begin > 0 for one in hub.asked if one.server == "second") == 2
    monkeypatch.setenv("WORDMASK_OFFLINE", "1")
    runtime = Runtime(device="cpu")
    assert loading.open_detector("owner/detector", runtime)
    assert loading.open_segmenter("owner/segmenter", runtime)
