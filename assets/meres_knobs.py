"""Knobs of MERES: what it learns from, and the switches of its ablations (MERES spec 9)."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from assets.knobs import CorrectKnobs, DrawnKnobs, Knobs

Labels = Literal["mask_choices", "corrected", "refined_labels", "ground_truth"]
SOURCES: Mapping[Labels, tuple[str, ...]] = {
    "mask_choices": ("mask_choices",),
    "corrected": ("corrected_labels",),
    "refined_labels": ("refined_labels",),
    "ground_truth": ("ground_truth",),
}
"""The stages that each source of labels reads. Another source is a name in `Labels`, a row here, and a row of
`assets.meres.OFFERS`."""


class MeresKnobs(DrawnKnobs):
    """MERES from pretrained towers; the defaults are the paper's (MERES spec 7), but for the source of labels."""

    later = ("contrast_weight", "pool_temperature", "contrast_at")

    labels: Labels = "mask_choices"
    """S2; the last matched candidates of S+S+C; TRIS's pseudo-labels; or drawn masks as in the paper, which make it a
    fully supervised model."""
    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 3e-5
    guidance: Literal["le", "le_enh", "ve", "le_enh+pixels", "le_enh+ve"] = "le_enh+ve"
    """What guides the decoder (Table 3)."""
    selection: Literal["topk", "sigmoid", "none"] = "topk"
    """Which pixels a token keeps (Table 4a)."""
    selected_percent: int = Field(default=30, ge=1, le=100)
    """k (Figure 5)."""
    cues: Literal["both", "global", "local"] = "both"
    """Which tokens become visual expressions (Table 4b)."""
    refine: bool = True
    """Semantic refinement (Table 4c)."""
    relate: bool = True
    """Relationship modelling (Table 4d)."""
    contrastive: bool = True
    """Pixel contrastive loss (Table 4e)."""
    contrast_weight: float = Field(default=1.0, gt=0)
    """w_c, beside 2 for the masks; the paper gives no weights (spec 6)."""
    norm_mask: bool = True
    """Whether only kept pixels enter the softmax of Eq. 6 (Table 4f)."""
    pool_scale: Literal["mean", "paper"] = "mean"
    """`paper` divides a visual expression by the number of its pixels once more (Eq. 7, spec 4.4)."""

    pool_temperature: Literal["one", "learnt"] = "one"
    """`learnt` divides similarities of Eq. 6 by the temperature of the contrastive loss (spec 4.4)."""
    contrast_at: Literal["image", "cells"] = "image"
    """Where the contrastive loss compares: at the size of the image, or at the coarsest pixels (spec 6)."""

    @model_validator(mode="after")
    def _only_drawn_masks_know_classes(self) -> Self:
        if self.classes == "seen" and self.labels != "ground_truth":
            raise ValueError("classes: seen needs labels: ground_truth, the only labels whose classes are known")
        return self

    def extra_needs(self) -> tuple[str, ...]:
        """What the source of labels reads, and ground truth where it picks the epoch."""
        return tuple(dict.fromkeys((*SOURCES[self.labels], *super().extra_needs())))

    def unread(self) -> tuple[str, ...]:
        """Of knobs younger than artifacts, what only visual expressions have."""
        of_expressions = () if "ve" in self.guidance.split("+") else ("pool_temperature", "contrast_at")
        return (*super().unread(), *of_expressions)

    def switches(self) -> dict[str, Any]:
        """The knobs that are fields of `ops.meres.config.MeresConfig`, which says where each comes from."""
        own = MeresKnobs.model_fields.keys() - DrawnKnobs.model_fields.keys() - {"labels", "contrast_weight"}
        turned = self.model_dump(include=own)
        return {**super().switches(), "select": turned.pop("selection"), **turned}


class MeresMatchedKnobs(CorrectKnobs):
    """MERES goes on over all candidates, as S+S+C does from ZSBootstrap."""

    contrast_weight: float = Field(default=1.0, gt=0)
    """As in `MeresKnobs`."""


class MeresReportKnobs(Knobs):
    """What MERES's page shows."""

    examples: int = Field(default=6, ge=1)
    """Expressions of the scored splits."""
    beside: tuple[Literal["corrected", "supervised"], ...] = ("supervised",)
    """LAVTs whose scores and curves are shown, too."""

    def extra_needs(self) -> tuple[str, ...]:
        """Those scores and curves."""
        return tuple(f"{model}_{judged}" for model in self.beside for judged in ("scores", "curve"))
