"""The knobs of TRIS's stages. Defaults are the authors'; the embedded world's small numbers are in experiment files."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from assets.evaluation.knobs import PUBLISHED_REFS
from assets.framework.knob_types import (
    BatchSize,
    Channels,
    Count,
    Deviation,
    Epochs,
    Examples,
    Rate,
    RateShare,
    Seed,
    Share,
    Side,
    Weight,
)
from assets.framework.knobs import Knobs
from assets.framework.model_names import weights_name
from assets.framework.training_knobs import AdamWKnobs
from resources.models.refs import TOWERS

PARTS = ("classification", "positive", "negative")
"""Of Step 1's loss; what is calibrated is positive or negative."""


class TrisTrainingKnobs(AdamWKnobs):
    """How either step is trained (TRIS spec 2.7, 5.5); what is pretrained is CLIP."""

    later: ClassVar[tuple[str, ...]] = ("encoder", "encoder_weights")

    clip: str = "embedded"
    """CLIP with a ResNet tower to start from."""
    encoder: Literal["clip", "swin", "resnet"] = "clip"
    """Who sees images: CLIP's ResNet, or a network that learnt from labels, in its place (the supplement's Tables 3
    and 6); the text tower stays CLIP's."""
    encoder_weights: str = "embedded"
    """Pretrained weights of an encoder that is not CLIP's: at full size `swin_b` or `resnet50`."""
    tokens: Literal["keep_end", "compat_slice"] = "keep_end"
    """How expressions of more than 20 ids are cut; the authors' way loses their end and with it their meaning."""
    image_size: int = Field(default=320, multiple_of=32, ge=32, le=8192)
    """Side of the square that pictures are squashed to, in pixels."""
    epochs: Epochs = 15
    """Passes over the training samples."""
    batch_size: BatchSize = 48
    """Samples of an optimizer step, negatives of each other."""
    pretrained_rate: RateShare = 0.1
    """Share of the learning rate for CLIP."""

    def models(self) -> tuple[str, ...]:
        """The CLIP that is trained, and another encoder of images."""
        clip = weights_name("clip_rn", self.clip)
        return (clip,) if self.encoder == "clip" else (clip, weights_name(TOWERS[self.encoder], self.encoder_weights))

    def unread(self) -> tuple[str, ...]:
        """Weights of no encoder."""
        return (*super().unread(), "encoder_weights") if self.encoder == "clip" else super().unread()


class ResponseKnobs(TrisTrainingKnobs):
    """Step 1: model and losses (TRIS spec 2)."""

    later = (*(f"{part}_weight" for part in PARTS), "calibrate_after", "clip_positive", "batch_negatives")

    width: Channels = 1024
    """Channels of the common space (the paper also tries 128 to 2048)."""
    language_to_vision: bool = True
    """Pixels look at texts: one direction of the bilateral prompt (paper Table 3)."""
    vision_to_language: bool = True
    """Texts look at pixels: the other one."""
    learn_tau: bool = False
    """The paper's temperature learns; in the authors' code it stays at 1 / 0.07."""
    losses: Literal["fixed", "paper", "first_release", "head"] = "fixed"
    """Weights of the loss parts (TRIS spec 0): the project's own, or those of the paper or of a release."""
    classification_weight: Weight | None = None
    """Weight of the classification loss; null: as the losses say."""
    positive_weight: Weight | None = None
    """Weight of the calibration of true pairs; null: as the losses say."""
    negative_weight: Weight | None = None
    """Weight of the calibration of false pairs; null: as the losses say."""
    batch_negatives: Annotated[int, Field(ge=0)] | None = None
    """N, other texts of a step that an image is compared with and that its prompt sees; null: all, a batch less one."""
    negatives: Count | None = None
    """K, calibration negatives of a sample; null: as the losses say."""
    clip_positive: bool | None = None
    """Whether cosines of calibration are kept above 0, where a loss is finite; null: as the losses say."""
    calibrate: bool = True
    """Off: classification alone (paper Table 3)."""
    calibrate_after: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training that passes before calibration counts; the authors calibrate from the start."""
    exclude_true: bool = False
    """Leave texts of the same image and of the same words out of an image's negatives; the authors do not."""
    scorer: str = "embedded"
    """Frozen CLIP of calibration."""

    def models(self) -> tuple[str, ...]:
        """The CLIP that is trained, and the frozen one where it scores."""
        return (*super().models(), *((weights_name("clip_judge", self.scorer),) if self.calibrate else ()))


class SelectionKnobs(Knobs):
    """PRMS: which of an object's response maps stands for it (TRIS spec 3)."""

    later = ("splits",)

    rule: Literal["prms", "first"] = "prms"
    """`first` takes the map of the first expression."""
    mask: Literal["relu", "sigmoid"] = "relu"
    """What the frozen CLIP sees through: the authors' ReLU, or the sigmoid that Step 1 was calibrated with."""
    scorer: str = "embedded"
    """Frozen CLIP that scores the maps."""
    tokens: Literal["keep_end", "compat_slice"] = "keep_end"
    """As in the training: how expressions of more than 20 ids are cut."""
    splits: Literal["training", "all"] = "training"
    """`all` selects on the scored splits too, as the paper's Table 4 does: there it presumes to know which expressions
    mean one referent. What Step 2 learns from is the training splits alone."""

    def models(self) -> tuple[str, ...]:
        """The frozen CLIP, where it scores."""
        return (weights_name("clip_judge", self.scorer),) if self.rule == "prms" else ()


class RefinementKnobs(Knobs):
    """IRNet: seeds, training, pseudo-labels (TRIS spec 4)."""

    method: Literal["irnet", "none"] = "irnet"
    """`none` takes what is above `threshold` in the selected map itself."""
    threshold: float = Field(default=0.25, gt=0, lt=1)
    """Share of an object's strongest response that makes a pixel its own."""
    foreground: Share = 0.30
    """Responses above which seeds start as foreground."""
    background: Share = 0.10
    """Responses below which seeds start as background."""
    smooth_xy: Deviation = 3.0
    """Standard deviation in pixels of the smoothness of the dense CRF that cleans seeds up."""
    colour_xy: Deviation = 50.0
    """Standard deviation in pixels of its colour kernel."""
    trunk: str = "embedded"
    """Pretrained backbone of IRNet."""
    taught_images: Count | None = None
    """IRNet learns from the first so many images; null: from all, as the authors' does."""
    epochs: Epochs = 3
    """Passes over the taught images."""
    batch_size: BatchSize = 24
    """Images of an optimizer step."""
    crop: Side = 512
    """Side in pixels of the square that an image is cut or padded to."""
    radius: int = Field(default=10, ge=1, le=1000)
    """Pixels of the quarter-size grid within which pairs are compared."""
    edge_rate: Rate = 0.1
    """Learning rate of the boundary branch."""
    displacement_rate: Rate = 1.0
    """Learning rate of the displacement branch."""
    seed: Seed = 0
    """Of first weights, the order of images, and crops."""

    def models(self) -> tuple[str, ...]:
        """The backbone, where IRNet refines."""
        return (weights_name("irn_trunk", self.trunk),) if self.method == "irnet" else ()


class SegmenterKnobs(TrisTrainingKnobs):
    """Step 2: the segmenter (TRIS spec 5)."""

    laterals: tuple[Channels, Channels, Channels, Channels] = (64, 128, 256, 512)
    """Channels to which the four maps are brought, finest first."""
    finest: Channels = 32
    """Channels of the level that the mask is read from."""
    stepping: Literal["iteration", "compat_epoch"] = "iteration"
    """The authors' Step 2 lowers its rate by epochs instead of steps, which is hardly at all."""


class LocalisationKnobs(Knobs):
    """How a map becomes a mask and a point (TRIS spec 6)."""

    threshold: Literal["raw", "compat_divided"] = "raw"
    """The authors divide by the maximum first, which flips a mask whose logits are all negative."""


class PredictionKnobs(LocalisationKnobs):
    """What Step 2 is asked for, beside the scored splits."""

    later = ("training_references",)

    training_references: Annotated[int, Field(ge=0)] | Literal["all"] = 0
    """The first so many of the training split too, to be compared with the labels that it learnt from."""


class EvaluatedKnobs(Knobs):
    """What of the training split is evaluated."""

    later = ("training_references",)

    training_references: Count | None = PUBLISHED_REFS
    """The first so many; null: all, as in TRIS's tables."""


class ResponseScoreKnobs(LocalisationKnobs, EvaluatedKnobs):
    """How Step 1's maps are evaluated."""


class TrisReportKnobs(Knobs):
    """What TRIS's page shows."""

    examples: Examples = 12
    """Training objects, and as many of the scored splits."""
