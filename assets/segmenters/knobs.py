"""How referring segmenters are trained, on whatever masks."""

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from assets.framework.knob_types import BatchSize, Epochs
from assets.framework.model_names import weights_name
from assets.framework.training_knobs import AdamWKnobs


class TrainingKnobs(AdamWKnobs):
    """How LAVT is trained (S+S+C spec 4.7-4.9); the papers train pretrained backbones at the rate of all."""

    epochs: Epochs = 40
    batch_size: BatchSize = 60
    sentences: Literal["one", "two", "all"] = "one"
    """Samples of an object and epoch: one random expression as in the papers, two, or all (spec 7, row 16)."""
    select: Literal["last", "best_on_val"] = "last"
    """`best_on_val` reads ground truth to pick the epoch, as the authors did; the report says so."""

    @model_validator(mode="after")
    def _an_average_is_of_all_epochs(self) -> Self:
        if self.ema and self.select == "best_on_val":
            raise ValueError("ema needs select: last, for the average of the weights is that of no epoch")
        return self


class BootstrapKnobs(TrainingKnobs):
    """ZSBootstrap: LAVT from pretrained towers, trained on the chosen masks (S+S+C spec 4.9)."""

    size: Literal["embedded", "swin_t", "swin_b"] = "embedded"
    """`swin_b` is the papers'; `swin_t` a student of 58 million parameters with a narrow decoder."""
    swin: str = "embedded"
    """Pretrained image tower: `embedded` or a published Swin."""
    bert: str = "embedded"
    """Pretrained language tower: `embedded` or a published BERT."""

    def models(self) -> tuple[str, ...]:
        """The pretrained towers."""
        return (weights_name("swin", self.swin), weights_name("bert", self.bert))

    def towers(self) -> dict[str, Any]:
        """The pretrained towers, as `resources.models.loading` takes them."""
        return {"swin": self.swin, "text": "bert", "words": self.bert}

    def switches(self) -> dict[str, Any]:
        """Knobs that are fields of the network's configuration."""
        return {}


Classes = Literal["all", "seen"]
"""Objects to learn from: all, or those of the seen classes (MERES Table 2, see `ops.open_vocabulary_split`)."""


class GroundTruthTrainingKnobs(BootstrapKnobs):
    """A training that may learn from ground-truth masks, whose classes are known."""

    later: ClassVar[tuple[str, ...]] = ("classes", "text", "freeze_backbone")

    classes: Classes = "all"
    """Objects to learn from: all, or those of the seen classes (MERES Table 2)."""
    text: Literal["bert", "clip"] = "bert"
    """The language encoder; MERES's paper takes CLIP's for its Table 2, for a fair comparison."""
    clip: str = "embedded"
    """For the text `clip`: whose tower; at full size ViT-L-14-336."""
    freeze_backbone: bool = False
    """Swin stays as it was pretrained (CGFormer's way in that setting; MERES spec 10)."""

    @model_validator(mode="after")
    def _seen_classes_keep_the_last_epoch(self) -> Self:
        if (self.classes, self.select) == ("seen", "best_on_val"):
            raise ValueError("classes: seen needs select: last, for unseen classes must not pick the epoch")
        return self

    def models(self) -> tuple[str, ...]:
        """The pretrained towers."""
        swin, bert = super().models()
        return (swin, weights_name("clip_vit", self.clip) if self.text == "clip" else bert)

    def towers(self) -> dict[str, Any]:
        """The pretrained towers, as `resources.models.loading` takes them."""
        return {"swin": self.swin, "text": self.text, "words": self.clip if self.text == "clip" else self.bert}

    def switches(self) -> dict[str, Any]:
        """Knobs that are fields of the network's configuration."""
        return {"freeze_backbone": self.freeze_backbone}

    def unread(self) -> tuple[str, ...]:
        """The weights of the other encoder."""
        return ("bert",) if self.text == "clip" else ("clip",)


class SupervisedKnobs(GroundTruthTrainingKnobs):
    """LAVT trained on ground-truth masks, the upper bound of every table."""

    later = ("loss",)

    loss: Literal["sample", "batch"] = "sample"
    """Every sample counts the same as on pseudo-labels, or every pixel of a pass as in LAVT's own training (S+S+C
    spec 4.9)."""
