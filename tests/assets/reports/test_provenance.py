"""What a page says of machines and versions."""

from types import SimpleNamespace
from typing import Any, cast

from assets.framework.work import Work
from assets.reports.provenance import Origin, provenance
from storage.manifest import Manifest


def made(versions: dict[str, str], **extra: Any) -> SimpleNamespace:
    manifest = Manifest(stage="s", fingerprint="f", recipe={}, created="", checksums={}, versions=versions, extra=extra)
    return SimpleNamespace(manifest=manifest)


def test_inputs_of_one_machine_and_the_same_versions_share_a_line() -> None:
    machine = {"processor": "a CPU", "gpu": None, "precision": None, "accumulate": 1, "processes": 1}
    torch = {"torch": "2.11.0"}
    inputs = {"references": made(torch, machine=machine), "older": made(torch), "scores": made(torch, machine=machine)}
    work = cast(Work, SimpleNamespace(inputs=inputs))
    assert provenance(work) == [
        Origin(stages=("references", "scores"), line="Made on a CPU, with torch 2.11.0."),
        Origin(stages=("older",), line="Made with torch 2.11.0."),
    ]
