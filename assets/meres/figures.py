"""Attention of MERES to an expression, side by side, and the plane in which its tokens and pixels lie."""

from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from assets.data.images import Mask, Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, scored_referents
from assets.framework.work import Work
from assets.meres.stages import MERES
from assets.meres.stages import SEGMENTERS as MERES_SEGMENTERS
from assets.reports.html import masked
from assets.segmenters.load import read_segmenter
from assets.segmenters.tables import PREDICTIONS
from ops.images import resize_image, to_tensor
from ops.meres.attention_maps import AttentionMaps, attention_maps, principal_plane
from ops.meres.model import Meres
from ops.visualisation import Panel, heat_map, side_by_side, stacked

HEIGHT = 220
"""Of a panel, pixels."""
INSIDE = 0.5
"""A pixel of the coarsest map lies in the referent if it has this share of what the fullest pixel has of it."""


class MeresPictures:
    """Draws referents by their first expression."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.truths = ground_truth_of(work.input(GROUND_TRUTH))
        self.model, self.tokenizer = read_segmenter(work.input(MERES), work.runtime)
        predictions = work.input(MERES_SEGMENTERS[0].predictions)
        self.predicted = {row.sent_id: row.mask for row in PREDICTIONS.read(predictions)}

    def scored(self) -> list[Referent]:
        """Referents of the scored splits with a mask."""
        return [referent for referent in scored_referents(self.work) if referent.sent_ids[0] in self.predicted]

    def draw(self, referent: Referent, pixels: Pixels) -> Pixels:
        """Two rows: the attention of the parts; mask, ground truth and the plane."""
        attention = self._attention(referent, pixels)
        row = self.truths.get(referent.object_id)
        truth = row.mask.decode() if row else None
        upper: list[Panel] = [
            ("image", pixels),
            ("words", _heat(pixels, attention.words_Thw.mean(0))),
            ("visual expressions", _heat(pixels, attention.visual_Rhw.mean(0))),
            ("share of visual expressions", _heat(pixels, attention.share_HW, relative=False)),
        ]
        lower: list[Panel] = [
            ("MERES", masked(pixels, self.predicted[referent.sent_ids[0]])),
            ("ground truth", masked(pixels, truth)),
            ("tokens and pixels", _plane(attention, truth)),
        ]
        caption = f'"{referent.expressions[0]}"  -  {referent.split}'
        return stacked([side_by_side(upper, height=HEIGHT), side_by_side(lower, height=HEIGHT, caption=caption)])

    def _attention(self, referent: Referent, pixels: Pixels) -> AttentionMaps:
        assert isinstance(self.model, Meres)
        size = self.model.config.image_size
        ids_1T, mask_1T = self.tokenizer.encode(referent.expressions[:1])
        square = resize_image(to_tensor(pixels), height=size, width=size)
        return attention_maps(self.model, square, ids_1T[0], mask_1T[0])


def _heat(pixels: Pixels, strength_hw: Tensor, *, relative: bool = True) -> Pixels:
    """Strengths over the image, as they are or as shares of the strongest."""
    size = (pixels.shape[0], pixels.shape[1])
    large_HW = interpolate(strength_hw[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return heat_map(pixels, (large_HW / large_HW.max() if relative else large_HW).numpy())


def inside(truth_HW: Mask, size: tuple[int, int]) -> Mask:
    """Which pixels (h * w) of the coarsest map lie in the ground-truth mask."""
    share_hw = interpolate(torch.from_numpy(truth_HW)[None, None].float(), size, mode="area")[0, 0]
    return (share_hw > 0).flatten().numpy() & (share_hw >= INSIDE * share_hw.max()).flatten().numpy()


def _plane(attention: AttentionMaps, truth_HW: Mask | None) -> Pixels:
    """Principal plane of the pixels, words and visual expressions of one expression."""
    parts = (attention.pixels_ND, attention.words_TD, attention.visual_RD)
    planes = principal_plane(torch.cat(parts)).split([len(part) for part in parts])
    pixels_N2, words_T2, visual_R2 = (plane_P2.numpy() for plane_P2 in planes)
    height, width = attention.words_Thw.shape[1:]
    hit_N = np.zeros(len(pixels_N2), bool) if truth_HW is None else inside(truth_HW, (height, width))
    figure = Figure(figsize=(HEIGHT * 2.2 / 100, HEIGHT / 100), dpi=100, layout="constrained")
    axes = figure.add_subplot(xticks=[], yticks=[])
    kinds: tuple[tuple[np.ndarray, str, dict[str, Any]], ...] = (
        (pixels_N2[~hit_N], "pixels outside", {"s": 8, "c": "#b8b8c0"}),
        (pixels_N2[hit_N], "pixels of the referent", {"s": 14, "c": "#2a9d54"}),
        (words_T2, "words", {"s": 24, "c": "#1d78dc", "marker": "s"}),
        (visual_R2, "visual expressions", {"s": 28, "c": "#e63946", "marker": "^"}),
    )
    for points_P2, name, style in kinds:
        axes.scatter(points_P2[:, 0], points_P2[:, 1], label=name, **style)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
