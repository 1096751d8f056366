"""A tiny world whose stages are killed at random moments and started again: nothing is lost or differs."""

import os
import random
import re
import shutil
import time
from contextlib import suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from storage.artifact import Store

EXPERIMENT = """
extends: correct
datasets: [victim]
targets: [report, meres_scores]
knobs:
  zs_bootstrap: {epochs: 6, batch_size: 8}
  corrected: {epochs: 4, batch_size: 8}
  meres: {labels: ground_truth, epochs: 4, batch_size: 8}
"""
LONG = """
extends: base
datasets: [victim]
targets: [scores]
knobs:
  zs_bootstrap: {epochs: 400, batch_size: 8}
"""
TRIS = """
extends: tris
datasets: [victim]
knobs:
  tris_response_model: {image_size: 96, epochs: 4, batch_size: 12, width: 32}
  refined_labels: {taught_images: 8, epochs: 4, batch_size: 4, crop: 76}
  tris_segmenter: {image_size: 96, epochs: 6, batch_size: 12, laterals: [8, 8, 16, 16], finest: 8}
"""
WORLD = "kind: toyref\ntoy: {style: toyref, size: tiny, seed: 3}\n"
STEP = re.compile(r"step \d+/\d+")
"""What a training tells from time to time."""
TRIS_STAGES = ("tris_response_model", "response_maps", "selected_responses", "refined_labels", "tris_segmenter")
HOW_OFTEN = [2, pytest.param(10, marks=pytest.mark.slow)]
PREPARED = ("dataset_index", "references", "ground_truth", "noun_phrases", "projected_classes")


def run_stages(home: str, store_root: str, names: tuple[str, ...]) -> None:
    """In a process of its own: run the named stages, with frequent commits."""
    os.environ["WORDMASK_HOME"] = home
    from assets.framework.asset_factory import run_stage
    from pipelines.graph.load import load_plan
    from resources.runtime import Runtime

    runtime = Runtime(shard=2, checkpoint_every=3, threads=1)
    for one in load_plan():
        if one.dataset == "victim" and one.stage.name in names:
            run_stage(one, Store(Path(store_root)), runtime, lambda _: None)


def finish(context: ForkServerContext, home: Path, store: Path, names: tuple[str, ...]) -> None:
    """Run to the end undisturbed."""
    process = context.Process(target=run_stages, args=(str(home), str(store), names))
    process.start()
    process.join(240)
    assert process.exitcode == 0


def progress(store: Path) -> set[tuple[str, int]]:
    """What lies in scratch folders now: shards and checkpoints."""
    found = set()
    for path in store.glob("partial/*/*/scratch/**/*"):
        with suppress(FileNotFoundError):  # renamed while we look
            found.add((str(path), path.stat().st_mtime_ns))
    return found


def disturb(context: ForkServerContext, home: Path, store: Path, names: tuple[str, ...], *, delays: list[float]) -> int:
    """Start the stages again and again, and kill each run shortly after it committed something; number of hits."""
    hits = 0
    for delay in delays:
        process = context.Process(target=run_stages, args=(str(home), str(store), names))
        before = progress(store)
        process.start()
        while process.is_alive() and progress(store) <= before:
            time.sleep(0.02)
        process.join(delay)
        if process.is_alive():
            process.kill()
            hits += 1
        process.join()
    return hits


def compare(
    context: ForkServerContext, home: Path, tmp_path: Path, stage: str, *, kills: int, before: tuple[str, ...]
) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    finish(context, home, calm, (*PREPARED, *before))
    shutil.copytree(calm, rough)
    finish(context, home, calm, (stage,))
    moments = random.Random(kills)
    hits = disturb(context, home, rough, (stage,), delays=[moments.uniform(0.0, 0.2) for _ in range(kills)])
    assert hits == kills, "the stage was over before it could be killed"
    finish(context, home, rough, (stage,))
    experiment = "tris_kill" if stage in TRIS_STAGES else "kill"
    key = ("victim", experiment, stage)
    expected, found = Store(calm).resolve(key), Store(rough).resolve(key)
    assert found.content_digest == expected.content_digest
    assert not Store(rough).verify(found)
