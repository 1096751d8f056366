"""Plan written experiments on a made-up data set, without reading anything from disk but the files of the test."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from assets.data.source import Source
from assets.framework.stage import Stage, StageInstance
from assets.stages import STAGES
from pipelines.config.experiment_files import read_experiments
from pipelines.graph.planner import plan
from resources.datasets import DatasetConfig

SOURCE = Source(
    config=DatasetConfig(kind="refer", root=Path("/data"), name="refcoco"), train=("train",), evaluate=("val", "testA")
)


def write_files(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Path:
    """One YAML file per entry."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(content)))
    return folder


def planned(
    folder: Path,
    files: Mapping[str, Mapping[str, Any]],
    *,
    source: Source = SOURCE,
    stages: Mapping[str, Stage] = STAGES,
    newer: Iterable[str] = (),
    name: str = "set",
) -> dict[tuple[str, ...], StageInstance]:
    """Asset key -> instance. Models in `newer` have other weights."""
    for old in folder.glob("*.yaml"):
        old.unlink()
    experiments = read_experiments([write_files(folder, files)], stages)
    models = set(newer)
    found = plan(
        [(name, source, one) for one in experiments.values()],
        stages,
        lambda model: f"{model} v{2 if model in models else 1}",
    )
    return {instance.key: instance for instance in found}


def elsewhere(source: Source, **config: Any) -> Source:
    """The same source with another configuration of its data set."""
    return replace(source, config=replace(source.config, **config))


def below(instances: Mapping[tuple[str, ...], StageInstance], key: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The asset and everything that reads it, at whatever distance."""
    found = {key}
    for instance in instances.values():  # inputs come before readers
        if found & set(instance.inputs.values()):
            found.add(instance.key)
    return found
