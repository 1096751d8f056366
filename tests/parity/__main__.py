"""Recompute every reference vector: `python -m tests.parity <folder>`, one line a block, exit status 1 on a failure.

The folder holds *.npz, or a folder `ssc` that does. Sizes, cases and settings are read off the arrays themselves.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]
Check = tuple[str, float, float]
"""Name, largest error, tolerance."""

BLOCKS = {
    "reverse_blur": "tests.parity.choice",
    "select": "tests.parity.choice",
    "transforms": "tests.parity.choice",
    "metrics": "tests.parity.choice",
    "pwam_gate": "tests.parity.lavt",
    "swin_block": "tests.parity.lavt",
    "decoder": "tests.parity.lavt",
    "mini_lavt": "tests.parity.lavt",
    "cgm_loss": "tests.parity.matching",
}
"""File stem -> module with a function of that name from arrays to checks. Imported when the file is there."""


def find(folder: Path) -> list[Path]:
    """The .npz files of the folder, or of `ssc` inside it."""
    return sorted(folder.glob("*.npz")) or sorted((folder / "ssc").glob("*.npz"))


def run(folder: Path, write: Callable[[str], object]) -> bool:
    """Write one line for every block and say whether all of them, and at least one, passed."""
    files = {path.stem: path for path in find(folder)}
    outcomes = []
    for stem in [*BLOCKS, *sorted(files.keys() - BLOCKS.keys())]:
        if stem not in files:
            write(f"{stem:18} absent\n")
        elif stem not in BLOCKS:
            write(f"{stem:18} not covered\n")
        else:
            passed, line = judge(files[stem])
            outcomes.append(passed)
            write(f"{stem:18} {line}\n")
    if not outcomes:
        write(f"nothing checked: no known .npz in {folder} or {folder / 'ssc'}\n")
    return bool(outcomes) and all(outcomes)


def judge(path: Path) -> tuple[bool, str]:
    """Run one block: whether it passed, and its line."""
    try:
        checks = list(block(path))
    except Exception as error:  # a broken block must not hide the others
        return False, f"FAIL  {type(error).__name__}: {error}"
    if not checks:
        return False, "FAIL  nothing to check in this file"
    name, worst, tolerance = max(checks, key=strain)
    failed = [check for check in checks if strain(check) > 1]
    verdict = f"FAIL  {len(failed)} of {len(checks)} checks," if failed else f"pass  {len(checks)} checks,"
    return not failed, f"{verdict} largest error {worst:.3g} of {tolerance:.3g} allowed ({name})"


def block(path: Path) -> Iterator[Check]:
    """The checks of one file."""
    function = getattr(import_module(BLOCKS[path.stem]), path.stem)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    yield from function(arrays)


def strain(check: Check) -> float:
    """Error as a share of what is allowed; NaN is infinitely wrong."""
    _, error, tolerance = check
    if not np.isfinite(error):
        return np.inf
    if tolerance == 0:
        return 0.0 if error == 0 else np.inf
    return error / tolerance


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.parity <folder of vectors>")
    sys.exit(0 if run(Path(sys.argv[1]), sys.stdout.write) else 1)
