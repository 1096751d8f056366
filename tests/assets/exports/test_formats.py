"""Every format is read back by the tool that it is for; those that are not installed are skipped."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from assets.data.images import Mask
from assets.data.tables import ImageRow, Referent
from assets.exports.given import Export, Given
from assets.exports.label_studio import CONFIG
from assets.exports.writing import export_masks
from assets.exports.yolo import data_page
from ops.outlines import one_polygon
from ops.visualisation import png_bytes
from storage.brush_masks import brush_runs
from storage.masks import Rle, decode

HEIGHT, WIDTH = 60, 80
PIXELS = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
PICTURE = png_bytes(PIXELS)


def disc(row: float, column: float, radius: float) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((rows - row) ** 2 + (columns - column) ** 2 <= radius**2)


MASKS = {
    "whole": disc(30, 40, 20),
    "ring": disc(30, 40, 20) & ~disc(30, 40, 9),
    "two parts": disc(15, 20, 10) | disc(45, 60, 12),
    "pixel": disc(5, 5, 0),
    "ragged": np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.5,
    "all": np.ones((HEIGHT, WIDTH), bool),
}


def row(name: str) -> ImageRow:
    return ImageRow(image_id=name, image_file=name, width=WIDTH, height=HEIGHT, sha256="0f")


def referent(number: int, image: str, split: str) -> Referent:
    said = [f"=the ring {number}", f"ring «{number}»"]
    sent_ids = [10 * number, 10 * number + 1]
    numbered = Referent(ref_id=number, object_id=f"o{number}", image_id=image, split=split)
    numbered.sent_ids.extend(sent_ids)
    numbered.expressions.extend(said)
    return numbered


def exported(folder: Path, name: str, *, with_images: bool = True) -> Path:
    """Two masks of a referent's own and one of an expression, in three images of two splits."""
    images = {name: row(name) for name in ("a/x.png", "b/x.png", "c.png")}
    first, second, third = referent(1, "a/x.png", "train"), referent(2, "b/x.png", "testA"), referent(3, "c.png", "val")
    given = [
        Given(image=images["a/x.png"], referent=first, sent_id=None, mask=Rle.of(MASKS["whole"]), score=0.75),
        Given(image=images["b/x.png"], referent=second, sent_id=21, mask=Rle.of(MASKS["two parts"])),
        Given(image=images["c.png"], referent=third, sent_id=None, mask=Rle.of(MASKS["ring"]), score=0.5),
    ]
    export = Export(stage="s", images=images, given=given, read=lambda _: PICTURE, with_images=with_images)
    return export_masks(export, folder / "s", format=name, of="0" * 20).folder


@pytest.mark.parametrize("shape", MASKS)
def test_one_polygon_is_the_mask_but_for_the_lines_that_join_its_parts(shape: str) -> None:
    cv2 = pytest.importorskip("cv2")
    mask = MASKS[shape]
    corners = one_polygon(mask)
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(drawn, [corners], 1)
    assert len(corners) >= 3
    assert (drawn.astype(bool) | ~mask).all()  # nothing of the mask is lost
    lost = int((drawn.astype(bool) & ~mask).sum())
    assert (
        lost == 0
        if shape in ("whole", "ring", "pixel", "all")
        else lost / mask.sum() < (0.06 if shape != "ragged" else 1)
    )


def test_an_empty_mask_has_no_outline() -> None:
    with pytest.raises(ValueError, match="an empty mask has no outline"):
        one_polygon(np.zeros((3, 3), bool))


def test_supervision_reads_yolo(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    folder = exported(tmp_path, "yolo")
    page = yaml.safe_load((folder / "data.yaml").read_text())
    assert page == {"path": ".", "train": "images/train", "val": "images/val", "names": {0: "object"}} | {
        "test": ["images/testA"]
    }
    for split, shape, least in (("train", "whole", 1.0), ("testA", "two parts", 0.95), ("val", "ring", 1.0)):
        found = supervision.DetectionDataset.from_yolo(
            str(folder / "images" / split), str(folder / "labels" / split), str(folder / "data.yaml"), force_masks=True
        )
        ((_, pixels, marks),) = list(found)
        assert found.classes == ["object"]
        assert (pixels[..., ::-1] == PIXELS).all()
        (mask,) = marks.mask
        assert (mask & MASKS[shape]).sum() / (mask | MASKS[shape]).sum() >= least
    rows = list(csv.DictReader(io.StringIO((folder / "objects.csv").read_text())))
    assert [one["label_file"] for one in rows] == ["labels/train/a_x.txt", "labels/testA/b_x.txt", "labels/val/c.txt"]
    assert [(one["sent_ids"], one["score"]) for one in rows] == [
        ("10 11", "0.750000"),
        ("21", ""),
        ("30 31", "0.500000"),
    ]


@pytest.mark.parametrize(
    ("splits", "wanted"),
    [
        (["train"], ("train", "train", None)),
        (["train", "testA"], ("train", "testA", None)),
        (["test", "x"], ("test", "x", None)),
        (["val", "train", "a", "b"], ("train", "val", ["a", "b"])),
    ],
)
def test_a_split_that_yolo_has_no_key_for_is_a_test(splits: list[str], wanted: tuple[str, str, Any]) -> None:
    page = yaml.safe_load(data_page(splits))
    assert page["train"] == f"images/{wanted[0]}"
    assert page["val"] == f"images/{wanted[1]}"
    assert page.get("test") == (wanted[2] and [f"images/{split}" for split in wanted[2]])


def test_supervision_reads_coco(tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    folder = exported(tmp_path, "coco")
    page = json.loads((folder / "annotations.json").read_text())
    assert [one.get("score") for one in page["annotations"]] == [0.75, None, 0.5]
    assert page["info"]["description"]
    assert page["licenses"]
    for name in ("a/x.png", "b/x.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PICTURE)
    found = supervision.DetectionDataset.from_coco(str(tmp_path), str(folder / "annotations.json"), force_masks=True)
    masks = [marks.mask[0] for _, _, marks in found]
    assert [(mask == MASKS[shape]).all() for mask, shape in zip(masks, ("whole", "two parts", "ring"), strict=True)]


@pytest.mark.filterwarnings("ignore")  # of the readers' own imports
def test_hugging_face_reads_the_parquet_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    datasets = pytest.importorskip("datasets")
    folder = exported(tmp_path, "datasets")
    assert [path.name for path in sorted(folder.glob("data/*"))] == [
        f"{split}-00000-of-00001.parquet" for split in ("testA", "train", "val")
    ]
    train = datasets.Dataset.from_parquet(str(folder / "data/train-00000-of-00001.parquet"), cache_dir=str(tmp_path))
    assert [one["expression"] for one in train] == ["=the ring 1", "ring «1»"]
    first = train[0]
    assert (np.asarray(first["image"]) == PIXELS).all()
    assert ((np.asarray(first["mask"]) > 0) == MASKS["whole"]).all()
    assert (decode(first["rle"].encode(), first["height"], first["width"]) == MASKS["whole"]).all()
    assert (first["score"], first["split"], first["ref_id"], first["sent_id"]) == (0.75, "train", 1, 10)
    assert train.features["mask"] == datasets.Image()
    every = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert {split: rows.num_rows for split, rows in every.items()} == {"train": 2, "testA": 1, "val": 2}
    assert every["testA"][0]["score"] is None
    bare = exported(tmp_path / "bare", "datasets", with_images=False)
    plain = datasets.load_dataset("parquet", data_files=str(bare / "data/val-*"), cache_dir=str(tmp_path))["train"]
    assert plain.column_names == [name for name in train.column_names if name != "image"]


@pytest.mark.parametrize("shape", MASKS)
def test_brush_runs_say_what_the_format_says(shape: str) -> None:
    bits = "".join(f"{byte:08b}" for byte in brush_runs(MASKS[shape]))
    place = 0

    def read(width: int) -> int:
        nonlocal place
        place += width
        return int(bits[place - width : place], 2)

    count, width = read(32), read(5) + 1
    widths = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated, length = read(1), read(widths[read(2)]) + 1
        values += [read(width)] * length if repeated else [read(width) for _ in range(length)]
    assert (np.reshape(values, (HEIGHT, WIDTH, 4)) == 255 * MASKS[shape][..., None]).all()


@pytest.mark.filterwarnings("ignore")  # of the readers' own imports
def test_label_studio_reads_its_tasks(tmp_path: Path) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(CONFIG)
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    folder = exported(tmp_path, "label-studio")
    assert (folder / "config.xml").read_text() == CONFIG
    tasks = json.loads((folder / "tasks.json").read_text())
    for task, shape, score in zip(tasks, ("whole", "two parts", "ring"), (0.75, None, 0.5), strict=True):
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction, return_errors=True) == []
        assert interface.validate_task({"data": task["data"]})
        assert prediction.get("score") == score
        mark, said = prediction["result"]
        pixels = brush.decode_rle(mark["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)
        assert ((pixels[..., 3] > 0) == MASKS[shape]).all()
        assert mark["id"] == said["id"]
    assert tasks[1]["predictions"][0]["result"][1]["value"]["text"] == ["ring «2»"]
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=a/x.png"
    with Image.open(folder / "images/a/x.png") as image:
        assert image.size == (WIDTH, HEIGHT)


@pytest.mark.filterwarnings("ignore")  # of the readers' own imports
def test_label_studio_converter_gives_the_masks_back(tmp_path: Path) -> None:
    converter = pytest.importorskip("label_studio_sdk.converter")
    tasks = json.loads((exported(tmp_path, "label-studio") / "tasks.json").read_text())
    for number, task in enumerate(tasks, 1):  # as a project holds them once a person has accepted a prediction
        accepted = {"id": number, "completed_by": 1, "result": task["predictions"][0]["result"]}
        task.update(id=number, annotations=[accepted])
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    (tmp_path / "brush").mkdir()
    reader = converter.Converter(CONFIG, str(tmp_path), download_resources=False)
    reader.convert(str(tmp_path / "tasks.json"), str(tmp_path / "brush"), "BRUSH_TO_NUMPY", is_dir=False)
    found = {path.name[:6]: np.load(path) for path in (tmp_path / "brush").glob("*.npy")}
    assert [(found[f"task-{n}"] > 0).tolist() for n in (1, 2, 3)] == [
        MASKS[shape].tolist() for shape in ("whole", "two parts", "ring")
    ]
