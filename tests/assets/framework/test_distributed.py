"""A training stage on two processes: the same artifact as one makes, nobody left behind, nothing open to others."""

import os
import re
import signal
import time
from pathlib import Path

import dagster as dg
import pytest

from assets.framework.asset_factory import build_stage_asset, run_stage
from assets.framework.stage import StageInstance
from ops.refusal import Refused
from pipelines.graph.load import load_plan
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from tests.assets.framework.forked import launch_forked
from tests.homes import CHOSEN, copy_home, finish
from tests.processes import warm_processes

EXPERIMENT = """
extends: base
datasets: [little]
knobs:
  zs_bootstrap: {epochs: 2, batch_size: 12}
"""


@pytest.fixture(scope="module")
def home(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world with everything that ZSBootstrap reads."""
    home = copy_home(chosen, tmp_path_factory.mktemp("home"), experiments={"pair": EXPERIMENT})
    finish(home, stages=CHOSEN)
    return home


def stages() -> list[StageInstance]:
    return [one for one in load_plan() if one.dataset == "little"]


def bootstrap(home: Path) -> StageInstance:
    os.environ["WORDMASK_HOME"] = str(home)
    return next(one for one in stages() if one.stage.name == "zs_bootstrap")


def losses(artifact: Artifact) -> list[float]:
    return artifact.table("history")["loss"].to_pylist()


def test_two_processes_train_as_one_does_and_its_lines_reach_the_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    store, one = Store(home / "store"), bootstrap(home)
    alone = losses(run_stage(one, store, Runtime(threads=1), lambda _: None))
    runtime = RuntimeResource(processes=2, force=True)
    resources = {"store": ArtifactStore(root=str(store.root)), "runtime": runtime}
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([build_stage_asset(one)], instance=instance, resources=resources).success
    together = losses(store.resolve(one.key))
    machine = store.resolve(one.key).manifest.extra["machine"]
    assert (machine["device"], machine["processes"]) == (Runtime().torch_device(), 2)
    assert machine["precision"] == ("bfloat16" if Runtime().bf16() else "float32")
    assert len(together) == len(alone)
    assert together[0] == pytest.approx(alone[0], abs=0.02)  # drop path draws other noise
    assert together[-1] == pytest.approx(alone[-1], abs=0.1)
    assert f"step {len(alone)}/{len(alone)}" in capfd.readouterr().err


def test_what_the_body_refuses_is_told_in_its_own_words_and_no_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "experiments" / "pair.yaml").write_text(EXPERIMENT.replace("batch_size: 12", "batch_size: 1"))
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    with pytest.raises(Refused, match="cannot be shared by 2 processes; raise batch_size"):
        run_stage(bootstrap(home), Store(home / "store"), Runtime(processes=2), lambda _: None, launch=launch_forked)
    assert "Traceback" not in capfd.readouterr().err


def train_forever(home: Path) -> None:
    run_stage(bootstrap(home), Store(home / "store"), Runtime(processes=2, checkpoint_every=1), lambda _: None)


def members(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"assets.framework.distributed" in (said := line.read_bytes()) and os.fsencode(folder) in said:
                found.append(int(line.parent.name))
        except OSError:  # it ended while we looked
            continue
    return found


def listening(process: int) -> list[str]:
    """Addresses, as the kernel writes them, on which a process takes connections."""
    own = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            own.add(link.readlink().name)
        except OSError:  # closed while we looked
            continue
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and f"socket:[{parts[9]}]" in own:
                addresses.append(parts[1].split(":")[0])
    return addresses


def ends_by_interrupt(process: int) -> bool:
    """Whether Ctrl+C, which reaches all processes of a terminal, ends it at once: it neither ignores nor catches it."""
    masks = re.findall(r"Sig(?:Ign|Cgt):\s*(\w+)", Path(f"/proc/{process}/status").read_text())
    assert len(masks) == 2
    return not any(int(mask, 16) >> (signal.SIGINT - 1) & 1 for mask in masks)


LOOPBACK = ("0100007F", "00000000000000000000000001000000")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_processes_listen_to_this_machine_only_and_end_when_their_step_is_killed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = EXPERIMENT.replace("epochs: 2, batch_size: 12", "epochs: 500, batch_size: 12")
    (home / "experiments" / "pair.yaml").write_text(text)
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    process = warm_processes().Process(target=train_forever, args=(home,))
    process.start()
    deadline = time.monotonic() + 200
    while not list(home.glob("store/partial/zs_bootstrap/*/scratch/checkpoints/*.pt")):
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(members(home)) == 2
    opened = [address for member in members(home) for address in listening(member)]
    assert opened, "two processes that train together speak to each other"
    assert set(opened) <= set(LOOPBACK)
    assert all(map(ends_by_interrupt, members(home)))
    process.kill()
    process.join()
    while members(home):
        assert time.monotonic() < deadline + 30, "processes of a killed step go on training"
        time.sleep(0.1)
