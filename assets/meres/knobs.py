"""Knobs of MERES: what it learns from, and the switches of its ablations (MERES spec 9)."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from assets.framework.knob_types import BatchSize, Channels, Epochs, Examples, Rate
from assets.framework.knobs import Knobs
from assets.segmenters.knobs import GroundTruthTrainingKnobs
from assets.ssc.knobs import MatchingKnobs

Labels = Literal["mask_choices", "corrected", "refined_labels", "ground_truth"]


class MeresLossKnobs(Knobs):
    """What both trainings of MERES know of its loss."""

    contrast_weight: float = Field(default=1.0, gt=0, le=1000)
    """w_c, beside 2 for the masks; the paper gives no weights (spec 6)."""
    contrast_over: Literal["pixels", "halves"] = "pixels"
    """What the contrastive loss is a mean over: all pixels, or those inside and outside of the mask, half and half."""
    mask_loss: Literal["ce2", "bce1"] = "ce2"
    """Two weighted channels, or one (spec 6)."""

    def loss_terms(self) -> dict[str, Any]:
        """The fields of `ops.meres.contrastive_loss.MeresLoss` that they set."""
        return self.model_dump(include=set(MeresLossKnobs.model_fields))


class MeresKnobs(MeresLossKnobs, GroundTruthTrainingKnobs):
    """MERES from pretrained towers; the defaults are the paper's (MERES spec 7), but for labels and the epoch kept.

    A size that is none is that of `ops.meres.config`.
    """

    later = (
        *("contrast_weight", "pool_temperature", "contrast_at", "contrast_over", "mask_loss", "max_tokens"),
        *("enhancement_layers", "enhancement_levels", "positions", "joint_width", "early_fusion", "looking_stages"),
        *("contrasted_queries", "word_stride"),
    )

    labels: Labels = "mask_choices"
    """S2; the last matched candidates of S+S+C; TRIS's pseudo-labels; or ground-truth masks as in the paper, which
    make it a fully supervised model."""
    epochs: Epochs = 40
    batch_size: BatchSize = 16
    learning_rate: Rate = 3e-5
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
    norm_mask: bool = True
    """Whether only kept pixels enter the softmax of Eq. 6 (Table 4f)."""
    pool_scale: Literal["mean", "paper"] = "mean"
    """`paper` divides a visual expression by the number of its pixels once more (Eq. 7, spec 4.4)."""

    pool_temperature: Literal["one", "learnt"] = "one"
    """`learnt` divides similarities of Eq. 6 by the temperature of the contrastive loss (spec 4.4)."""
    contrast_at: Literal["image", "cells"] = "image"
    """Where the contrastive loss compares: at the size of the image, or at the pixels of `word_stride` (spec 6)."""
    early_fusion: Literal["none", "pwam"] = "none"
    """Whether the backbone is conditioned on the expression as LAVT's is (spec 3.1)."""
    max_tokens: int | None = Field(default=None, ge=3, le=512)
    """T, tokens that BERT's output keeps; CLIP's text tower keeps 20 (spec 3.2)."""
    enhancement_layers: int = Field(default=2, ge=1, le=4)
    """Layers in which words look at pixels (spec 3.3; the paper names no number)."""
    enhancement_levels: Literal["coarsest", "finer"] = "coarsest"
    """Where those layers look: at the map of `word_stride`, or each before the last at a finer one (spec 3.3)."""
    word_stride: Literal[32, 16, 8] = 32
    """Stride in pixels of the map that words look at and select from: the coarsest as in the paper, or a finer one. At
    112 pixels these have 16, 49 and 196 cells, where the paper has 225."""
    positions: Literal["sine", "none"] = "sine"
    """What is added to the pixels as keys (spec 3.3)."""
    joint_width: Channels | None = None
    """E, where words and pixels are compared (spec 4.2)."""
    looking_stages: Annotated[tuple[Literal[1, 2, 3, 4], ...], Field(min_length=1)] = (1, 2, 3, 4)
    """Stages of the decoder that look at the guidance, 1 the finest (spec 5)."""
    contrasted_queries: bool | None = None
    """Whether the decoder's pixels are instance-normalised before they look, as LAVT's are; the small size needs it."""

    @model_validator(mode="after")
    def _seen_classes_need_ground_truth(self) -> Self:
        if self.classes == "seen" and self.labels != "ground_truth":
            raise ValueError("classes: seen needs labels: ground_truth, the only labels whose classes are known")
        return self

    @model_validator(mode="after")
    def _has_a_map_for_each_layer(self) -> Self:
        layers = {32: 4, 16: 3, 8: 2}[self.word_stride]
        if self.enhancement_levels == "finer" and self.enhancement_layers > layers:
            raise ValueError(f"enhancement_levels: finer has {layers} maps from word_stride: {self.word_stride} on")
        return self

    def unread(self) -> tuple[str, ...]:
        """Of knobs younger than artifacts, those of parts that do not exist."""
        kinds = self.guidance.split("+")
        of_expressions = () if "ve" in kinds else ("pool_temperature", "contrast_at", "contrast_over", "joint_width")
        looking = ("enhancement_layers", "enhancement_levels", "word_stride", "positions")
        of_enhancement = looking if kinds == ["le"] else ()
        of_bert = ("max_tokens",) if self.text == "clip" else ()
        return (*super().unread(), *of_expressions, *of_enhancement, *of_bert)

    def switches(self) -> dict[str, Any]:
        """The knobs that are fields of `ops.meres.config.MeresConfig`, which says where each comes from."""
        untold = {"labels", *MeresLossKnobs.model_fields, *self.unread()}
        own = MeresKnobs.model_fields.keys() - GroundTruthTrainingKnobs.model_fields.keys() - untold
        turned = {name: value for name, value in self.model_dump(include=own).items() if value is not None}
        return {**super().switches(), "select": turned.pop("selection"), **turned}


class MeresMatchedKnobs(MeresLossKnobs, MatchingKnobs):
    """MERES goes on over all candidates, as S+S+C does from ZSBootstrap; the defaults are those of `MeresKnobs`."""

    later = ("contrast_over", "mask_loss")

    batch_size: BatchSize = 16
    learning_rate: Rate = 3e-5


class MeresReportKnobs(Knobs):
    """What MERES's page shows."""

    examples: Examples = 6
    """Expressions of the scored splits."""
    beside: tuple[Literal["corrected", "supervised"], ...] = ("supervised",)
    """LAVTs whose scores and curves are shown, too."""
