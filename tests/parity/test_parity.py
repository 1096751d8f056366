"""The parity runner: passes on the reference vectors and on others like them, fails on anything wrong."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.parity.__main__ import BLOCKS, BORROWED, run, strain
from tests.paths import ROOT

VECTORS = ROOT / "../shared/vectors"


KEYS = [(method, stem) for method, stems in BLOCKS.items() for stem in stems]

SPOILED = {
    "ssc/reverse_blur": "reverse_blur_sigma50_bgr",
    "ssc/select": "tie_last_wins__chosen",
    "ssc/transforms": "size64_label",
    "ssc/metrics": "oIoU",
    "ssc/pwam_gate": "h2__gated_sum",
    "ssc/swin_block": "s2__y",
    "ssc/decoder": "logits_eval",
    "ssc/mini_lavt": "logits",
    "ssc/cgm_loss": "C_2obj_3and2sent_3masks__loss",
    "tris/preprocess": "mask_nearest_32",
    "tris/tokens": "ids_20",
    "tris/tiny_clip_resnet": "train_c4",
    "tris/bilateral_prompt": "n1_lan_prompt",
    "tris/stage1_head": "grad_lan_project_weight",
    "tris/cls_score_loss": "psi_grid",
    "tris/calibration_fixed_sims": "total_paper_sum",
    "tris/calibration_tiny_clip": "grad_response_head",
    "tris/prms": "saved_map",
    "tris/upsample_chain": "rows_320",
    "tris/pixel_attention": "out",
    "tris/stage2_decoder_small": "train_logits4",
    "tris/lr_schedule": "stage2_factor_as_coded",
    "tris/metrics": "argmax_yx",
    "tris/irn_crf_seeds": "smooth_bg_raw",
    "tris/irn_paths": "r10_paths_dydx_pad999",
    "tris/irn_training_losses": "affinity",
    "tris/irn_pseudo_label": "pseudo_label",
    "tris/irn_random_walk": "rw",
}
"""For every block an array that it must reproduce."""


def lines_of(folder: Path) -> tuple[bool, dict[str, str]]:
    lines: list[str] = []
    passed = run(folder, lines.append)
    return passed, {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in lines}


@pytest.fixture
def vectors() -> Path:
    if not (VECTORS / "ssc").is_dir():
        pytest.skip(f"no reference vectors in {VECTORS}")
    return VECTORS


def test_every_block_reproduces_the_reference_vectors(vectors: Path) -> None:
    passed, lines = lines_of(vectors)
    assert passed, lines
    assert all(lines[f"{method}/{stem}"].startswith("pass") for method, stem in KEYS)
    assert lines["ssc/stage1_paint"] == "not covered"


def spoil(wrong: np.ndarray) -> np.ndarray:
    """The same array with another last number."""
    flat = wrong.copy().reshape(-1)
    flat[-1] = flat[-1] - 7 if flat[-1] > 100 else flat[-1] + 7
    return flat.reshape(wrong.shape)


@pytest.mark.parametrize(("method", "stem"), KEYS)
def test_a_corrupted_array_makes_its_block_fail(method: str, stem: str, vectors: Path, tmp_path: Path) -> None:
    output = SPOILED[f"{method}/{stem}"]
    with np.load(vectors / method / f"{stem}.npz") as archive:
        arrays = dict(archive)
    np.savez(tmp_path / f"{stem}.npz", **arrays | {output: spoil(arrays[output])})
    if stem in BORROWED:
        shutil.copy(vectors / method / f"{BORROWED[stem][0]}.npz", tmp_path)
    passed, lines = lines_of(tmp_path)
    assert not passed
    assert re.match(r"FAIL +\d+ of \d+ checks,", lines[f"{method}/{stem}"])


def test_blocks_of_one_name_are_told_apart_in_any_folder(vectors: Path, tmp_path: Path) -> None:
    for method in BLOCKS:
        folder = tmp_path / f"copy of {method}"
        folder.mkdir()
        shutil.copy(vectors / method / "metrics.npz", folder)
        passed, lines = lines_of(folder)
        assert passed
        assert lines[f"{method}/metrics"].startswith("pass")
        assert {name.split("/")[0] for name in lines} == {method}
        assert lines_of(vectors / method)[1][f"{method}/metrics"] == lines[f"{method}/metrics"]


def test_a_block_without_the_file_it_borrows_from_fails(vectors: Path, tmp_path: Path) -> None:
    shutil.copy(vectors / "tris" / "prms.npz", tmp_path)
    passed, lines = lines_of(tmp_path)
    assert not passed
    assert "must lie beside" in lines["tris/prms"]


def test_not_a_number_is_a_failure() -> None:
    assert strain(("oIoU", float("nan"), 1.0)) > 1


def test_a_file_that_lacks_an_array_or_is_no_archive_fails(tmp_path: Path) -> None:
    np.savez(tmp_path / "metrics.npz", gt=np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "select.npz").write_bytes(b"PK\x03\x04 cut off")
    np.savez(tmp_path / "transforms.npz", image_rgb=np.zeros((4, 4, 3), np.uint8), label_map=np.zeros((4, 4), np.uint8))
    passed, lines = lines_of(tmp_path)
    assert not passed
    assert "pred" in lines["ssc/metrics"]
    assert lines["ssc/select"].startswith("FAIL")
    assert "nothing to check" in lines["ssc/transforms"]
    assert lines["ssc/decoder"] == "absent"


@pytest.mark.parametrize("content", ["empty", "strangers", "missing"])
def test_a_folder_with_nothing_to_check_exits_non_zero(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    if content != "missing":
        folder.mkdir()
    if content == "strangers":
        np.savez(folder / "other_method.npz", a=np.zeros(1))
    done = subprocess.run([sys.executable, "-m", "tests.parity", folder], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "nothing checked" in done.stdout


def test_the_command_prints_a_line_a_block_and_exits_zero(vectors: Path, tmp_path: Path) -> None:
    (tmp_path / "ssc").mkdir()
    for stem in ("select", "metrics", "stage1_paint"):
        shutil.copy(vectors / "ssc" / f"{stem}.npz", tmp_path / "ssc")
    done = subprocess.run([sys.executable, "-m", "tests.parity", tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ssc/metrics +pass .*largest error \S+ of \S+ allowed", done.stdout, re.MULTILINE)
    assert re.search(r"^ssc/stage1_paint +not covered$", done.stdout, re.MULTILINE)
    assert re.search(r"^ssc/decoder +absent$", done.stdout, re.MULTILINE)


def other_reverse_blur(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Another picture size, other sigmas, five masks, one of them empty."""
    image = rng.integers(0, 256, (57, 211, 3), dtype=np.uint8)
    masks = np.zeros((5, 57, 211), np.uint8)
    for number, mask in enumerate(masks[:4]):
        mask[5 * number : 30 + 5 * number, 20 * number : 60 + 40 * number] = 1
    bgr = np.ascontiguousarray(image[..., ::-1])
    arrays = {"image_rgb": image, "masks": masks}
    for sigma in ("7", "2.5", "81"):
        blurred = cv2.GaussianBlur(bgr, (0, 0), float(sigma))
        arrays[f"blur_only_sigma{sigma}_bgr"] = blurred
        arrays[f"reverse_blur_sigma{sigma}_bgr"] = np.where(masks[..., None] != 0, bgr, blurred)
    ellipses, rectangles = np.stack([bgr] * 5), np.stack([bgr] * 5)
    for mask, ellipse, rectangle in zip(masks[:4], ellipses, rectangles, strict=False):
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        x0, x1, y0, y1 = (int(edge) for edge in (columns[0] - 4, columns[-1] + 4, rows[0] - 4, rows[-1] + 4))
        centre, axes = (int((x0 + x1) / 2), int((y0 + y1) / 2)), ((x1 - x0 + 8) // 2, (y1 - y0 + 8) // 2)
        cv2.ellipse(ellipse, centre, axes, 0, 0, 360, (0, 0, 255), 4)
        cv2.rectangle(rectangle, (x0, y0), (x1, y1), (0, 0, 255), 4)
    return arrays | {"red_ellipse_bgr": ellipses, "rectangle_bgr": rectangles}


def other_select(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Cases of other names and sizes, each decided with plain numpy."""
    arrays: dict[str, np.ndarray] = {}
    for number in range(6):
        areas = rng.integers(300, 900, number + 2)
        texts, images = (rng.normal(size=(count, 24)).astype(np.float32) for count in (number + 1, len(areas)))
        texts, images = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (texts, images))
        kept = np.flatnonzero(areas >= 500)
        scores = 100 * (images[kept] @ texts.T).mean(1)
        chosen = kept[len(kept) - 1 - scores[::-1].argmax()] if len(kept) else -1
        values = (areas, texts, images[kept], scores.astype(np.float32), np.int64(chosen))
        names = ("mask_area", "text_emb", "image_emb_of_kept", "similarity_of_kept", "chosen")
        arrays |= {f"case{number}__{name}": np.asarray(value) for name, value in zip(names, values, strict=True)}
    return arrays


def other_transforms(rng: np.random.Generator) -> dict[str, np.ndarray]:
    image = rng.integers(0, 256, (40, 64, 3), dtype=np.uint8)
    labels = rng.integers(0, 9, (40, 64), dtype=np.uint8)
    arrays = {"image_rgb": image, "label_map": labels}
    for size in (16, 48, 90):
        resized = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)) / 255
        standard = (resized - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        arrays[f"size{size}_tensor"] = standard.transpose(2, 0, 1).astype(np.float32)
        arrays[f"size{size}_label"] = np.array(Image.fromarray(labels).resize((size, size), Image.Resampling.NEAREST))
    return arrays


def other_metrics(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Fifty pairs of 20 x 31 pixels, other thresholds, nothing printed and no stage 2."""
    gt, pred = (rng.random((2, 50, 20, 31)) < 0.6).astype(np.uint8)
    inter, union = (gt & pred).sum((1, 2)), (gt | pred).sum((1, 2))
    thresholds = np.array([0.25, 0.4, 0.45])
    return {
        "gt": gt,
        "pred": pred,
        "inter": inter,
        "union": union,
        "iou": inter / union,
        "mIoU": np.mean(inter / union),
        "oIoU": inter.sum() / union.sum(),
        "P_thresholds": thresholds,
        "P_at": np.array([100 * (inter / union >= threshold).mean() for threshold in thresholds]),
    }


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("make", [other_reverse_blur, other_select, other_transforms, other_metrics])
def test_other_seeds_and_sizes_pass(
    make: Callable[[np.random.Generator], dict[str, np.ndarray]], seed: int, tmp_path: Path
) -> None:
    stem = make.__name__.removeprefix("other_")
    np.savez(tmp_path / f"{stem}.npz", **make(np.random.default_rng(seed)))  # type: ignore[arg-type]
    passed, lines = lines_of(tmp_path)
    assert passed, lines
