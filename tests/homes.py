"""Home folders as a person leaves them: files of data sets and of experiments, a small world, stages that were run."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from assets.framework.asset_factory import run_stage
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from resources.toyref.refcoco_writer import COUNTS, write_toyref
from storage.artifact import Artifact, Store

SEED = 51
LITTLE = f"{{kind: toyref, toy: {{style: toyref, size: tiny, seed: {SEED}}}}}"
"""The data set `little`: images of the tiny world, of which `write_little_world` draws some."""
IMAGES = {"train": 8, "val": 3, "testA": 2, "testB": 2}
"""Images per split of `little`."""
DESCRIBED = ("dataset_index", "references", "ground_truth", "noun_phrases", "projected_classes")
CHOSEN = (*DESCRIBED, "candidate_masks", "mask_choices")
"""Stages that many tests start from."""
TRY = """
extends: correct
datasets: [little]
knobs:
  zs_bootstrap: {epochs: 1, batch_size: 8}
  corrected: {epochs: 2, batch_size: 8}
  supervised: {epochs: 1, batch_size: 8}
  report: {examples: 2}
"""
"""The experiment `try`: S+S+C and its supervised bound, each with a training of a few steps."""


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
        write_toyref(home / "worlds" / "little", styles=("toyref",), size="tiny", seed=SEED)


def copy_home(prepared: Path, home: Path, *, experiments: Mapping[str, str]) -> Path:
    """A home in which everything of another one lies, with experiments of its own instead; `home` again."""
    shutil.copytree(prepared, home, dirs_exist_ok=True, ignore=shutil.ignore_patterns("experiments"))
    return write_home(home, datasets={}, experiments=experiments)


def finish(home: Path, *, stages: Collection[str] | None = None) -> dict[tuple[str, str], Artifact]:
    """Run what this home's experiments ask for on `little`, or the named stages; (experiment, stage) -> artifact."""
    store = Store(home / "store")
    finished: dict[tuple[str, str], Artifact] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        for instance in load_plan():
            if instance.dataset == "little" and (stages is None or instance.stage.name in stages):
                artifact = run_stage(instance, store, Runtime(threads=1), lambda _: None)
                finished |= {(experiment, instance.stage.name): artifact for experiment in instance.used_by}
    return finished
