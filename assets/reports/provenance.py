"""The machine and the versions that made what a page shows, as the manifests of its inputs name them."""

from dataclasses import dataclass

from assets.framework.work import Work
from resources.runtime import machine_line


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Stages that one machine made with the same versions."""

    stages: tuple[str, ...]
    line: str


def provenance(work: Work) -> list[Origin]:
    """The origins of all inputs, in the order of the inputs."""
    stages: dict[str, list[str]] = {}
    for name, artifact in work.inputs.items():
        stages.setdefault(machine_line(artifact.manifest), []).append(name)
    return [Origin(stages=tuple(names), line=line) for line, names in stages.items()]
