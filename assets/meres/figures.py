"""Attention of MERES to an expression, side by side, and the plane in which its tokens and pixels lie."""

import numpy as np
import torch
from markupsafe import Markup
from torch import Tensor
from torch.nn.functional import interpolate

from assets.data.images import Mask, Pixels
from assets.data.stages import GROUND_TRUTH
from assets.data.tables import Referent, ground_truth_of, scored_referents
from assets.framework.work import Work
from assets.meres.stages import MERES
from assets.meres.stages import SEGMENTERS as MERES_SEGMENTERS
from assets.reports.figures import PanelFigure, masked
from assets.reports.gallery.measures import disagreement, overlaps
from assets.reports.plots import PointGroup, scatter_plot
from assets.segmenters.load import read_segmenter
from assets.segmenters.tables import PREDICTIONS
from ops.images import resize_image, to_tensor
from ops.meres.attention_maps import AttentionMaps, attention_maps, has_attention_maps, principal_plane
from ops.meres.model import Meres
from ops.visualisation import Panel, heat_map
from storage.masks import Rle

SAID = 3
"""Expressions of one referent that are shown."""
INSIDE = 0.5
"""A pixel of that map lies in the referent if it has this share of what the fullest pixel has of it."""


class MeresFigures:
    """Draws referents, by their first expression or by several."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.truths = ground_truth_of(work.input(GROUND_TRUTH))
        self.model, self.tokenizer = read_segmenter(work.input(MERES), work.runtime)
        assert isinstance(self.model, Meres)
        self.shows_attention = has_attention_maps(self.model.config)
        predictions = work.input(MERES_SEGMENTERS[0].predictions)
        self.predicted = {row.sent_id: row.mask for row in PREDICTIONS.rows(predictions)}

    def scored(self) -> list[Referent]:
        """Referents of the scored splits with a mask."""
        return [referent for referent in scored_referents(self.work) if referent.sent_ids[0] in self.predicted]

    def draw(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """Mask and ground truth, and, if the model has any, the attention of the parts and the plane."""
        truth = self._truth(referent)
        attention = self._attention(referent.expressions[0], pixels) if self.shows_attention else None
        return PanelFigure(
            panels=(
                ("image", pixels),
                *(_attention_panels(attention, pixels) if attention else ()),
                ("MERES", masked(pixels, self.predicted[referent.sent_ids[0]])),
                ("ground truth", masked(pixels, truth)),
            ),
            plots=(("tokens and pixels", _plane(attention, truth)),) if attention else (),
            subject=f'"{referent.expressions[0]}"',
            caption=f'"{referent.expressions[0]}"  -  {referent.split}',
        )

    def in_agreement(self) -> list[Referent]:
        """Scored referents with several different expressions, those first whose masks differ most."""
        several = [one for one in self.scored() if len(set(one.expressions)) > 1 and len(self._masks(one)) > 1]
        return sorted(several, key=lambda one: -(disagreement(overlaps(self._masks(one))) or 0))

    def draw_several(self, referent: Referent, pixels: Pixels) -> PanelFigure:
        """Attention of the words above the mask, for the first expressions of a referent (MERES Figs. 6 and 13).

        Of a model without such attention the masks alone.
        """
        row = self.truths.get(referent.object_id)
        attention: list[Panel] = [("image", pixels)]
        masks: list[Panel] = [("ground truth", masked(pixels, row.mask if row else None))]
        said = {text: sent_id for sent_id, text in zip(referent.sent_ids, referent.expressions, strict=True)}
        for text, sent_id in list(said.items())[:SAID]:
            mask = self.predicted.get(sent_id)
            iou = f", IoU {100 * mask.iou(row.mask):.1f} %" if mask and row else ""
            if self.shows_attention:
                attention.append((f'words: "{text}"', _heat(pixels, self._attention(text, pixels).words_Thw.mean(0))))
            masks.append((f'MERES{iou}: "{text}"', masked(pixels, mask)))
        alike = 100 * (1 - (disagreement(overlaps(self._masks(referent))) or 0))
        return PanelFigure(
            panels=(*attention, *masks),
            across=len(masks) if self.shows_attention else 0,
            subject=" | ".join(f'"{text}"' for text in list(said)[:SAID]),
            caption=f"{len(referent.expressions)} expressions, IoU between their masks {alike:.1f} %"
            f"  -  {referent.split}",
        )

    def _masks(self, referent: Referent) -> list[Rle | None]:
        """Of its expressions; None is a mask without a pixel."""
        masks = [self.predicted[sent_id] for sent_id in referent.sent_ids if sent_id in self.predicted]
        return [mask if mask.area else None for mask in masks]

    def _truth(self, referent: Referent) -> Mask | None:
        row = self.truths.get(referent.object_id)
        return row.mask.decode() if row else None

    def _attention(self, expression: str, pixels: Pixels) -> AttentionMaps:
        assert isinstance(self.model, Meres)
        size = self.model.config.image_size
        ids_1T, mask_1T = self.tokenizer.encode([expression])
        square = resize_image(to_tensor(pixels), height=size, width=size)
        return attention_maps(self.model, square, ids_1T[0], mask_1T[0])


def _attention_panels(attention: AttentionMaps, pixels: Pixels) -> tuple[Panel, ...]:
    return (
        ("words", _heat(pixels, attention.words_Thw.mean(0))),
        ("visual expressions", _heat(pixels, attention.visual_Rhw.mean(0))),
        ("share of visual expressions", _heat(pixels, attention.share_HW, relative=False)),
    )


def _heat(pixels: Pixels, strength_hw: Tensor, *, relative: bool = True) -> Pixels:
    """Strengths over the image, as they are or as shares of the strongest."""
    size = (pixels.shape[0], pixels.shape[1])
    large_HW = interpolate(strength_hw[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return heat_map(pixels, (large_HW / large_HW.max() if relative else large_HW).numpy())


def inside(truth_HW: Mask, size: tuple[int, int]) -> Mask:
    """Which pixels (h * w) of the map that words look at lie in the ground-truth mask."""
    share_hw = interpolate(torch.from_numpy(truth_HW)[None, None].float(), size, mode="area")[0, 0]
    return (share_hw > 0).flatten().numpy() & (share_hw >= INSIDE * share_hw.max()).flatten().numpy()


def _plane(attention: AttentionMaps, truth_HW: Mask | None) -> Markup:
    """Principal plane of the pixels, words and visual expressions of one expression."""
    parts = (attention.pixels_ND, attention.words_TD, attention.visual_RD)
    planes = principal_plane(torch.cat(parts)).split([len(part) for part in parts])
    pixels_N2, words_T2, visual_R2 = (plane_P2.numpy() for plane_P2 in planes)
    height, width = attention.words_Thw.shape[1:]
    hit_N = np.zeros(len(pixels_N2), bool) if truth_HW is None else inside(truth_HW, (height, width))
    groups = (
        PointGroup(name="pixels outside", points_P2=pixels_N2[~hit_N], size=8, colour="#9a9aa4"),
        PointGroup(name="pixels of the referent", points_P2=pixels_N2[hit_N], size=14, colour="#2a9d54"),
        PointGroup(name="words", points_P2=words_T2, size=24, colour="#1d78dc", marker="s"),
        PointGroup(name="visual expressions", points_P2=visual_R2, size=28, colour="#e63946", marker="^"),
    )
    return scatter_plot(groups, alt="tokens and pixels in the plane in which they differ most")
