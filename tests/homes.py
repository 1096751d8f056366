"""Home folders as a person leaves them: files of data sets and of experiments, a small world, stages that were run."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from resources.toyref.refcoco_writer import COUNTS, write_toyref
from storage.artifact import Artifact, Store

LITTLE = "{kind: toyref, toy: {style: toyref, size: tiny, seed: 5}}"
"""The data set `little`: images of the tiny world, of which `write_little_world` draws some."""
IMAGES = {"train": 8, "val": 4, "testA": 3, "testB": 3}
"""Images per split of `little`."""
DESCRIBED = ("dataset_index", "references", "ground_truth", "noun_phrases", "projected_classes")
CHOSEN = (*DESCRIBED, "candidate_masks", "mask_choices")
"""Stages that many tests start from."""


def write_home(home: Path, *, datasets: Mapping[str, str], experiments: Mapping[str, str]) -> Path:
    """One YAML file per entry, name -> text; `home` again."""
    for kind, pages in (("datasets", datasets), ("experiments", experiments)):
        (home / kind).mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (home / kind / f"{name}.yaml").write_text(text)
    return home


def write_little_world(home: Path) -> None:
    """The images of `little`, where the first run would draw all that its size has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COUNTS, "tiny", IMAGES)
        write_toyref(home / "worlds" / "little", styles=("toyref",), size="tiny", seed=5)


def copy_home(prepared: Path, home: Path, *, experiments: Mapping[str, str]) -> Path:
    """A home in which everything of another one lies, with experiments of its own instead; `home` again."""
    shutil.copytree(prepared, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("experiments"))
    return write_home(home, datasets={}, experiments=experiments)


def instances_of(home: Path, experiment: str) -> list[StageInstance]:
    """What an experiment of this home asks for on `little`, in an order in which it can be run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        return [instance for instance in load_plan() if instance.dataset == "little" and experiment in instance.used_by]


def finish(home: Path, experiment: str, *, stages: Iterable[str] | None = None) -> dict[str, Artifact]:
    """Run an experiment of this home on `little`, or its named stages; stage -> artifact."""
    wanted = None if stages is None else set(stages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        return {
            instance.stage.name: run_stage(instance, Store(home / "store"), Runtime(threads=1), lambda _: None)
            for instance in instances_of(home, experiment)
            if wanted is None or instance.stage.name in wanted
        }
