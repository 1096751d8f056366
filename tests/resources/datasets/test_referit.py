"""ReferIt is read from its own files, with or without masks."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.ground_truth import ground_truth_mask

from .conftest import picture


def write(root: Path, queries: Any = None, sizes: Any = None) -> DatasetConfig:
    queries = {"7_1": ["sky", "blue sky"], "7_2": ["grass"], "8_1": ["hut"]} if queries is None else queries
    sizes = {"7.jpg": [40, 30], "8.jpg": [40, 30]} if sizes is None else sizes
    (root / "referit_query_all.json.gz").write_bytes(gzip.compress(json.dumps(queries).encode()))
    (root / "referit_imsize.json").write_text(json.dumps(sizes))
    (root / "referit_train_imlist.txt").write_text("7\n")
    (root / "referit_test_imlist.txt").write_text("8\n")
    for image in (7, 8):
        picture(root / "images" / f"{image}.jpg")
    return DatasetConfig(kind="referit", root=root, name="referit")


def test_every_region_is_an_object_with_all_its_expressions(tmp_path: Path) -> None:
    corpus = open_dataset(write(tmp_path)).corpus()
    assert [(row.object_id, row.ref_id, row.expression, row.split) for row in corpus.expressions] == [
        ("7_1", 0, "sky", "train"),
        ("7_1", 0, "blue sky", "train"),
        ("7_2", 1, "grass", "train"),
        ("8_1", 2, "hut", "test"),
    ]
    assert len({row.sent_id for row in corpus.expressions}) == 4
    assert corpus.splits == ("train", "test")


def test_regions_without_split_size_or_text_are_left_out(tmp_path: Path) -> None:
    config = write(tmp_path, {"9_1": ["far"], "7_1": [], "8_1": [3, "hut"], "nameless": ["x"]}, {"8.jpg": [40, 30]})
    corpus = open_dataset(config).corpus()
    assert [row.expression for row in corpus.expressions] == ["hut"]
    assert [row.reason for row in corpus.quarantined] == [
        "image 9 is in no image list, so in no split",
        "the region has no expression",
        "the expression is no text but 3",
        "the region is not named <image>_<region>",
    ]


def test_without_masks_there_is_no_ground_truth(tmp_path: Path) -> None:
    assert open_dataset(write(tmp_path)).ground_truth() == ([], [])


def test_masks_are_the_zeros_of_their_matrix(tmp_path: Path) -> None:
    config = write(tmp_path)
    before = open_dataset(config).fingerprint()
    (tmp_path / "mask").mkdir()
    matrix_HW = np.ones((30, 40), np.int16)
    matrix_HW[5:10, 3:7] = 0
    savemat(tmp_path / "mask" / "7_1.mat", {"segimg_t": matrix_HW})
    savemat(tmp_path / "mask" / "7_2.mat", {"other": matrix_HW})
    objects, broken = open_dataset(config).ground_truth()
    np.testing.assert_array_equal(ground_truth_mask(objects[0]), matrix_HW == 0)
    assert [one.object_id for one in objects] == ["7_1"]
    assert [row.reason for row in broken] == ["7_2.mat has no matrix segimg_t", "8_1.mat is missing; put it into mask/"]
    assert open_dataset(config).fingerprint() != before


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"referit_query_all\.json \(or referit_query_all\.json\.gz\) is missing"):
        open_dataset(DatasetConfig(kind="referit", root=tmp_path, name="referit")).corpus()
    config = write(tmp_path)
    for path in tmp_path.glob("*_imlist.txt"):
        path.unlink()
    with pytest.raises(ValueError, match="the image lists define the splits"):
        open_dataset(config).corpus()
    (tmp_path / "referit_imsize.json").write_text("[")
    (tmp_path / "referit_val_imlist.txt").write_text("7")
    with pytest.raises(ValueError, match="no readable JSON"):
        open_dataset(config).corpus()


def test_the_published_set_is_accounted_for_to_the_last_expression(shared: Path) -> None:
    corpus = open_dataset(DatasetConfig(kind="referit", root=shared / "referit", name="referit")).corpus()
    assert len(corpus.expressions) + len(corpus.quarantined) == 120_081
    assert {row.image_file for row in corpus.expressions} == {"38100.jpg", "40429.jpg", "10002.jpg", "37902.jpg"}
    assert all("is missing" in row.reason for row in corpus.quarantined)
