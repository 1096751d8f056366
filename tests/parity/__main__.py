"""Recompute every reference vector: `python -m tests.parity <folder>`, one line a block, exit status 1 on a failure.

The folder holds *.npz, or folders `ssc` and `tris` that do. Sizes, cases and settings are read off the arrays.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]
Check = tuple[str, float, float]
"""Name, largest error, tolerance."""

BLOCKS: Mapping[str, Mapping[str, str]] = {
    "ssc": {
        "reverse_blur": "tests.parity.choice",
        "select": "tests.parity.choice",
        "transforms": "tests.parity.choice",
        "metrics": "tests.parity.choice",
        "pwam_gate": "tests.parity.lavt",
        "swin_block": "tests.parity.lavt",
        "decoder": "tests.parity.lavt",
        "mini_lavt": "tests.parity.lavt",
        "cgm_loss": "tests.parity.matching",
    },
    "tris": {
        "preprocess": "tests.parity.tris_response",
        "tokens": "tests.parity.tris_response",
        "tiny_clip_resnet": "tests.parity.tris_response",
        "bilateral_prompt": "tests.parity.tris_response",
        "stage1_head": "tests.parity.tris_response",
        "cls_score_loss": "tests.parity.tris_response",
        "calibration_fixed_sims": "tests.parity.tris_calibration",
        "calibration_tiny_clip": "tests.parity.tris_calibration",
        "prms": "tests.parity.tris_calibration",
        "upsample_chain": "tests.parity.tris_segmenter",
        "pixel_attention": "tests.parity.tris_segmenter",
        "stage2_decoder_small": "tests.parity.tris_segmenter",
        "lr_schedule": "tests.parity.tris_segmenter",
        "metrics": "tests.parity.tris_segmenter",
        "irn_crf_seeds": "tests.parity.irn",
        "irn_paths": "tests.parity.irn",
        "irn_training_losses": "tests.parity.irn",
        "irn_pseudo_label": "tests.parity.irn",
        "irn_random_walk": "tests.parity.irn",
    },
}
"""Method -> file stem -> module with a function of that name from arrays to checks, imported when the file is there."""

BORROWED = {"prms": ("calibration_tiny_clip", "clip/")}
"""Stem -> the file beside it and the prefix of arrays that the block takes from there."""


def find(folder: Path) -> dict[tuple[str, str], Path]:
    """(method, stem) -> .npz file, of the folder itself or else of the methods' folders inside it."""
    own = {(method_of(path), path.stem): path for path in sorted(folder.glob("*.npz"))}
    inside = {
        (path.parent.name, path.stem): path for method in BLOCKS for path in sorted(folder.glob(f"{method}/*.npz"))
    }
    return own or inside


def method_of(path: Path) -> str:
    """Whose file it is: by its folder's name, else by its stem, else by an array that only TRIS's `metrics` has."""
    if path.parent.name in BLOCKS:
        return path.parent.name
    methods = [method for method, stems in BLOCKS.items() if path.stem in stems]
    if len(methods) > 1:
        return "tris" if b"model_output.npy" in path.read_bytes() else "ssc"
    return methods[0] if methods else "unknown"


def run(folder: Path, write: Callable[[str], object]) -> bool:
    """Write one line for every block of the methods found and say whether all, and at least one, passed."""
    files = find(folder)
    found = {method for method, _ in files}
    known = [(method, stem) for method, stems in BLOCKS.items() if method in found for stem in stems]
    outcomes = []
    for key in [*known, *sorted(files.keys() - set(known))]:
        name = "/".join(key)
        if key not in files:
            write(f"{name:28} absent\n")
        elif key not in known:
            write(f"{name:28} not covered\n")
        else:
            passed, line = judge(key[0], files[key])
            outcomes.append(passed)
            write(f"{name:28} {line}\n")
    if not outcomes:
        write(f"nothing checked: no known .npz in {folder} or in {' or '.join(BLOCKS)} inside it\n")
    return bool(outcomes) and all(outcomes)


def judge(method: str, path: Path) -> tuple[bool, str]:
    """Run one block: whether it passed, and its line."""
    try:
        checks = list(block(method, path))
    except Exception as error:  # a broken block must not hide the others
        return False, f"FAIL  {type(error).__name__}: {error}"
    if not checks:
        return False, "FAIL  nothing to check in this file"
    name, worst, tolerance = max(checks, key=strain)
    failed = [check for check in checks if strain(check) > 1]
    verdict = f"FAIL  {len(failed)} of {len(checks)} checks," if failed else f"pass  {len(checks)} checks,"
    return not failed, f"{verdict} largest error {worst:.3g} of {tolerance:.3g} allowed ({name})"


def block(method: str, path: Path) -> Iterator[Check]:
    """The checks of one file."""
    function = getattr(import_module(BLOCKS[method][path.stem]), path.stem)
    arrays = read(path)
    if path.stem in BORROWED:
        stem, prefix = BORROWED[path.stem]
        beside = path.with_name(f"{stem}.npz")
        if beside.exists():
            arrays |= {name: value for name, value in read(beside).items() if name.startswith(prefix)}
    yield from function(arrays)


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


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
