"""A whole experiment on a Ray cluster that loses a node twice: the same tables as on one machine, the same weights."""

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
from tests.resources.engines.clusters import losing_a_node, two_nodes

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
  zs_bootstrap: {epochs: 6, batch_size: 12}
"""
PAGES = ("report",)
"""Stages whose pages say which machine made them."""


def planned() -> Iterator[StageInstance]:
    return (one for one in load_plan() if one.dataset == "little" and one.stage.name not in PAGES)


def finished(home: Path, runtime: Runtime, lines: dict[str, list[str]] | None = None) -> dict[str, Artifact]:
    """Stage -> what a new home has made; `lines` gets what each stage said."""
    write_home(home, datasets={"little": LITTLE}, experiments={"clustered": EXPERIMENT})
    write_little_world(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        found = {}
        for one in planned():
            said = lines.setdefault(one.stage.name, []) if lines is not None else []
            found[one.stage.name] = run_stage(one, Store(home / "store"), runtime, said.append)
        return found


def test_a_cluster_that_loses_nodes_makes_what_one_machine_makes(tmp_path: Path) -> None:
    calm = finished(tmp_path / "calm", Runtime(threads=1, processes=2, shard=2, checkpoint_every=1))
    runtime = Runtime(engine="ray", workers=2, threads=1, processes=2, shard=2, checkpoint_every=1)
    store, lines = tmp_path / "rough" / "store", dict[str, list[str]]()

    def amid_candidates() -> bool:
        return any("2 of 2 workers" in line for line in lines.get("candidate_masks", []))

    def amid_training() -> bool:
        return any(store.glob("partial/zs_bootstrap/*/scratch/checkpoints/*.pt"))

    with two_nodes() as cluster, losing_a_node(cluster, amid_candidates, amid_training) as hits:
        rough = finished(tmp_path / "rough", runtime, lines)
    assert hits == [0, 1]
    assert any("is gone" in line for line in lines["candidate_masks"]), lines["candidate_masks"]
    starts = [line for line in lines["zs_bootstrap"] if "processes of the cluster" in line]
    assert [line.split()[0] for line in starts] == ["begins,", "goes"], lines["zs_bootstrap"]
    before = [name for name in calm if name != "zs_bootstrap" and "zs_bootstrap" not in calm[name].manifest.inputs]
    assert {"noun_phrases", "candidate_masks", "mask_choices"} <= {*before}
    assert [rough[name].content_digest for name in before] == [calm[name].content_digest for name in before]
    weights, others = (load_weights(made["zs_bootstrap"].file("weights.safetensors"))[0] for made in (rough, calm))
    assert weights.keys() == others.keys()
    assert max(float((weights[name] - others[name]).abs().max()) for name in weights) < 1e-5
