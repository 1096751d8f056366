"""What a page says of machines and versions, from manifests that hold much, little or nothing."""

from typing import Any

from assets.reports.provenance import origin_of
from storage.manifest import Manifest


def manifest(versions: dict[str, str], extra: dict[str, Any]) -> Manifest:
    return Manifest(stage="s", fingerprint="f", recipe={}, created="", checksums={}, versions=versions, extra=extra)


def test_machine_and_versions_are_told_as_the_manifest_names_them() -> None:
    machine = {"device": "cuda", "dtype": "bfloat16", "accumulate": 2, "gpu": None}
    told = origin_of(manifest({"python": "3.11", "torch": "2.11.0"}, {"machine": machine}))
    assert told == ("device cuda, dtype bfloat16, accumulate 2", "python 3.11, torch 2.11.0")


def test_a_manifest_that_names_neither_says_so() -> None:
    assert origin_of(manifest({}, {})) == ("not recorded", "not recorded")
    assert origin_of(manifest({}, {"machine": None})) == ("not recorded", "not recorded")
