"""Event files are what TensorBoard reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from storage.event_files import EventFile, checksum

READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1]).Reload()
print(json.dumps({tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}))
"""


def test_thechecksum_is_that_of_the_format() -> None:
    """Of "123456789" CRC-32C is 0xE3069283 (RFC 3720); masked as the format says."""
    crc = 0xE3069283
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert int.from_bytes(checksum(b"123456789"), "little") == masked


def test_tensorboard_reads_every_value_and_a_new_file_replaces_the_earlier_one(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    EventFile(tmp_path).add({1: {"loss": 9.0}})
    file = EventFile(tmp_path)
    file.add({1: {"loss": 0.5, "lr": 0.25}, 2: {"loss": 0.125, "lr": -1.0}})
    file.add({300_000: {"loss": 4.0}})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "loss": [[1, 0.5], [2, 0.125], [300_000, 4.0]],
        "lr": [[1, 0.25], [2, -1.0]],
    }
