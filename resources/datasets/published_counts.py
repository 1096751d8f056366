"""The published sizes of the RefCOCO family (spec 1.3), and the check that a local copy is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ops.refusal import Refused


@dataclass(frozen=True)
class SplitCount:
    """How much one split holds."""

    images: int
    referents: int
    expressions: int


PUBLISHED: dict[tuple[str, str], dict[str, SplitCount]] = {
    ("refcoco", "unc"): {
        "train": SplitCount(16_994, 42_404, 120_624),
        "val": SplitCount(1_500, 3_811, 10_834),
        "testA": SplitCount(750, 1_975, 5_657),
        "testB": SplitCount(750, 1_810, 5_095),
    },
    ("refcoco+", "unc"): {
        "train": SplitCount(16_992, 42_278, 120_191),
        "val": SplitCount(1_500, 3_805, 10_758),
        "testA": SplitCount(750, 1_975, 5_726),
        "testB": SplitCount(750, 1_798, 4_889),
    },
    ("refcocog", "umd"): {
        "train": SplitCount(21_899, 42_226, 80_512),
        "val": SplitCount(1_300, 2_573, 4_896),
        "test": SplitCount(2_600, 5_023, 9_602),
    },
    ("refcocog", "google"): {
        "train": SplitCount(24_698, 44_822, 85_474),
        "val": SplitCount(4_650, 5_000, 9_536),
    },
}
"""(set, split by) -> split -> images, referents and expressions."""

SUBSET_BELOW = 0.8
"""A copy with fewer than this share of the published referents is taken for a deliberate subset."""


def check_counts(name: str, split_by: str, found: Mapping[str, SplitCount], *, expect: bool | None) -> None:
    """Compare a manifest with the published counts.

    Args:
        name: The set, e.g. `refcoco+`.
        split_by: Who split it, e.g. `unc`.
        found: Split -> what the manifest holds, before anything is quarantined.
        expect: True compares always, False never, None unless the set is unknown or plainly a subset.

    Raises:
        Refused: The counts differ, or `expect` is True for a set without published counts.
    """
    published = PUBLISHED.get((name, split_by))
    if expect is False or (published is None and expect is None):
        return
    if published is None:
        known = ", ".join(f"{known_name} ({by})" for known_name, by in PUBLISHED)
        raise Refused(f"no counts are published for {name} ({split_by}); known are {known}")
    total = sum(count.referents for count in found.values())
    if expect is None and total < SUBSET_BELOW * sum(count.referents for count in published.values()):
        return
    differences = _differences(published, found)
    if differences:
        raise Refused(
            f"{name} ({split_by}) is not the published set: {'; '.join(differences)}. Fetch it again, or set "
            "`published: false` in its file for a set that is meant to differ"
        )


def _differences(published: Mapping[str, SplitCount], found: Mapping[str, SplitCount]) -> list[str]:
    nothing = SplitCount(0, 0, 0)
    return [
        f"{split} has {_say(found.get(split, nothing))}, published are {_say(published.get(split, nothing))}"
        for split in dict.fromkeys((*published, *found))
        if published.get(split, nothing) != found.get(split, nothing)
    ]


def _say(count: SplitCount) -> str:
    return f"{count.images:,} images, {count.referents:,} references, {count.expressions:,} expressions"
