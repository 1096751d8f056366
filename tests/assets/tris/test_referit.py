"""TRIS's scores on ReferIt: small regions are left out of the headline, and counted in rows of their own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.io import savemat

from assets.framework.asset_factory import run_stage
from assets.tris.localisation_scores import SMALL_TOO
from pipelines.graph.load import in_use, leading_to, load_plan
from resources.runtime import Runtime
from storage.artifact import Artifact, Store

HEIGHT, WIDTH = 30, 40
REGIONS = {
    "7_1": (["the red dog", "left dog"], (0, 0, 20, 30)),
    "7_2": (["the ball"], (30, 5, 33, 8)),
    "8_1": (["the red dog", "big dog"], (5, 5, 25, 25)),
    "8_2": (["small ball"], (30, 5, 37, 16)),
}
"""Sentences and box x1, y1, x2, y2; between its first and its last pixels 8_2 covers 5 % of its image, not more."""


def write(root: Path) -> None:
    """Two images of two regions each, the first for training."""
    (root / "images").mkdir(parents=True)
    (root / "mask").mkdir()
    rng = np.random.default_rng(0)
    for image, split in (("7", "train"), ("8", "test")):
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(root / "images" / f"{image}.jpg")
        (root / f"referit_{split}_imlist.txt").write_text(f"{image}\n")
    (root / "referit_imsize.json").write_text(json.dumps({f"{image}.jpg": [WIDTH, HEIGHT] for image in "78"}))
    (root / "referit_query_all.json").write_text(json.dumps({name: said for name, (said, _) in REGIONS.items()}))
    for name, (_, (x1, y1, x2, y2)) in REGIONS.items():
        matrix_HW = np.ones((HEIGHT, WIDTH), np.int16)
        matrix_HW[y1:y2, x1:x2] = 0
        savemat(root / "mask" / f"{name}.mat", {"segimg_t": matrix_HW})


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Step 1 on those images, scored."""
    home = tmp_path_factory.mktemp("home")
    write(home / "data")
    files = {
        "datasets/little": {
            "kind": "referit",
            "name": "referit",
            "root": str(home / "data"),
            "published": False,
            "evaluate": ["test"],
        },
        "experiments/try": {
            "extends": "tris",
            "datasets": ["little"],
            "targets": ["response_scores"],
            "knobs": {"tris_response_model": {"image_size": 96, "batch_size": 2, "width": 16}},
        },
    }
    for name, content in files.items():
        path = home / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        store = Store(home / "store")
        for one in leading_to("response_scores", in_use(load_plan(), "little", "try")):
            run_stage(one, store, Runtime(threads=1), lambda _: None)
            key = one.key
        return store.resolve(key)


def counted(scored: Artifact, table: str, **wanted: str) -> list[dict[str, Any]]:
    rows = scored.table(table).to_pylist()
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_a_region_of_5_percent_is_left_out_of_the_headline(scored: Artifact) -> None:
    (kept,) = counted(scored, "summary", split="test", per="expression")
    (every,) = counted(scored, "summary", split="test", per=SMALL_TOO)
    assert (kept["rows"], every["rows"]) == (2, 3)
    ious = [row["intersection"] / row["union"] for row in counted(scored, "pairs", split="test")]
    assert kept["mIoU"] == pytest.approx(np.mean(ious[:2]))
    assert every["mIoU"] == pytest.approx(np.mean(ious))
    assert scored.manifest.metrics["test TRIS Step 1 mIoU"] == pytest.approx(kept["mIoU"])


def test_the_rule_is_one_of_tests_and_spares_training_images(scored: Artifact) -> None:
    for method in ("TRIS Step 1", "PRMS"):
        (row,) = counted(scored, "summary", split="train", per="expression", method=method)
        assert row["rows"] == 3


def test_slices_are_of_what_the_headline_counts(scored: Artifact) -> None:
    assert sum(row["rows"] for row in counted(scored, "slices", split="test", by="length")) == 2
