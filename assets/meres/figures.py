"""Where MERES looks for an expression, side by side, and the plane in which its tokens and pixels lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assets.data.tables import Mask, Pixels, Referent, referents_of
from assets.evaluation.iou_scores import truths_of
from assets.framework.work import Work
from assets.reports.html import masked, row_mask
from assets.segmenters.load import read_segmenter

if TYPE_CHECKING:
    from torch import Tensor

    from ops.meres.attention_maps import Looks
    from ops.visualisation import Panel

HEIGHT = 220
"""Of a panel, pixels."""
INSIDE = 0.5
"""A pixel of the coarsest map lies in the object if it has this share of what the fullest pixel has of it."""


class MeresPictures:
    """Draws objects by their first expression."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.truths = truths_of(work.inputs["ground_truth"])
        self.model, self.tokenizer = read_segmenter(work.inputs["meres"], work.runtime)
        self.predicted = {row["sent_id"]: row for row in work.inputs["meres_predictions"].table("masks").to_pylist()}

    def scored(self) -> list[Referent]:
        """Objects of the scored splits with a mask."""
        objects = referents_of(self.work.inputs["references"], splits=self.work.instance.source.evaluate)
        return [one for one in objects if one.sent_ids[0] in self.predicted]

    def draw(self, one: Referent, pixels: Pixels) -> Pixels:
        """Two rows: what looks where; mask, drawn mask and the plane."""
        from ops.visualisation import side_by_side, stacked

        looks = self._look(one, pixels)
        truth = self.truths[one.object_id].mask() if one.object_id in self.truths else None
        upper: list[Panel] = [
            ("image", pixels),
            ("words", _heat(pixels, looks.words_Thw.mean(0))),
            ("visual expressions", _heat(pixels, looks.visual_Rhw.mean(0))),
            ("share of visual expressions", _heat(pixels, looks.share_HW, relative=False)),
        ]
        lower: list[Panel] = [
            ("MERES", masked(pixels, row_mask(self.predicted[one.sent_ids[0]]))),
            ("ground truth", masked(pixels, truth)),
            ("tokens and pixels", _plane(looks, truth)),
        ]
        caption = f'"{one.sentences[0]}"  -  {one.split}'
        return stacked([side_by_side(upper, height=HEIGHT), side_by_side(lower, height=HEIGHT, caption=caption)])

    def _look(self, one: Referent, pixels: Pixels) -> Looks:
        from ops.images import resize_image, to_tensor
        from ops.meres.attention_maps import look
        from ops.meres.model import Meres

        assert isinstance(self.model, Meres)
        size = self.model.config.image_size
        ids_1T, mask_1T = self.tokenizer.encode(one.sentences[:1])
        square = resize_image(to_tensor(pixels), height=size, width=size)
        return look(self.model, square, ids_1T[0], mask_1T[0])


def _heat(pixels: Pixels, strength_hw: Tensor, *, relative: bool = True) -> Pixels:
    """Strengths over the picture, as they are or as shares of the strongest."""
    from torch.nn.functional import interpolate

    from ops.visualisation import heat

    large = interpolate(strength_hw[None, None], pixels.shape[:2], mode="bilinear", align_corners=False)[0, 0]
    return heat(pixels, (large / large.max() if relative else large).numpy())


def inside(truth: Mask, size: tuple[int, int]) -> Mask:
    """Which pixels (h * w) of the coarsest map lie in the drawn mask."""
    import torch
    from torch.nn.functional import interpolate

    share_hw = interpolate(torch.from_numpy(truth)[None, None].float(), size, mode="area")[0, 0]
    return (share_hw > 0).flatten().numpy() & (share_hw >= INSIDE * share_hw.max()).flatten().numpy()


def _plane(looks: Looks, truth: Mask | None) -> Pixels:
    """Principal plane of the pixels, words and visual expressions of one sentence."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ops.meres.attention_maps import principal_plane

    parts = (looks.pixels_ND, looks.words_TD, looks.visual_RD)
    pixels, words, visual = (part.numpy() for part in principal_plane(torch.cat(parts)).split([len(p) for p in parts]))
    height, width = looks.words_Thw.shape[1:]
    hit = np.zeros(len(pixels), bool) if truth is None else inside(truth, (height, width))
    figure = Figure(figsize=(HEIGHT * 2.2 / 100, HEIGHT / 100), dpi=100, layout="constrained")
    axes = figure.add_subplot(xticks=[], yticks=[])
    kinds: tuple[tuple[np.ndarray, str, dict[str, Any]], ...] = (
        (pixels[~hit], "pixels outside", {"s": 8, "c": "#b8b8c0"}),
        (pixels[hit], "pixels of the object", {"s": 14, "c": "#2a9d54"}),
        (words, "words", {"s": 24, "c": "#1d78dc", "marker": "s"}),
        (visual, "visual expressions", {"s": 28, "c": "#e63946", "marker": "^"}),
    )
    for points_P2, name, look in kinds:
        axes.scatter(points_P2[:, 0], points_P2[:, 1], label=name, **look)
    figure.legend(loc="outside right upper", fontsize=7, frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
