"""Every row stage by two processes: the bytes that one process makes."""

from pathlib import Path

import pytest

from assets.framework.asset_factory import run_stage
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Store
from tests.homes import LITTLE, write_home, write_little_world
from tests.kills.victim import experiments

SHARED = {
    "candidate_masks",
    "mask_choices",
    "predictions",
    "curve",
    "response_maps",
    "selected_responses",
    "refined_labels",
    "tris_predictions",
    "tris_curve",
    "meres_predictions",
}
"""Stages that must have been shared."""


def made(home: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], set[str]]:
    """Stage -> digest of what it makes, and the stages whose rows several processes computed."""
    pages = experiments("little", epochs=1, batch=3, tris_batch=3, irnet_epochs=1, irnet_batch=2)
    write_home(home, datasets={"little": LITTLE}, experiments=pages)
    write_little_world(home)
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    digests, shared = {}, set()
    for one in load_plan():
        if one.dataset == "little" and not one.stage.name.endswith("report"):
            lines: list[str] = []
            artifact = run_stage(one, Store(home / "store"), runtime, lines.append)
            digests["/".join(one.key)] = artifact.content_digest
            shared |= {one.stage.name} if any("processes of this machine" in line for line in lines) else set()
    return digests, shared


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_make_what_one_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, none = made(tmp_path / "one", Runtime(threads=1, workers=1), monkeypatch)
    together, shared = made(tmp_path / "two", Runtime(threads=1, workers=2, shard=2), monkeypatch)
    assert together == alone
    assert not none
    assert shared >= SHARED & {key.split("/")[-1] for key in alone}, shared
