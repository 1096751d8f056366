"""Reference vectors of the choice stage: reverse_blur, select, transforms, metrics (layout: the vectors' README)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from ops.evaluation.iou import ScoreState, intersection_union, mean_iou, overall_iou, precision_at, row_ious
from ops.images import IMAGENET, gaussian_blur, normalise, resize_image, resize_labels, to_array, to_tensor
from ops.ssc import visual_prompts
from ops.ssc.mask_selection import COMPAT, choose
from ops.ssc.similarity import mean_similarity

Arrays = Mapping[str, np.ndarray]
Check = tuple[str, float, float]

GREY_LEVEL = 1.0
FLOAT_LEVELS = 2.0
"""OpenCV's 8-bit weights against unrounded ones: one grey level in most pictures, two now and then."""

FAST_LEVELS = 3.0
MARK_SHARE = 0.0
"""Pixels of a mark that may differ from OpenCV's, as a share of the mark: both draw by it."""

FRACTION = 1e-12
COSINE = 1e-5, 1e-4
"""Absolute and relative tolerance of 100 * cosine in float32."""


def _largest(ours: np.ndarray, expected: np.ndarray) -> float:
    if ours.shape != expected.shape:
        raise ValueError(f"shape {ours.shape} where {expected.shape} is expected")
    return float(np.abs(ours.astype(np.float64) - expected).max(initial=0.0))


def reverse_blur(arrays: Arrays) -> Iterator[Check]:
    """Blurs of every sigma in the names, prompted pictures in the authors' and in RGB order, drawn marks."""
    image_3HW, masks_NHW = to_tensor(arrays["image_rgb"]), arrays["masks"] != 0
    for name, sigma in _with_sigma(arrays, "blur_only"):
        exact_HW3 = to_array(gaussian_blur(image_3HW.flip(0), sigma=sigma, mode="exact"))
        yield f"{name}, exact", _largest(exact_HW3, arrays[name]), FLOAT_LEVELS if "float" in name else GREY_LEVEL
        fast_HW3 = to_array(gaussian_blur(image_3HW.flip(0), sigma=sigma, mode="fast"))
        yield f"{name}, fast", _largest(fast_HW3, arrays[name]), FAST_LEVELS
    for name, sigma in _with_sigma(arrays, "reverse_blur"):
        swapped = visual_prompts.reverse_blur(image_3HW, masks_NHW, sigma=sigma, mode="exact", colours="compat_swapped")
        yield f"{name}, compat", _largest(_last(swapped), arrays[name]), GREY_LEVEL
        fixed = visual_prompts.reverse_blur(image_3HW, masks_NHW, sigma=sigma, mode="exact")
        yield f"{name}, fixed", _largest(_last(fixed), arrays[name][..., ::-1]), GREY_LEVEL
    for name, draw in (
        ("red_ellipse_bgr", visual_prompts.red_ellipse),
        ("rectangle_bgr", visual_prompts.red_rectangle),
    ):
        drawn = _last(draw(image_3HW, masks_NHW, colours="compat_swapped"))
        marked = (arrays[name] != arrays["image_rgb"][..., ::-1]).any(-1).sum()
        yield f"{name}, share of the mark", float((drawn != arrays[name]).any(-1).sum() / max(marked, 1)), MARK_SHARE


def _with_sigma(arrays: Arrays, kind: str) -> Iterator[tuple[str, float]]:
    """Names of one kind of array with the sigma written in them."""
    for name in arrays:
        if hit := re.fullmatch(kind + r"_sigma(\d+(?:\.\d+)?)_.*bgr", name):
            yield name, float(hit[1])


def _last(pictures_N3HW: torch.Tensor) -> np.ndarray:
    return pictures_N3HW.permute(0, 2, 3, 1).numpy()


def select(arrays: Arrays) -> Iterator[Check]:
    """Scores and choices of every case, by the authors' rule."""
    for case in [name.removesuffix("__chosen") for name in arrays if name.endswith("__chosen")]:
        areas_N = arrays[f"{case}__mask_area"].tolist()
        texts_SD = torch.from_numpy(arrays[f"{case}__text_emb"])
        kept_KD = torch.from_numpy(arrays[f"{case}__image_emb_of_kept"])
        expected_K = arrays[f"{case}__similarity_of_kept"]
        scores_K = mean_similarity(texts_SD, kept_KD)
        allowed = COSINE[0] + COSINE[1] * float(np.abs(expected_K).max(initial=0.0))
        yield f"{case}, similarity", _largest(np.array(scores_K), expected_K), allowed
        choice = choose(areas_N, partial(_kept, areas_N, scores_K), rule=COMPAT)
        yield f"{case}, chosen", abs(choice.index - int(arrays[f"{case}__chosen"])), 0.0


def _kept(areas_N: Sequence[int], scores_K: Sequence[float], asked: tuple[int, ...]) -> Sequence[float]:
    """Scores are stored for the kept candidates only, in order."""
    if len(asked) != len(scores_K):
        raise ValueError(f"areas {areas_N} keep candidates {asked}, but {len(scores_K)} have scores")
    return scores_K


def transforms(arrays: Arrays) -> Iterator[Check]:
    """Image and label resizing to every size, with ImageNet statistics."""
    image_3HW, labels_HW = to_tensor(arrays["image_rgb"]), torch.from_numpy(arrays["label_map"])
    levels_311 = 255 * np.array(IMAGENET.std)[:, None, None]
    for name, expected in arrays.items():
        if not re.fullmatch(r"size.+_(tensor|label)", name):
            continue
        height, width = expected.shape[-2:]
        if name.endswith("_tensor"):
            ours = normalise(resize_image(image_3HW, height=height, width=width)).numpy()
            yield f"{name}, grey levels", _largest(ours * levels_311, expected * levels_311), GREY_LEVEL + 1e-3
        else:
            yield name, _largest(resize_labels(labels_HW, height=height, width=width).numpy(), expected), 0.0


def metrics(arrays: Arrays) -> Iterator[Check]:
    """Counts, IoUs and their averages, with and without rows that have no candidate, and the authors' printout."""
    pairs_R2 = np.array([intersection_union(*pair) for pair in zip(arrays["pred"], arrays["gt"], strict=True)])
    shared_R, joined_R = pairs_R2.T
    ious_R = row_ious(shared_R, joined_R)
    yield "inter", _largest(shared_R, arrays["inter"]), 0.0
    yield "union", _largest(joined_R, arrays["union"]), 0.0
    yield "iou", _largest(ious_R, arrays["iou"]), FRACTION
    yield "mIoU", abs(mean_iou(ious_R) - float(arrays["mIoU"])), FRACTION
    yield "oIoU", abs(overall_iou(shared_R, joined_R) - float(arrays["oIoU"])), FRACTION
    percent = np.array([100 * precision_at(ious_R, threshold) for threshold in arrays["P_thresholds"]])
    yield "P_at, percent", _largest(percent, arrays["P_at"]), 100 * FRACTION
    if "no_candidate" in arrays:
        yield from _stage2(arrays, shared_R, joined_R)
    if "authors_printed" in arrays:
        yield from _printed(str(arrays["authors_printed"]), ious_R, overall_iou(shared_R, joined_R))


def _stage2(arrays: Arrays, shared_R: np.ndarray, joined_R: np.ndarray) -> Iterator[Check]:
    """Rows without a candidate have an empty mask instead of their prediction."""
    candidate_R = ~arrays["no_candidate"]
    truth_R = (arrays["gt"] != 0).sum((1, 2))
    shared_R, joined_R = np.where(candidate_R, shared_R, 0), np.where(candidate_R, joined_R, truth_R)
    compat = ScoreState(empties="compat").update(shared_R, joined_R, has_candidate_R=candidate_R).compute()
    fixed = ScoreState().update(shared_R, joined_R, has_candidate_R=candidate_R).compute()
    yield "stage2_mIoU", abs(compat.miou - float(arrays["stage2_mIoU"])), FRACTION
    yield "stage2_mIoU, fixed", abs(fixed.miou - float(arrays["stage2_mIoU"])), FRACTION
    yield "stage2_oIoU_reference", abs(compat.oiou - float(arrays["stage2_oIoU_reference"])), FRACTION
    yield "stage2_oIoU_counting_empty", abs(fixed.oiou - float(arrays["stage2_oIoU_counting_empty"])), FRACTION


def _printed(text: str, ious_R: np.ndarray, oiou: float) -> Iterator[Check]:
    """The authors' evaluator printed percent with two decimals."""
    ours = {"Mean IoU is": mean_iou(ious_R), "overall IoU =": oiou}
    ours |= {f"precision@{t} =": precision_at(ious_R, float(t)) for t in re.findall(r"precision@([\d.]+)", text)}
    for label, value in ours.items():
        if hit := re.search(re.escape(label) + r"\s*([\d.]+)", text):
            yield f"printed {label}", abs(100 * value - float(hit[1])), 0.005 + 1e-9
