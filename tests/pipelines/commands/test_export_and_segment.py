"""Masks that people take away, and a trained model on a picture of no data set."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from tokenizers import BertWordPieceTokenizer
from torch.nn.functional import interpolate

from assets.data.images import Mask
from assets.data.tables import images_in, referents_in
from assets.ssc.tables import choices_of
from ops.refusal import Refused
from pipelines.commands.export import export
from pipelines.commands.export_onnx import export_onnx
from pipelines.commands.segment import segment
from pipelines.graph.load import identify, planned
from pipelines.graph.state import ready
from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.ground_truth import ground_truth_mask
from storage.artifact import Artifact
from storage.masks import decode
from tests.homes import copy_home, finish

EXPERIMENT = """
extends: base
datasets: [little]
targets: [predictions]
knobs:
  zs_bootstrap: {epochs: 1, batch_size: 8} # as in the home that this one is a copy of
"""
Finished = dict[str, Artifact]
Key = tuple[int, int | None]
"""Object, and sentence where each has a mask of its own."""


@pytest.fixture(scope="module")
def little(corrected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the stages of a little experiment, from expressions to predictions."""
    home = copy_home(corrected, tmp_path_factory.mktemp("home"), experiments={"try": EXPERIMENT})
    finish(home)
    return home


@pytest.fixture
def finished(little: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """Its artifacts, in its home."""
    monkeypatch.setenv("WORDMASK_HOME", str(little))
    monkeypatch.setattr("pipelines.graph.load.identify", identify)
    return ready(planned("little", "try"))


def pictures() -> Path:
    return open_dataset(planned("little", "try")[0].source.config).image_folder


def masks_of(artifact: Artifact, table: str) -> dict[Key, Mask]:
    """What the stage gives pixels to."""
    rows = [row for row in artifact.table(table).to_pylist() if row["rle"] is not None]
    masks = {(row["ref_id"], row.get("sent_id")): decode(row["rle"], row["height"], row["width"]) for row in rows}
    return {key: mask for key, mask in masks.items() if mask.any()}


@pytest.mark.parametrize(("stage", "table"), [("mask_choices", "choices"), ("predictions", "masks")])
def test_masks_leave_as_coco_annotations_and_come_back_as_drawn_masks(
    finished: Finished, tmp_path: Path, stage: str, table: str
) -> None:
    export("little", "try", tmp_path / "out", stages=[stage], png=True)
    folder, masks = tmp_path / "out" / stage, masks_of(finished[stage], table)
    objects = {one.ref_id: one for one in referents_in(finished["references"])}
    images = images_in(finished["references"])
    coco = COCO(folder / "annotations.json")
    assert len(coco.anns) == len(masks) > 0
    for found in coco.anns.values():
        one, sent_id = objects[found["ref_id"]], found["sent_ids"][0] if stage == "predictions" else None
        mask = masks[one.ref_id, sent_id]
        assert (coco.annToMask(found) == mask).all()
        rows, columns = np.nonzero(mask)
        assert found["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert found["area"] == mask.sum()
        assert coco.imgs[found["image_id"]]["file_name"] == images[one.image_id].image_file
        assert (found["object_id"], found["split"]) == (one.object_id, one.split)
        choice = choices_of(finished["mask_choices"])[one.ref_id]
        sure = (choice.confidence, choice.margin) if stage == "mask_choices" else (None, None)
        assert (found.get("score"), found.get("margin")) == sure
        said = dict(zip(one.sent_ids, one.expressions, strict=True))
        assert found["sentences"] == ([said[sent_id]] if sent_id is not None else one.expressions)

    shutil.copytree(pictures(), folder / "images")
    drawn = open_dataset(DatasetConfig(kind="folder", root=folder))
    corpus, (truths, broken) = drawn.corpus(), drawn.ground_truth()
    assert not corpus.quarantined
    whole = [mask for mask in masks.values() if mask.all()]  # what a hardly trained model gives, and no object is
    assert ["covers its whole image" in row.reason for row in broken] == [True] * len(whole)
    assert len(whole) < len(masks)
    assert sorted(row.expression for row in corpus.expressions) == sorted(
        sentence for found in coco.anns.values() for sentence in found["sentences"]
    )
    found = sorted(ground_truth_mask(truth).tobytes() for truth in truths)
    assert found == sorted(mask.tobytes() for mask in masks.values() if not mask.all())


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    ("name", "wanted", "hand_made"),
    [
        ("datasets", ["README.md", "data"], "README.md"),
        ("yolo", ["data.yaml", "images", "labels", "objects.csv"], "data.yaml"),
        ("label-studio", ["config.xml", "images", "tasks.json"], "config.xml"),
    ],
)
def test_other_formats_lie_in_the_folder_of_the_stage_and_write_nothing_over(
    tmp_path: Path, name: str, wanted: list[str], hand_made: str
) -> None:
    (tmp_path / "mask_choices").mkdir()
    (tmp_path / "mask_choices" / hand_made).write_text("mine")
    export("little", "try", tmp_path, stages=["mask_choices"], format=name, with_images=True)
    (folder,) = tmp_path.glob("mask_choices-*")
    assert sorted(path.name for path in folder.iterdir()) == wanted
    assert (tmp_path / "mask_choices" / hand_made).read_text() == "mine"
    there = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix == ".png"}
    if name != "datasets":
        originals = {path.read_bytes() for path in pictures().rglob("*.png")}
        assert {path.read_bytes() for path in there} <= originals
    export("little", "try", tmp_path, stages=["mask_choices"], format=name, with_images=True)
    assert list(tmp_path.glob("mask_choices-*")) == [folder]


def test_a_format_without_a_place_for_images_refuses_them(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="leave --images out"):
        export("little", "try", tmp_path, format="coco", with_images=True)
    assert not list(tmp_path.iterdir())


def test_a_picture_of_no_data_set_gets_the_masks_that_the_pipeline_would_give(
    finished: Finished, tmp_path: Path
) -> None:
    one = referents_in(finished["references"], splits=["val"])[0]
    image = images_in(finished["references"])[one.image_id]
    copy = shutil.copy(pictures() / image.image_file, tmp_path / "mine.png")
    segment(Path(copy), one.expressions, tmp_path / "out", dataset="little", experiment="try")
    rows = {row["sent_id"]: row for row in finished["predictions"].table("masks").to_pylist()}
    for number, sent_id in enumerate(one.sent_ids):
        row, mask = rows[sent_id], np.asarray(Image.open(tmp_path / "out" / f"mine_{number}.png"))
        assert (mask == decode(row["rle"], row["height"], row["width"])).all()
    with Image.open(tmp_path / "out" / "mine_overlay.png") as drawn:
        assert drawn.size == (image.width, image.height)
    answered = segment(Path(copy), one.expressions, tmp_path / "out", dataset="little", experiment="try")
    assert answered.title is not None
    assert str(answered.title) == "zs_bootstrap of try on little"
    chosen = segment(Path(copy), one.expressions, tmp_path / "out", dataset="little", experiment="try", model="choice")
    assert str(chosen.title) == "choice (S1 and S2, no trained model) of try on little"
    alone = segment(Path(copy), one.expressions, tmp_path / "else", dataset="toyref", experiment="base")
    assert str(alone.title) == "choice (S1 and S2, no trained model) of base on toyref"
    with pytest.raises(ValueError, match=r"tris on toyref has no finished model, and no choice among candidates"):
        segment(Path(copy), ["it"], tmp_path, dataset="toyref", experiment="tris")
    with pytest.raises(ValueError, match=r"no finished supervised.*finished are zs_bootstrap"):
        segment(Path(copy), ["it"], tmp_path, dataset="little", experiment="try", model="supervised")
    with pytest.raises(ValueError, match="the expression is empty"):
        segment(Path(copy), ["it", " "], tmp_path, dataset="little", experiment="try")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text.png cannot be read"):
        segment(tmp_path / "text.png", ["it"], tmp_path, dataset="little", experiment="try")


def test_what_gives_no_masks_is_told(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no masks of noun_phrases yet.*finished are mask_choices, predictions"):
        export("little", "try", tmp_path, stages=["noun_phrases"])
    with pytest.raises(ValueError, match=r"no masks of any stage yet: `wordmask run -d toyref -e base`.*are none"):
        export("toyref", "base", tmp_path)
    assert not list(tmp_path.glob("*/annotations.json"))


@pytest.mark.slow  # the export takes a minute
@pytest.mark.filterwarnings("ignore")
def test_an_onnx_graph_gives_the_masks_of_the_predictions_to_who_reads_its_card(
    finished: Finished, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    export_onnx("little", "try", tmp_path / "lavt.onnx")
    card = json.loads((tmp_path / "lavt.json").read_text())
    assert card["source"]["model"] == "zs_bootstrap"
    session = onnxruntime.InferenceSession(tmp_path / "lavt.onnx", providers=["CPUExecutionProvider"])
    words = BertWordPieceTokenizer(vocab={piece: n for n, piece in enumerate(card["tokenizer"]["vocabulary"])})
    rows = {row["sent_id"]: row for row in finished["predictions"].table("masks").to_pylist()}
    size, longest = (card["image"]["width"], card["image"]["height"]), card["tokenizer"]["max_tokens"]
    agreed = []
    for one in referents_in(finished["references"], splits=["val"]):
        image = Image.open(pictures() / images_in(finished["references"])[one.image_id].image_file).convert("RGB")
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)[None]
        ids = np.zeros((len(one.expressions), longest), np.int64)
        for row, encoding in enumerate(words.encode_batch(one.expressions)):
            ids[row, : len(encoding.ids[:longest])] = encoding.ids[:longest]
        inputs = {"image": pixels, "ids": ids, "mask": (ids > 0).astype(np.int64)}
        (logits,) = session.run(None, inputs)
        logits_S1hw = torch.from_numpy(logits)[:, None]
        large = interpolate(logits_S1hw, size=image.size[::-1], mode="bilinear", align_corners=True)
        masks = large[:, 0].numpy() > 0
        for sent_id, mask in zip(one.sent_ids, masks, strict=True):
            row = rows[sent_id]
            agreed.append((mask == decode(row["rle"], row["height"], row["width"])).mean())
    assert min(agreed) > 0.99
    with pytest.raises(ValueError, match=r"no finished supervised.*finished are zs_bootstrap"):
        export_onnx("little", "try", tmp_path / "x.onnx", model="supervised")
