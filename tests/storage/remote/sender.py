"""A machine that makes a large result and shares it, to be killed at it: `python -m tests.storage.remote.sender`."""

import sys
from pathlib import Path

from tests.buckets import home_of, made

LARGE = {f"shards/{number:02}": bytes([number]) * 50_000 for number in range(12)} | {"weights": b"weights!" * 3_000_000}
"""A dozen small files and one of three parts."""

if __name__ == "__main__":
    made(home_of(Path(sys.argv[1]), sys.argv[2]), LARGE)
