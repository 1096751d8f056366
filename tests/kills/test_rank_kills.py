"""SIGKILL of one of two processes that train together: the step ends, and the next one goes on to the same bits."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from storage.artifact import Store
from tests.assets.framework.test_distributed import EXPERIMENT, bootstrap, members
from tests.homes import CHOSEN, copy_home, finish
from tests.kills.victim import progress
from tests.processes import warm_processes

KILLS = 4


def train(home: Path) -> None:
    """In a process of its own."""
    from assets.framework.asset_factory import run_stage
    from resources.runtime import Runtime

    one, runtime = bootstrap(home), Runtime(processes=2, checkpoint_every=1)
    with suppress(RuntimeError):  # a member was killed
        run_stage(one, Store(home / "store"), runtime, lambda _: None)


def rank_of(process: int) -> str:
    """The rank in a member's command line: folder, rank, parent."""
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")[-3]


def disturb(home: Path, rank: str, *, delay: float) -> None:
    """Start the training, and kill one of its processes shortly after a checkpoint."""
    before = progress(home / "store")
    process = warm_processes().Process(target=train, args=(home,))
    process.start()
    checkpoints = f"{os.sep}checkpoints{os.sep}"
    while not any(checkpoints in path for path, _ in progress(home / "store") - before):
        assert process.is_alive(), "the training was over before it could be disturbed"
        time.sleep(0.05)
    time.sleep(delay)
    (hit,) = [member for member in members(home) if rank_of(member) == rank]
    os.kill(hit, signal.SIGKILL)
    process.join(120)
    assert process.exitcode == 0
    deadline = time.monotonic() + 10
    while members(home):
        assert time.monotonic() < deadline, "a process outlives the one that started it"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_training_of_two_processes_survives_kills_of_one(chosen: Path, tmp_path: Path, rank: str) -> None:
    text, moments, found = EXPERIMENT.replace("epochs: 2", "epochs: 8"), random.Random(rank), {}
    for name, kills in (("calm", 0), ("killed", KILLS)):
        home = copy_home(chosen, tmp_path / name, experiments={"pair": text})
        finish(home, stages=CHOSEN)
        for _ in range(kills):
            disturb(home, rank, delay=moments.uniform(0, 0.1))
        train(home)
        found[name] = Store(home / "store").resolve(bootstrap(home).key)
        assert not Store(home / "store").verify(found[name])
    assert found["killed"].content_digest == found["calm"].content_digest
