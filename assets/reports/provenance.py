"""The machine and the versions that made what a page shows, as the manifests of its inputs name them."""

from collections.abc import Mapping
from dataclasses import dataclass

from assets.framework.work import Work
from storage.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Stages that one machine made with the same versions."""

    stages: tuple[str, ...]
    machine: str
    versions: str


def provenance(work: Work) -> list[Origin]:
    """The origins of all inputs, in the order of the inputs."""
    stages: dict[tuple[str, str], list[str]] = {}
    for name, artifact in work.inputs.items():
        stages.setdefault(origin_of(artifact.manifest), []).append(name)
    return [
        Origin(stages=tuple(names), machine=machine, versions=versions) for (machine, versions), names in stages.items()
    ]


def origin_of(manifest: Manifest) -> tuple[str, str]:
    """Machine and versions of an artifact, in words; older manifests name no machine."""
    machine = manifest.extra.get("machine") or {}
    return _listed(machine) or "not recorded", _listed(manifest.versions) or "not recorded"


def _listed(entries: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in entries.items() if value is not None)
