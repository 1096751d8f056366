"""A disk that is full at one moment after the other: every run says so, and the last ends as an undisturbed one."""

import os
import shutil
from pathlib import Path

import pytest

from storage.artifact import Store, StoreError
from tests.disks import resize, small_disk
from tests.homes import TRY, copy_home
from tests.processes import warm_processes

FULL = 3
"""Exit status of a run that ended because the disk was full."""
GROWTH = 1.08
"""How much larger the disk is every time."""


def run(home: str, store: str) -> None:
    """In a process of its own, which a memory map over a full disk would kill."""
    from assets.framework.asset_factory import run_stage
    from pipelines.graph.load import load_plan
    from resources.runtime import Runtime

    os.environ["WORDMASK_HOME"] = home
    try:
        for instance in load_plan():
            if instance.dataset == "little":
                run_stage(instance, Store(Path(store)), Runtime(threads=1, checkpoint_every=2), lambda _: None)
    except StoreError as error:
        os._exit(FULL if "The disk is full" in str(error) else 1)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_an_experiment_on_a_disk_that_grows_ends_as_an_undisturbed_one(
    described: Path, corrected: Path, tmp_path: Path
) -> None:
    home = copy_home(described, tmp_path / "home", experiments={"try": TRY})
    disk, context, refused = tmp_path / "disk", warm_processes(), 0
    used = sum(path.stat().st_size for path in (home / "store").rglob("*") if path.is_file()) // 1024
    with small_disk(disk, kilobytes=2 * used + 400):
        shutil.copytree(home / "store", disk / "store")
        size = int(shutil.disk_usage(disk).used // 1024)
        while True:
            resize(disk, kilobytes=size)
            process = context.Process(target=run, args=(str(home), str(disk / "store")))
            process.start()
            process.join()
            assert process.exitcode in (0, FULL), f"with {size} KB"
            if process.exitcode == 0:
                break
            refused, size = refused + 1, int(size * GROWTH)
        found, expected = Store(disk / "store").refs(), Store(corrected / "store").refs()
        assert {key: one.content_digest for key, one in found.items()} == {
            key: one.content_digest for key, one in expected.items()
        }
        assert not [problem for one in found.values() for problem in Store(disk / "store").verify(one)]
    assert refused > 10
