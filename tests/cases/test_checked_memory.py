"""Readers of files that anybody may have written, where glibc looks after every block of memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARIES = sorted(Path("/usr/lib").glob("*/libc_malloc_debug.so.0"))
READERS = (
    "tests/storage/test_masks.py",
    "tests/cases/test_properties_references.py",
    "tests/cases/test_properties_checkpoints.py",
)


@pytest.mark.slow
@pytest.mark.skipif(not LIBRARIES, reason="no libc_malloc_debug.so.0, which glibc 2.34 and later has")
def test_no_library_writes_past_its_memory() -> None:
    """A byte too many, or a block used after its end, ends that process at once."""
    checked = {"LD_PRELOAD": str(LIBRARIES[0]), "GLIBC_TUNABLES": "glibc.malloc.check=3", "MALLOC_PERTURB_": "165"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *READERS]
    done = subprocess.run(command, env=os.environ | checked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
