"""TRIS on a tiny drawn world, from expressions to scores: what every stage leaves for the next, and what it reads."""

import pytest

from assets.factory import run_stage
from assets.stage import StageInstance
from pipelines.definitions import load_plan
from resources.runtime import Runtime
from storage.artifact import Artifact, Store

WORLD = "kind: toyref\ntoy: {style: toyref, size: tiny, seed: 5}\n"
EXPERIMENT = """
extends: tris
datasets: [little]
knobs:
  tris_response_model: {image_size: 96, epochs: 1, batch_size: 12, width: 32}
  refined_labels: {taught_images: 8, epochs: 1, batch_size: 4, crop: 76}
  tris_segmenter: {image_size: 96, epochs: 1, batch_size: 12, laterals: [8, 8, 16, 16], finest: 8}
"""
Finished = dict[str, Artifact]
SCORED = ("val", "testA", "testB")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Every stage of TRIS, run once."""
    home = tmp_path_factory.mktemp("home")
    for kind, name, text in (("datasets", "little", WORLD), ("experiments", "try", EXPERIMENT)):
        (home / kind).mkdir()
        (home / kind / f"{name}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        store = Store(home / "store")
        instances: list[StageInstance] = [one for one in load_plan() if one.dataset == "little"]
        for one in instances:
            run_stage(one, store, Runtime(threads=1), lambda _: None)
        return {one.stage.name: store.resolve(one.key) for one in instances}


def test_x(finished: Finished) -> None:
    print(finished.keys())
