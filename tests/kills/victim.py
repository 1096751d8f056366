"""Stages that are killed at random moments and started again: nothing is lost or differs."""

import os
import random
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from storage.artifact import Store
from storage.locks import is_free
from tests.homes import DESCRIBED

LONG = """
extends: base
datasets: [little]
targets: [supervised_scores]
knobs:
  supervised: {epochs: 400, batch_size: 2}
"""
"""A training that is not over before somebody stops it."""
STEP = re.compile(r"step \d+/\d+")
"""What a training tells from time to time."""
TRIS_STAGES = ("tris_response_model", "response_maps", "selected_responses", "refined_labels", "tris_segmenter")
SCORED = (
    "choice_scores",
    *("predictions", "scores"),
    *("corrected", "corrected_predictions", "corrected_scores"),
    *("supervised", "supervised_predictions", "supervised_scores"),
)
"""What a report of S+S+C reads."""
OFTEN = 10
"""So many kills need a larger world and longer trainings."""
HOW_OFTEN = [2, pytest.param(OFTEN, marks=pytest.mark.slow)]
VICTIM = "{kind: toyref, toy: {style: toyref, size: tiny, seed: 3}}"
"""The data set `victim`, for many kills; `little` serves for few."""


def experiments(
    dataset: str, *, epochs: int, batch: int, tris_batch: int, irnet_epochs: int, irnet_batch: int
) -> dict[str, str]:
    """Name -> text of the experiments whose stages are killed; S+S+C and MERES in one, TRIS in the other."""
    training, images = (
        f"epochs: {epochs}, batch_size: {batch}",
        f"image_size: 96, epochs: {epochs}, batch_size: {tris_batch}",
    )
    return {
        f"kill_{dataset}": f"""
extends: correct
datasets: [{dataset}]
targets: [report, meres_scores]
knobs:
  zs_bootstrap: {{{training}}}
  corrected: {{{training}}}
  supervised: {{{training}}}
  meres: {{labels: ground_truth, {training}}}
""",
        f"kill_tris_{dataset}": f"""
extends: tris
datasets: [{dataset}]
knobs:
  tris_response_model: {{{images}, width: 32}}
  refined_labels: {{taught_images: 8, epochs: {irnet_epochs}, batch_size: {irnet_batch}, crop: 76}}
  tris_segmenter: {{{images}, laterals: [8, 8, 16, 16], finest: 8}}
""",
    }


ROUNDS = 4
"""How often a stage may begin anew."""


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A data set whose stages are run in processes of their own, and stores in which they ran undisturbed."""

    context: ForkServerContext
    home: Path
    dataset: str
    prepared: Mapping[tuple[str, ...], Path]
    """Stages -> a store in which they, and what comes before them, are finished already."""
    undisturbed: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def start(self, store: Path, stages: tuple[str, ...]) -> BaseProcess:
        process = self.context.Process(target=run_stages, args=(str(self.home), self.dataset, str(store), stages))
        process.start()
        return process

    def finish(self, store: Path, stages: tuple[str, ...]) -> None:
        """Run to the end undisturbed."""
        process = self.start(store, stages)
        process.join(240)
        assert process.exitcode == 0

    def store(self, stages: tuple[str, ...]) -> Path:
        """A store with the stages finished one after the other, made once."""
        if stages not in self.undisturbed:
            store = self.home / "undisturbed" / "-".join(("described", *stages))
            if (before := self.prepared.get(stages)) or (stages and (before := self.store(stages[:-1]))):
                shutil.copytree(before, store)
            self.finish(store, (*DESCRIBED, *stages))
            self.undisturbed[stages] = store
        return self.undisturbed[stages]


def run_stages(home: str, dataset: str, store_root: str, stages: tuple[str, ...]) -> None:
    """In a process of its own: run the named stages, with frequent commits."""
    os.environ["WORDMASK_HOME"] = home
    from assets.framework.asset_factory import run_stage
    from pipelines.graph.load import load_plan
    from resources.runtime import Runtime

    few = dataset == "little"
    runtime = Runtime(shard=1 if few else 2, checkpoint_every=1 if few else 3, threads=1)
    for instance in load_plan():
        if instance.dataset == dataset and instance.stage.name in stages:
            run_stage(instance, Store(Path(store_root)), runtime, lambda _: None)


def progress(store: Path) -> set[tuple[str, int]]:
    """What lies in scratch folders now: shards and checkpoints."""
    found = set()
    for path in store.glob("partial/*/*/scratch/**/*"):
        with suppress(FileNotFoundError):  # renamed while we look
            found.add((str(path), path.stat().st_mtime_ns))
    return found


def held(store: Path, stage: str) -> bool:
    """Whether a process computes an object of the stage."""
    return not all(is_free(path) for path in store.glob(f"locks/{stage}/*"))


def disturb(victim: Victim, store: Path, stage: str, *, delays: list[float], blindly: bool = False) -> int:
    """Start the stage again and again, and kill each run shortly after it committed something; number of hits.

    A stage that commits nothing before its end is killed `blindly`: shortly after it began. A run that is over too
    early is the last.
    """
    hits = 0
    for delay in delays:
        before = progress(store)
        process = victim.start(store, (stage,))
        while process.is_alive() and not (held(store, stage) if blindly else progress(store) - before):
            time.sleep(0.02)
        process.join(delay)
        if not process.is_alive():
            break
        process.kill()
        process.join()
        hits += 1
    return hits


def compare(
    victims: Mapping[int, Victim],
    folder: Path,
    stage: str,
    *,
    kills: int,
    before: tuple[str, ...],
    blindly: bool = False,
) -> None:
    """Kill the stage so many times, let it end, and find what an undisturbed run leaves.

    Where it is over before that, as may happen on a busy machine, it begins anew.
    """
    victim = victims[kills]
    moments, hits = random.Random(kills), 0
    for number in range(ROUNDS):
        store = folder / f"store{number}"
        shutil.copytree(victim.store(before), store)
        delays = [moments.uniform(0.0, 0.2) for _ in range(kills - hits)]
        hits += disturb(victim, store, stage, delays=delays, blindly=blindly)
        if hits == kills:
            break
    assert hits == kills, "the stage was over again and again before it could be killed"
    victim.finish(store, (stage,))
    experiment = f"kill_tris_{victim.dataset}" if stage in TRIS_STAGES else f"kill_{victim.dataset}"
    key = (victim.dataset, experiment, stage)
    expected, found = Store(victim.store((*before, stage))).resolve(key), Store(store).resolve(key)
    assert found.content_digest == expected.content_digest
    assert not Store(store).verify(found)
