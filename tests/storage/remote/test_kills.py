"""A machine that is killed while it sends leaves nothing that anybody believes, and the next attempt completes it."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.artifact import Store
from tests.buckets import PAGE, content_of, home_of, made, names_in
from tests.paths import ROOT
from tests.storage.remote.sender import LARGE


def killed(root: Path, url: str, moment: Callable[[], object]) -> bool:
    """Whether a sender was still alive at its moment."""
    with subprocess.Popen([sys.executable, "-m", "tests.storage.remote.sender", str(root), url], cwd=ROOT) as process:
        moment()
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
    return alive


def until_some_came(url: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(names_in(url)) < count and time.monotonic() < deadline:
        time.sleep(0.002)


def whole_or_absent(url: str, root: Path) -> bool:
    """Whether a machine found the result; what it has is right either way."""
    artifact, computed = made(home_of(root, url), LARGE)
    assert Store(root).verify(artifact) == ()
    assert {name: content for name, content in content_of(artifact).items() if name != "manifest.json"} == LARGE
    return not computed


def test_a_kill_in_the_middle_of_an_upload_leaves_nothing_to_believe(s3: str, tmp_path: Path) -> None:
    root = tmp_path / "sender"
    assert killed(root, s3, lambda: until_some_came(s3, 3))
    assert names_in(s3)
    assert PAGE not in names_in(s3)
    store = home_of(root, s3)
    assert [place.stage for place in store.remote.unsent()] == ["numbers"]
    first, computed = made(store, LARGE)
    assert not computed
    assert store.remote.unsent() == []
    second, computed = made(home_of(tmp_path / "other", s3), LARGE)
    assert not computed
    assert content_of(second) == content_of(first)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_kills_at_random_moments_leave_a_whole_result_or_none(url: str, seed: int, tmp_path: Path) -> None:
    moments = random.Random(seed)
    count, pause = moments.randrange(14), moments.uniform(0, 0.3)

    def moment() -> None:
        until_some_came(url, count)
        time.sleep(pause)

    for attempt in range(3):
        killed(tmp_path / f"sender-{attempt % 2}", url, moment)
        there = PAGE in names_in(url)
        found = whole_or_absent(url, tmp_path / f"reader-{attempt}")
        assert found or not there
    assert made(home_of(tmp_path / "last", url), LARGE)[1] is False
