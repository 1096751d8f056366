"""Rows by several processes: the same bytes as by one, whatever happens to them, and nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ops.refusal import Refused
from resources.checkpoints import MissingCheckpoint
from resources.datasets import ImageChangedError
from resources.engines.engine import MANY, computed, cut, fitting
from resources.engines.worker import Failure, WorkerTracebackError
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from storage.rows import Tally
from tests.paths import ROOT
from tests.resources.engines.squares import Squares
from tests.storage.filling import contents, make, numbers

COUNT = 60


def filled(folder: Path, *, lines: list[str] | None = None, runtime: Runtime, **worker: Any) -> tuple[Artifact, Tally]:
    """The table of `tests.storage.filling` by an engine; its worker leaves its files in `folder` too."""
    folder.mkdir(exist_ok=True)
    log = [] if lines is None else lines
    squares = Squares(runtime=runtime, folder=folder, **worker)
    work = partial(computed, squares, together=4, log=log.append)
    artifact, tally = make(Store(folder / "store"), numbers(COUNT), work=work)
    assert tally is not None
    return artifact, tally


def left(folder: Path) -> list[int]:
    """Workers of a run that are alive."""
    pids = [int(path.name.removeprefix("opened-")) for path in folder.glob("opened-*")]
    return [pid for pid in pids if pid != os.getpid() and Path(f"/proc/{pid}").exists()]


def test_two_processes_that_die_now_and_then_fill_the_same_table_as_one_that_does_not(tmp_path: Path) -> None:
    calm, tally = filled(tmp_path / "calm", runtime=Runtime())
    assert [int(path.name[7:]) for path in (tmp_path / "calm").glob("opened-*")] == [os.getpid()]
    lines: list[str] = []
    runtime = Runtime(workers=2)
    rough, again = filled(tmp_path / "rough", lines=lines, runtime=runtime, deadly=(3, 41))
    assert contents(rough) == contents(calm)
    assert again == tally
    assert runtime.resolved == {"workers": "2", "device": "abacus"}
    assert sum("is gone (killed by SIGKILL)" in line for line in lines) == 2
    assert sum("is open" in line for line in lines) >= 3, "what workers say reaches the run"
    units = [int(line.split()[0]) for line in lines if "units came again" in line]
    assert len(units) == 1
    assert 2 * 4 <= units[0] <= 4 * 8, "the batches in flight come again, and no more"
    assert not left(tmp_path / "rough")


def test_a_bug_keeps_its_traceback_and_what_was_finished(tmp_path: Path) -> None:
    with pytest.raises(KeyError) as caught:
        filled(tmp_path, runtime=Runtime(workers=2), wrong=59)
    assert isinstance(caught.value.__cause__, WorkerTracebackError)
    assert "squares.py" in str(caught.value.__cause__)
    assert "_ = NAMES[number]" in str(caught.value.__cause__)
    assert not left(tmp_path)
    _, tally = filled(tmp_path, runtime=Runtime(workers=2))
    assert tally.reused > 0


@pytest.mark.parametrize(
    ("error", "worker"),
    [
        (ImageChangedError("a.png", "is another file now"), {"changed": 20}),
        (FileNotFoundError("no such model"), {"missing": "no such model"}),
    ],
)
def test_what_a_person_has_to_act_on_is_raised_as_it_is(tmp_path: Path, error: Exception, worker: Any) -> None:
    with pytest.raises(type(error)) as caught:
        filled(tmp_path, runtime=Runtime(workers=2), **worker)
    assert str(caught.value) == str(error)
    assert not left(tmp_path)


def test_units_that_kill_every_worker_end_the_stage(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"lost 3 times with the same units, the last time killed by SIGKILL"):
        filled(tmp_path, runtime=Runtime(workers=2), always_deadly=17)


class Stubborn(Exception):  # noqa: N818
    def __init__(self, *, words: Any) -> None:
        super().__init__(words)


@pytest.mark.parametrize(
    "error",
    [Refused("too wide"), MissingCheckpoint("get it there"), OSError(28, "No space"), Stubborn(words=lambda: 1)],
)
def test_every_error_travels(error: Exception) -> None:
    other = Failure.of(error).error()
    kept = not isinstance(error, Stubborn)  # a function has no words
    assert type(other) is (type(error) if kept else RuntimeError)
    assert str(error) in str(other)
    assert getattr(other, "errno", None) == getattr(error, "errno", None)


def test_a_cluster_without_its_packages_is_refused_with_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.engines.engine.find_spec", lambda _: None)
    with pytest.raises(Refused, match=r"pip install 'wordmask\[cluster\]'"):
        filled(tmp_path, runtime=Runtime(engine="ray", workers=2))


STEP = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
from pathlib import Path
from resources.runtime import Runtime
from tests.resources.engines.test_engine import filled
filled(Path(sys.argv[1]), runtime=Runtime(workers=2), seconds=5)
"""


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGKILL"])
def test_workers_end_with_their_step(tmp_path: Path, signal_name: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", STEP, str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(left(tmp_path)) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(getattr(signal, signal_name))
    assert process.wait(10)
    while left(tmp_path):
        assert time.monotonic() < deadline, "a worker outlives its step"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("count", "small", "gpu", "device", "fit"),
    [
        (MANY, True, False, "cpu", 3),
        (MANY - 1, True, False, "cpu", 1),
        (MANY, False, False, "cpu", 1),
        (MANY, True, True, "cpu", 3),
        (MANY, True, True, "cuda", 1),
    ],
)
def test_where_nobody_says_how_many_workers_small_models_on_a_cpu_take_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, small: bool, gpu: bool, device: str, fit: int
) -> None:
    monkeypatch.setattr("resources.engines.engine.cores", lambda: 3)
    runtime = Runtime(device=device)
    assert fitting(Squares(runtime=runtime, folder=tmp_path, small=small, gpu=gpu), count) == fit
    assert fitting(Squares(runtime=Runtime(engine="ray"), folder=tmp_path, small=True), count) == 1


@pytest.mark.parametrize(
    ("count", "workers", "together", "sizes"),
    [
        (0, 2, 1, []),
        (5, 2, 1, [1] * 5),
        (100, 2, 1, [13] * 7 + [9]),
        (1000, 2, 1, [16] * 62 + [8]),
        (100, 2, 8, [16] * 6 + [4]),
        (20, 4, 6, [6, 6, 6, 2]),
        (100, 1, 64, [64, 36]),
    ],
)
def test_batches_are_fair_and_split_no_pass(count: int, workers: int, together: int, sizes: list[int]) -> None:
    batches = cut(range(count), workers=workers, together=together, at_most=16)
    assert [len(batch) for batch in batches] == sizes
    assert [number for batch in batches for number in batch] == list(range(count))
