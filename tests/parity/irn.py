"""Reference vectors of TRIS's refinement: CRF seeds, pair geometry, training losses, random walk, pseudo-labels.

Tolerances are those that the vectors' README suggests; sizes, radii and cases are read off the arrays.
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from ops.tris.affinity_loss import affinity_losses, label_pairs
from ops.tris.crf import THRESHOLDS, mean_field, seed_labels
from ops.tris.instance_clusters import centroids, instances
from ops.tris.pixel_pairs import affinities, partners, paths, sources
from ops.tris.pseudo_labels import divided_by_maximum, refined_masks, resized_to_grid, upsampled
from ops.tris.random_walk import affinity, random_walk, transition

Arrays = Mapping[str, np.ndarray]
Result = tuple[str, float, float]
"""Name, largest error, tolerance."""

FLOAT32 = 1e-4
FLOAT64 = 1e-9
EXACT = 0.0
CRF_PIXELS = 0.01
PADDING = 999


def compare(name: str, ours: Tensor | np.ndarray, theirs: np.ndarray, tolerance: float) -> Result:
    """The largest difference of two arrays of one shape; infinite where the shapes differ."""
    ours = np.asarray(ours)
    if ours.shape != theirs.shape:
        return f"{name}: shape {ours.shape} instead of {theirs.shape}", np.inf, tolerance
    return name, float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0)), tolerance


def _unequal(name: str, ours: Tensor, theirs: np.ndarray) -> Result:
    """The share of pixels that differ, of which a hundredth may."""
    return name, float((ours.numpy().astype(np.int64) != theirs.astype(np.int64)).mean()), CRF_PIXELS


def irn_crf_seeds(arrays: Arrays) -> Iterator[Result]:
    """Thresholds, both clean-ups and the labels of every picture."""
    for case in [name.removesuffix("_image") for name in arrays if name.endswith("_image")]:
        image_3HW = torch.from_numpy(arrays[f"{case}_image"]).permute(2, 0, 1)
        map_HW = torch.from_numpy(arrays[f"{case}_cam"])
        for kind, threshold in (("fg", THRESHOLDS.foreground), ("bg", THRESHOLDS.background)):
            yield compare(f"{case} {kind} raw", map_HW > threshold, arrays[f"{case}_{kind}_raw"], EXACT)
            start_1HW = torch.from_numpy(arrays[f"{case}_{kind}_raw"]).bool()[None]
            yield _unequal(f"{case} {kind} crf", mean_field(image_3HW, start_1HW)[0], arrays[f"{case}_{kind}_crf"])
        yield _unequal(f"{case} label", seed_labels(image_3HW, map_HW[None])[0], arrays[f"{case}_ir_label"])


def irn_paths(arrays: Arrays) -> Iterator[Result]:
    """Paths of every radius, and sources and partners on squares of every size."""
    for case in [name.removesuffix("_path_len") for name in arrays if name.endswith("_path_len")]:
        ours = paths(radius := int(case.removeprefix("r")))
        lengths = np.array([len(path) for path in ours])
        padded = np.full((len(ours), lengths.max(), 2), PADDING)
        for row, path in zip(padded, ours, strict=True):
            row[: len(path)] = path
        yield compare(f"{case} length", lengths, arrays[f"{case}_path_len"], EXACT)
        yield compare(f"{case} points", padded, arrays[f"{case}_paths_dydx_pad999"], EXACT)
        yield compare(f"{case} far end", padded[:, 0], arrays[f"{case}_dst_dydx"], EXACT)
        yield compare(f"{case} reach", np.array(radius - 1), arrays[f"{case}_radius_floor"], EXACT)
        yield from _indices(case, radius, arrays)


def _indices(case: str, radius: int, arrays: Arrays) -> Iterator[Result]:
    for name, theirs in arrays.items():
        if found := re.fullmatch(rf"{case}_src_flat_index_size(\d+)", name):
            side = int(found[1])
            yield compare(name, sources(torch.arange(side * side).view(side, side), radius), theirs, EXACT)
        elif found := re.fullmatch(rf"{case}_dst_flat_index_first(\d+)_size(\d+)", name):
            count, side = int(found[1]), int(found[2])
            there_OS = partners(torch.arange(side * side).view(side, side), radius)
            yield compare(name, there_OS[:count], theirs, EXACT)


def irn_training_losses(arrays: Arrays) -> Iterator[Result]:
    """Pair labels, affinities and the losses of the batch."""
    radius, labels_HW = int(arrays["radius"]), torch.from_numpy(arrays["label_map"])
    pairs = label_pairs(labels_HW, radius=radius)
    yield compare("background pairs", pairs.background, arrays["bg_pos_label"], EXACT)
    yield compare("foreground pairs", pairs.foreground, arrays["fg_pos_label"], EXACT)
    yield compare("different pairs", pairs.different, arrays["neg_label"], EXACT)
    logits_BHW = torch.from_numpy(arrays["edge_logits"])[:, 0]
    yield compare("affinity", affinities(logits_BHW.sigmoid(), radius), arrays["affinity"], FLOAT32)
    losses = affinity_losses(
        logits_BHW, torch.from_numpy(arrays["displacement"]), labels_HW.expand_as(logits_BHW), radius=radius
    )
    yield compare("positive", losses.same_label, arrays["loss_pos"], FLOAT32)
    yield compare("negative", losses.different_label, arrays["loss_neg"], FLOAT32)
    yield compare("foreground displacement", losses.displacement_foreground, arrays["loss_dp_fg"], FLOAT32)
    yield compare("background displacement", losses.displacement_background, arrays["loss_dp_bg"], FLOAT32)
    yield compare("total", losses.total, arrays["total"], FLOAT32)


def irn_random_walk(arrays: Arrays) -> Iterator[Result]:
    """Affinity, one step, all steps, and the walk in single and double precision."""
    radius, beta, doublings = (int(arrays[name]) for name in ("radius", "beta", "exp_times"))
    edge_HW, maps_KHW = torch.from_numpy(arrays["edge"]), torch.from_numpy(arrays["x"])
    yield compare("affinity", affinity(edge_HW, radius=radius), arrays["affinity"], FLOAT32)
    step_nn = transition(edge_HW, radius=radius, beta=beta).to_dense().T
    yield compare("one step", step_nn, arrays["transition_1step"], FLOAT32)
    many_nn = torch.linalg.matrix_power(step_nn.double(), 2**doublings)
    yield compare("all steps", many_nn, arrays["transition_256"], FLOAT32)
    single = random_walk(maps_KHW, edge_HW, radius=radius, beta=beta, doublings=doublings)
    yield compare("walk", single, arrays["rw"], FLOAT32)
    double = random_walk(*_doubled(maps_KHW, edge_HW), radius=radius, beta=beta, doublings=doublings)
    yield compare("walk in float64", double, arrays["rw_iterated_float64"], FLOAT64)


def _doubled(maps_KHW: Tensor, edge_HW: Tensor) -> tuple[Tensor, Tensor]:
    """Maps and edges in double precision whose 1 - edge and start are what the reference rounded to float32."""
    kept_HW = 1 - edge_HW
    starts_KHW = (maps_KHW * kept_HW).double()
    return starts_KHW / kept_HW.double().clamp(min=1e-30), 1 - kept_HW.double()


def irn_pseudo_label(arrays: Arrays) -> Iterator[Result]:
    """Every step from displacement to pseudo-label, and the same without instances."""
    map_1HW, edge_hw = torch.from_numpy(arrays["cam"])[None], torch.from_numpy(arrays["edge"])
    displacement_2hw, threshold = torch.from_numpy(arrays["displacement"]), float(arrays["bg_threshold"])
    parts_Ihw = instances(displacement_2hw)
    yield compare("size", np.array(map_1HW.shape[1:]), arrays["orig_hw"], EXACT)
    yield compare("centroids", centroids(displacement_2hw), arrays["centroids"], EXACT)
    yield compare("instances", parts_Ihw, arrays["instance_map"], EXACT)
    starts_Ihw = resized_to_grid(map_1HW) * parts_Ihw
    yield compare("instances of the map", starts_Ihw, arrays["instance_cam"], FLOAT32)
    walked_Ihw = random_walk(starts_Ihw, edge_hw)
    yield compare("walk", walked_Ihw, arrays["rw"], FLOAT32)
    shares_IHW = _shares(walked_Ihw, map_1HW)
    yield compare("shares", shares_IHW, arrays["rw_up_norm"], FLOAT32)
    plane_1HW = torch.full_like(map_1HW, threshold)
    yield compare("winner", torch.cat([plane_1HW, shares_IHW]).argmax(0), arrays["argmax_label"], EXACT)
    refined_1HW = refined_masks(map_1HW, edge_hw, displacement_2hw, threshold=threshold)
    yield compare("pseudo-label", refined_1HW[0], arrays["pseudo_label"], EXACT)
    whole_HW = _shares(random_walk(resized_to_grid(map_1HW), edge_hw), map_1HW)[0]
    yield compare("shares of one instance", whole_HW, arrays["rw_up_norm_single_instance"], FLOAT32)
    refined_1HW = refined_masks(map_1HW, edge_hw, torch.zeros_like(displacement_2hw), threshold=threshold)
    yield compare("pseudo-label of one instance", refined_1HW[0], arrays["pseudo_single"], EXACT)


def _shares(walked_Khw: Tensor, map_1HW: Tensor) -> Tensor:
    """One object's instances at the picture's size as shares of their common maximum, (K, H, W)."""
    large_KHW = upsampled(walked_Khw, map_1HW.shape[1:])
    return divided_by_maximum(large_KHW.flatten(1)[None])[0].view(large_KHW.shape)
