"""A person's way to masks of photographs: fetch the models of `photo`, add a folder, run, open the page."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from assets.ssc.tables import CHOICES
from pipelines.cli import app
from pipelines.commands.models import missing_models
from pipelines.graph.load import planned
from pipelines.graph.state import ready
from resources.embedded.cards import EMBEDDED_FOLDER
from resources.paths import home
from tests.paths import SHARED
from tests.resources.hub_server import Hub, running
from tests.resources.models.hub_folders import clip, made

DETECTOR, SEGMENTER = "IDEA-Research/grounding-dino-tiny", "facebook/sam2.1-hiera-base-plus"
CLIP, CLIPS_HUB = "ViT-B-16:laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
REAL = SHARED / "data" / "refer_mini"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Repository -> its files: small random models in the layouts of those that `photo` names."""
    folder = tmp_path_factory.mktemp("published")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        folders = {
            DETECTOR: made("grounding-dino", folder / "detector"),
            SEGMENTER: made("sam2", folder / "segmenter"),
            CLIPS_HUB: clip(folder / "clip"),
        }
    return {name: {path.name: path.read_bytes() for path in place.iterdir()} for name, place in folders.items()}


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory, published: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    """A home and a checkpoint folder in which all models of `photo` are, fetched over a line that breaks twice."""
    folder = tmp_path_factory.mktemp("person")
    shutil.copytree(EMBEDDED_FOLDER / "parser", folder / "models" / "en_core_web_sm")  # its digest is the published one
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(folder / "home"))
        patch.setenv("WORDMASK_CHECKPOINTS", str(folder / "models"))
        patch.setattr("resources.fetching.PAUSE", 0.001)
        with running(Hub(published, breaks=2)) as hub:
            patch.setenv("HF_ENDPOINT", hub.address)
            assert missing_models("photo") == [DETECTOR, SEGMENTER, CLIP]
            told = wordmask("models", "get", "--for", "photo")
            assert " GB" in told or " MB" in told
            assert sum(one.begin > 0 for one in hub.asked if one.server == "second") == 2
        patch.setenv("WORDMASK_OFFLINE", "1")
        patch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {})  # the folder says that this one is smaller
        assert missing_models("photo") == []
        yield hub


@pytest.fixture(scope="module")
def mine(fetched: Hub, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The data set `mine`, on which `photo` was run; what was told when it was added."""
    told = wordmask("add", str(photographs(tmp_path_factory.mktemp("mine") / "pictures")), "--name", "mine")
    wordmask("run", "-d", "mine", "-e", "photo")
    return told


def wordmask(*words: str) -> str:
    told = CliRunner().invoke(app, list(words))
    assert told.exit_code == 0, told.output
    return told.output


def photographs(folder: Path) -> Path:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(folder / f"{name}.jpg")
    (folder / "expressions.csv").write_text("image,expression\na.jpg,the red cup\na.jpg,dog\nb.jpg,man on the left\n")
    return folder


def test_photographs_get_their_masks_and_a_page_and_nothing_is_trained(fetched: Hub, mine: str) -> None:
    assert "now run `wordmask run -d mine -e photo`" in " ".join(mine.split())
    artifacts = ready(planned("mine", "photo"))
    assert len(CHOICES.read(artifacts["mask_choices"])) == 3
    assert artifacts["report"].has("report.html")
    assert not [name for name, artifact in artifacts.items() if artifact.has("weights.safetensors")]
    assert "The page with pictures:" in wordmask("report", "-d", "mine", "-e", "photo")
    made_by = artifacts["candidate_masks"].manifest.extra
    assert set(made_by["models"]) == {DETECTOR, SEGMENTER}
    assert set(made_by["revisions"].values()) == {fetched.commit(DETECTOR), fetched.commit(SEGMENTER)}


@pytest.mark.usefixtures("mine")
def test_few_expressions_train_no_network_of_millions_unless_asked_to() -> None:
    told = " ".join(wordmask("run", "-d", "mine", "-e", "photo_trained").split())
    assert "3 expressions are too few to train a network of millions of parameters on" in told
    assert "`wordmask run -d mine -e photo_trained --train`" in told
    made = ready(planned("mine", "photo_trained"))
    assert "mask_choices" in made
    assert not {"zs_bootstrap", "predictions", "corrected", "report"} & set(made)


def test_without_its_models_it_is_said_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path / "models"))
    told = wordmask("add", str(photographs(tmp_path / "mine")), "--name", "mine")
    assert "now run `wordmask run -d mine -e base`" in " ".join(told.split())
    assert "`wordmask models get --for photo` and then `wordmask run -d mine -e photo`" in " ".join(told.split())


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is absent: real photographs are not part of the project")
@pytest.mark.usefixtures("fetched")
def test_every_reference_of_a_real_set_is_accounted_for() -> None:
    folder = home() / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "real.yaml").write_text(
        f"kind: refer\nroot: {REAL}\nname: refcocog\nsplit_by: google\ntrain: [val]\nevaluate: [val]\n"
    )
    wordmask("run", "-d", "real", "-e", "photo", "--until", "mask_choices")
    references = ready(planned("real", "photo"))["references"]
    wanted = set(references.table("expressions")["ref_id"].to_pylist())
    decided = {row.ref_id: row for row in CHOICES.read(ready(planned("real", "photo"))["mask_choices"])}
    assert set(decided) == wanted
    assert all(row.rle is not None or row.reason in ("no candidate", "all too small") for row in decided.values())
