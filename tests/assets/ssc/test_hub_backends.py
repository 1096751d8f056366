"""S1 and S2 of a small world by models of hubs and of open_clip, all of them named in an experiment."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from assets.ssc.tables import CANDIDATES, CHOICES, GROUNDED, QUERIES
from ops.ssc.captions import canonical_name
from pipelines.graph.load import load_plan
from storage.artifact import Artifact
from tests import homes
from tests.paths import ROOT
from tests.resources.models.hub_folders import clip, made

EXPERIMENTS = {
    "named": """
extends: base
datasets: [little]
targets: [mask_choices, grounded_masks]
knobs:
  projected_classes: {clip: "ViT-B-16:mine", labels: [cup, man, dog]}
  candidate_masks: {detector: someone/dino, segmenter: someone/sam2, box_threshold: 0.0, text_threshold: 0.0}
  mask_choices: {clip: "ViT-B-16:mine", rule: global_local, min_area: 0}
  grounded_masks: {detector: someone/owl@v1, segmenter: someone/sam2}
""",
    "concepts": """
extends: named
datasets: [little]
targets: [candidate_masks]
knobs:
  candidate_masks: {source: concept, segmenter: someone/sam3}
""",
}
STAGES = (*homes.CHOSEN, "grounded_masks")
NAMES = "import sys\nfrom pipelines.graph.load import load_plan\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a world of four images, the experiments, and below `checkpoints` the models that they name."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "IMAGES", dict.fromkeys(homes.IMAGES, 1))
        homes.write_little_world(home)
    models = {"dino": "grounding-dino", "owl@v1": "owlv2", "sam2": "sam2", "sam3": "sam3"}
    for name, kind in models.items():
        made(kind, home / "checkpoints" / "hub" / f"someone--{name}")
    clip(home / "checkpoints" / "open_clip" / "ViT-B-16" / "mine")
    return homes.write_home(home, datasets={"little": homes.LITTLE}, experiments=EXPERIMENTS)


@pytest.fixture(scope="module")
def finished(home: Path) -> Mapping[tuple[str, str], Artifact]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_CHECKPOINTS", str(home / "checkpoints"))
        return homes.finish(home, stages=STAGES)


def test_every_object_has_a_choice_among_what_the_named_models_found(
    finished: Mapping[tuple[str, str], Artifact],
) -> None:
    queries = {row.ref_id: row for row in QUERIES.read(finished["named", "projected_classes"])}
    candidates = CANDIDATES.read(finished["named", "candidate_masks"])
    choices = CHOICES.read(finished["named", "mask_choices"])
    assert {row.ref_id for row in choices} == set(queries)
    asked = {(row.image_id, canonical_name(name)) for row in queries.values() for name in row.query}
    assert {(row.image_id, row.label) for row in candidates} <= asked
    assert len(candidates) >= 4
    assert all(row.chosen in row.candidates for row in choices if row.reason == "clip")
    assert {row.reason for row in choices} & {"clip", "single"}
    assert {row.mask.decode().shape for row in GROUNDED.read(finished["named", "grounded_masks"])}


def test_concepts_are_candidates_without_a_detector(finished: Mapping[tuple[str, str], Artifact]) -> None:
    artifact = finished["concepts", "candidate_masks"]
    assert list(artifact.manifest.extra["models"]) == ["someone/sam3"]
    assert artifact.manifest.rows["candidates"].quarantined == 0


def test_a_manifest_names_the_models_and_their_weights(finished: Mapping[tuple[str, str], Artifact]) -> None:
    found = finished["named", "candidate_masks"].manifest.extra["models"]
    assert list(found) == ["someone/dino", "someone/sam2"]
    assert all(len(identity) == 64 for identity in found.values())


def test_other_weights_of_a_name_change_the_recipe(
    home: Path, finished: Mapping[tuple[str, str], Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(home / "checkpoints"))

    def recipe() -> str:
        return next(
            one.recipe for one in load_plan() if one.stage.name == "candidate_masks" and "concepts" in one.used_by
        )

    before = recipe()
    (home / "checkpoints" / "hub" / "someone--sam3" / "model.safetensors").write_bytes(b"others")
    assert recipe() != before
    assert finished


def test_a_plan_of_named_models_imports_none_of_their_packages(home: Path) -> None:
    heavy = ("torch", "transformers", "open_clip", "segment_anything", "spacy", "timm")
    code = f"{NAMES}assert load_plan()\nprint([name for name in {heavy} if name in sys.modules])"
    environment = {"WORDMASK_HOME": str(home), "WORDMASK_CHECKPOINTS": str(home / "checkpoints"), "PATH": ""}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
