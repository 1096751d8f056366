"""A process ends with the one that started it, and what it leaves is for its user alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.processes import for_others, keep_private
from tests.paths import ROOT

CHILD = """
import os, sys, time
from resources.processes import end_with_parent
end_with_parent(int(sys.argv[1]), grace_seconds=float(sys.argv[2]))
print(os.getpid(), flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    time.sleep(float(sys.argv[3]))
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", *sys.argv[1:2], str(os.getpid()), *sys.argv[2:]])
time.sleep(60)
"""


def is_there(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("grace", "stubborn", "told"), [("0", "0", ""), ("20", "0", "interrupted\n"), ("0.2", "60", "interrupted\n")]
)
def test_a_process_ends_when_its_parent_is_killed(grace: str, stubborn: str, told: str) -> None:
    command = [sys.executable, "-c", PARENT, CHILD, grace, stubborn]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        deadline = time.monotonic() + 20
        while is_there(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        gone = not is_there(child)
        if not gone:
            os.kill(child, signal.SIGKILL)
        assert gone
        assert parent.stdout.read() == told


def test_a_parent_that_is_gone_before_the_watch_begins_counts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, "1", "0", "0"]  # process 1 did not start it
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=20, check=False).returncode == 1


@pytest.fixture
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_to_all")
def test_files_are_for_their_user_alone_unless_a_person_takes_them_away(tmp_path: Path) -> None:
    persons = keep_private()
    (tmp_path / "mine").mkdir()
    with for_others(persons):
        (tmp_path / "ours").mkdir()
    (tmp_path / "mine" / "file").touch()
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("mine", "ours", "mine/file")]
    assert modes == [0o700, 0o777, 0o600]
