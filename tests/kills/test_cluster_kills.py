"""A whole experiment on a Ray cluster that loses a node twice: the same tables as on one machine, the same weights."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from storage.weights import load_weights
from tests.homes import LITTLE, write_home, write_little_world
from tests.resources.engines.clusters import Disturbed, two_nodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra cluster is not installed"),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, of its files and sockets
    pytest.mark.timeout(1800),
]
EXPERIMENT = """
extends: base
datasets: [little]
knobs:
  zs_bootstrap: {epochs: 2, batch_size: 12}
"""
IMAGES = {"train": 20, "val": 6, "testA": 4, "testB": 4}
"""Enough for the second worker, which may open later, to have something to do."""
PAGES = ("report",)
"""Stages whose pages say which machine made them."""


def planned() -> Iterator[StageInstance]:
    return (one for one in load_plan() if one.dataset == "little" and one.stage.name not in PAGES)


def finished(home: Path, runtime: Runtime, lines: list[str]) -> dict[str, Artifact]:
    """Stage -> what a new home has made."""
    write_home(home, datasets={"little": LITTLE}, experiments={"clustered": EXPERIMENT})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.homes.IMAGES", IMAGES)
        patch.setenv("WORDMASK_HOME", str(home))
        write_little_world(home)
        return {one.stage.name: run_stage(one, Store(home / "store"), runtime, lines.append) for one in planned()}


def test_a_cluster_that_loses_nodes_makes_what_one_machine_makes(tmp_path: Path) -> None:
    calm = finished(tmp_path / "calm", Runtime(threads=1, workers=1, processes=2, shard=2, checkpoint_every=1), [])
    runtime = Runtime(engine="ray", workers=2, threads=1, processes=2, shard=2, checkpoint_every=1)
    with two_nodes() as cluster:
        lines = Disturbed(cluster, "2 of 2 workers have opened", "step 1/")
        rough = finished(tmp_path / "rough", runtime, lines)
    assert not lines.words
    told = "\n".join(lines)
    assert re.search(r"worker \d is gone .*another one starts, and \d units come again", told), told
    assert re.findall(r"(begins|goes on from its last state), in 2 processes", told) == [
        "begins",
        "goes on from its last state",
    ], told
    before = [name for name in calm if name != "zs_bootstrap" and "zs_bootstrap" not in calm[name].manifest.inputs]
    assert {"noun_phrases", "candidate_masks", "mask_choices"} <= {*before}
    assert [rough[name].content_digest for name in before] == [calm[name].content_digest for name in before]
    weights, others = (load_weights(made["zs_bootstrap"].file("weights.safetensors"))[0] for made in (rough, calm))
    assert weights.keys() == others.keys()
    assert max(float((weights[name] - others[name]).abs().max()) for name in weights) < 1e-5
