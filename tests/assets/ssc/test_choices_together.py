"""Candidates of several images in one pass of a published CLIP: the choices that each image has by itself."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from assets.framework.asset_factory import run_stage
from assets.ssc.clip_scorers import open_scorer
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.tables import CHOICES, ChoiceRow
from pipelines.graph.load import load_plan
from resources.models.clip import Clip
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from tests.homes import copy_home
from tests.resources.models.hub_folders import clip

KNOBS = "{mask_choices: {clip: %s, min_area: 0}}"
EXPERIMENTS = {
    name: f"{{extends: base, datasets: [little], targets: [mask_choices], knobs: {KNOBS % model}}}"
    for name, model in {"published": "'ViT-B-16:mine'", "embedded": "embedded"}.items()
}
AT_ONCE = 4


@pytest.fixture(scope="module")
def home(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = copy_home(chosen, tmp_path_factory.mktemp("home"), experiments=EXPERIMENTS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip(home / "checkpoints" / "open_clip" / "ViT-B-16" / "mine")
    return home


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Prompted images of each call of CLIP."""
    seen: list[int] = []
    encode = Clip.encode_prepared

    def counted(self: Clip, images_N3SS: torch.Tensor, *, unit: bool = True) -> torch.Tensor:
        seen.append(len(images_N3SS))
        return encode(self, images_N3SS, unit=unit)

    monkeypatch.setattr(Clip, "encode_prepared", counted)
    return seen


Run = Callable[[str, int], Artifact]


@pytest.fixture(scope="module")
def run(home: Path) -> Iterator[Run]:
    """What runs the choice of an experiment with so many images a pass."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        patch.setenv("WORDMASK_CHECKPOINTS", str(home / "checkpoints"))
        instances, store = [one for one in load_plan() if one.dataset == "little"], Store(home / "store")
        for instance in instances:
            if instance.stage.name != "mask_choices":
                run_stage(instance, store, Runtime(threads=1), lambda _: None)

        def choose(experiment: str, at_once: int) -> Artifact:
            runtime = Runtime(device="cpu", threads=1, images_at_once=at_once, force=True)
            (mine,) = [one for one in instances if one.key == ("little", experiment, "mask_choices")]
            return run_stage(mine, store, runtime, lambda _: None)

        yield choose


def assert_same_choices(together: Sequence[ChoiceRow], alone: Mapping[int, ChoiceRow]) -> None:
    for row in together:
        other = alone[row.ref_id]
        assert (row.chosen, row.chosen_by_sentence, row.reason) == (
            other.chosen,
            other.chosen_by_sentence,
            other.reason,
        )
        scores, others = ([one or 0.0 for one in each.scores] for each in (row, other))
        assert scores == pytest.approx(others, abs=1e-3)


def test_images_that_share_passes_are_chosen_for_as_alone(
    run: Run, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {row.ref_id: row for row in CHOICES.read(run("published", 1))}
    each, passes[:] = [*passes], []
    artifact = run("published", AT_ONCE)
    assert_same_choices(CHOICES.read(artifact), alone)
    assert sum(row.reason == "clip" for row in alone.values()) >= 9
    assert sum(passes) == sum(each)
    assert len(passes) < len(each) / 2
    assert artifact.manifest.extra["machine"]["images_at_once"] == AT_ONCE

    encode = Clip.encode_prepared

    def of_small_memory(self: Clip, images_N3SS: torch.Tensor, *, unit: bool = True) -> torch.Tensor:
        if len(images_N3SS) > max(each):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(self, images_N3SS, unit=unit)

    monkeypatch.setattr(Clip, "encode_prepared", of_small_memory)
    halved = run("published", AT_ONCE)
    assert_same_choices(CHOICES.read(halved), alone)
    assert halved.manifest.extra["machine"]["images_at_once"] < AT_ONCE


def test_the_embedded_clip_sees_one_image_at_a_time(run: Run, passes: list[int]) -> None:
    alone = run("embedded", 1).content_digest
    each, passes[:] = [*passes], []
    assert run("embedded", AT_ONCE).content_digest == alone
    assert passes == each
    for model in ("embedded", "embedded/clip_rn"):
        assert open_scorer(ChoiceKnobs(clip=model), Runtime(images_at_once=AT_ONCE)).at_once == 1
