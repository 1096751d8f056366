"""A kill leaves nothing, a resumable partial or the whole object; and the end result is always the same."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from storage.artifact import Store
from tests.paths import ROOT
from tests.storage.filling import KEY, RECIPE, contents, make, numbers

KILLS = 10
UNITS = 500


def start(root: Path, seconds: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.storage.filling", str(root), str(seconds), str(UNITS)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    undisturbed, _ = make(Store(tmp_path / "undisturbed"), numbers(UNITS))
    store = Store(tmp_path / "killed")
    moments = random.Random(11)
    finished = []
    for _ in range(KILLS):
        with start(store.root, 0.01) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moments.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        finished.append(len(list((store.root / "partial/numbers/f1/scratch/numbers").glob("*.parquet"))))
    assert finished == sorted(finished)
    assert finished[-1] > 0
    assert not (store.root / "objects").exists()
    with start(store.root, 0.0) as process:
        process.communicate()
    assert process.returncode == 0
    artifact = store.resolve(KEY)
    assert contents(artifact) == contents(undisturbed)
    assert artifact.content_digest == undisturbed.content_digest
    assert artifact.manifest.rows["numbers"].reused > 0
    assert store.verify(artifact) == ()
    assert list((store.root / "partial/numbers").iterdir()) == []


class Killed(BaseException):
    """Stands for SIGKILL at one chosen step of the file system."""


@contextmanager
def stopping_after(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let so many renames and removals happen; of the next, a folder's removal ends half way, others do nothing."""
    steps = iter(range(count))
    rmtree = shutil.rmtree

    def stopping(original: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **kwargs: object) -> object:
            if next(steps, None) is None:
                if original is rmtree:
                    for path in sorted(Path(str(args[0])).rglob("*.parquet"))[:1]:
                        os.unlink(path)  # noqa: PTH108 - Path.unlink is one of the steps
                raise Killed
            return original(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
            patch.setattr(owner, name, stopping(getattr(owner, name)))
        yield


@pytest.mark.parametrize("force", [False, True])
def test_a_stop_at_any_rename_or_removal_leaves_nothing_or_the_whole_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    units = numbers(12)
    undisturbed, _ = make(Store(tmp_path / "undisturbed"), units)
    stops = 0
    while True:
        store = Store(tmp_path / f"stopped-after-{stops}")
        if force:
            make(store, units)
        try:
            with stopping_after(stops, monkeypatch):
                make(store, units, force=force)
            break
        except Killed:
            stops += 1
        assert [store.verify(found) for found in store.artifacts()] in ([], [()]), f"stopped after {stops - 1} steps"
        artifact, _ = make(store, units)
        assert contents(artifact) == contents(undisturbed), f"stopped after {stops - 1} steps"
        assert not (store.root / "partial/numbers/f1").exists()
    assert stops > 10


def test_a_commit_that_lacked_only_the_rename_is_finished_without_computing(tmp_path: Path) -> None:
    undisturbed, _ = make(Store(tmp_path / "undisturbed"), numbers(20))
    store = interrupted_commit(tmp_path / "store")
    lines: list[str] = []
    artifact, tally = make(store, numbers(20), log=lines.append)
    assert tally is None
    assert contents(artifact) == contents(undisturbed)


def test_a_commit_interrupted_over_damaged_files_is_made_again(tmp_path: Path) -> None:
    undisturbed, _ = make(Store(tmp_path / "undisturbed"), numbers(20))
    for damage in ("numbers.parquet", "manifest.json"):
        store = interrupted_commit(tmp_path / f"store-{damage}")
        (store.root / "partial/numbers/f1/content" / damage).write_bytes(b"")
        artifact, tally = make(store, numbers(20))
        assert tally is not None
        assert contents(artifact) == contents(undisturbed)
        assert store.verify(artifact) == ()


def interrupted_commit(root: Path) -> Store:
    store = Store(root)
    artifact, _ = make(store, numbers(20))
    (root / "partial/numbers/f1").mkdir(parents=True)
    artifact.path.rename(root / "partial/numbers/f1/content")
    return store


def test_leftovers_of_a_finished_commit_are_swept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, numbers(5))
    (tmp_path / "partial/numbers/f1/scratch").mkdir(parents=True)
    with store.claim("numbers", "f1", recipe=RECIPE) as slot:
        assert slot.complete
        assert not slot.partial.exists()


def test_half_written_files_do_not_become_part_of_the_artifact(tmp_path: Path) -> None:
    with Store(tmp_path).claim("numbers", "f1", recipe=RECIPE) as slot:
        (slot.content / "numbers.parquet.123.writing").write_bytes(b"PAR1")
        (slot.content / "whole.txt").write_bytes(b"whole")
        assert list(slot.commit().manifest.checksums) == ["whole.txt"]
