"""Every knob that changes a result, one model per stage; experiment files set them, recipes hash them.

What does not change a result (device, batch sizes, threads) is in `resources.runtime`, never here.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from resources.models.refs import Kind, ModelRef
from resources.runtime import Precision

PUBLISHED_REFS = 1000
"""The papers measure choices on the first so many references of the training split (S+S+C spec 7, row 33)."""


class Knobs(BaseModel):
    """Base of all knob sets: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[tuple[str, ...]] = ()
    """Own knobs that are younger than artifacts: at their defaults no recipe has them, what was made before stays."""

    def models(self) -> tuple[str, ...]:
        """Names in the checkpoint registry whose weights shape this stage's result."""
        return ()

    def extra_needs(self) -> tuple[str, ...]:
        """Stages that only some settings of these knobs read."""
        return ()

    def unread(self) -> tuple[str, ...]:
        """Knobs that the settings of others leave without effect; no recipe has them."""
        return ()

    def recipe(self) -> dict[str, Any]:
        """What a recipe digests: every other knob, as JSON."""
        younger = {name for kind in type(self).__mro__ for name in getattr(kind, "later", ())}
        unturned = {name for name in younger if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude=unturned | set(self.unread()))


class NoKnobs(Knobs):
    """A stage with nothing to turn."""


class GroundTruthKnobs(Knobs):
    """How drawn annotations become masks (S+S+C spec 1.4)."""

    overlap: Literal["union", "compat"] = "union"
    """`compat` drops pixels that two polygon parts cover, as the authors' code does."""


class NounKnobs(Knobs):
    """Noun extraction (S+S+C spec 2.1, 2.2)."""

    later = ("compat",)

    parser: str = "embedded"
    rule: Literal["spacy", "nltk", "chunk"] = "spacy"
    compat: bool = False
    """The nltk rule glues a repeated phrase to the next one, as the authors' does."""

    def models(self) -> tuple[str, ...]:
        """The parser."""
        return (weights_name("parser", self.parser),)


class ProjectionKnobs(Knobs):
    """Class projection and vote (S+S+C spec 2.3, 2.4)."""

    project: bool = True
    """Off: nouns are passed to the detector as they are (paper Table 2, "CP x")."""
    labels: Literal["coco80", "toyref"] | tuple[str, ...] = "coco80"
    clip: str = "embedded"
    vote: Literal["majority", "all"] = "majority"

    def models(self) -> tuple[str, ...]:
        """The CLIP whose text tower projects, when it does."""
        return (weights_name("clip_vit", self.clip),) if self.project else ()


class CandidateKnobs(Knobs):
    """Candidate masks S1 (S+S+C spec 2.5, 2.6)."""

    source: Literal["detector", "crop", "everything"] = "detector"
    """`crop` takes the best of SAM's automatic masks inside each box, of no class and no box prompt: it stands in for
    FreeSOLO (spec 2.10). `everything` takes the automatic masks of the whole image (baseline "SAM + Select")."""
    detector: str = "embedded"
    segmenter: str = "embedded"
    box_threshold: float = 0.35
    text_threshold: float = 0.25
    nms_iou: float = 0.85

    def models(self) -> tuple[str, ...]:
        """Detector (unless unused) and segmenter."""
        segmenter = weights_name("segmenter", self.segmenter)
        return (segmenter,) if self.source == "everything" else (*detector_names(self.detector), segmenter)


class ChoiceKnobs(Knobs):
    """Choice S2 among the candidates (S+S+C Eq. 1, spec 3)."""

    rule: Literal["clip", "global_local", "random", "first"] = "clip"
    """`global_local` is GL-CLIP's choice: the candidate in its picture and cut out, the sentence and its head noun."""
    prompt: Literal["reverse_blur", "red_ellipse"] = "reverse_blur"
    clip: str = "embedded"
    sigma: float = Field(default=50.0, gt=0)
    """Blur in pixels of the original image; below 1 a share of its longer side."""
    blur: Literal["fast", "exact"] = "fast"
    crop: Literal["center", "pad"] = "center"
    min_area: float = Field(default=500.0, ge=0)
    """Pixels that a candidate must have; below 1 a share of the image."""
    assign: Literal["each", "greedy"] = "each"
    """`greedy` lets the objects of an image compete by constrained matching (the paper's "CGM at Stage 2")."""
    compat: bool = False
    """The authors' colour order, ellipse margins, ties to the last and no choice among small masks."""
    seed: int = 0
    """For the rule `random`."""
    global_share: float = Field(default=0.95, ge=0, le=1)
    """For the rule `global_local`: v, the share of the whole picture (spec 3.6; 0.85 in GL-CLIP on G-Ref)."""
    parser: str = "embedded"
    """For the rule `global_local`: finds the head noun's chunk."""

    def models(self) -> tuple[str, ...]:
        """The CLIP that judges and the parser, where the rule asks for them."""
        clip, parser = weights_name("clip_vit", self.clip), weights_name("parser", self.parser)
        return {"clip": (clip,), "global_local": (clip, parser)}.get(self.rule, ())

    def unread(self) -> tuple[str, ...]:
        """The knobs of GL-CLIP where another rule chooses."""
        return () if self.rule == "global_local" else ("global_share", "parser")


class TrainingKnobs(Knobs):
    """How LAVT is trained (S+S+C spec 4.7-4.9)."""

    later: ClassVar[tuple[str, ...]] = ("precision",)

    epochs: int = 40
    batch_size: int = 60
    learning_rate: float = 5e-5
    pretrained_rate: float = 1.0
    """Share of the learning rate for the pretrained trunks; the papers train all at one rate."""
    warmup_steps: int = 0
    """Optimiser steps over which the learning rate rises; the papers have none."""
    clip_norm: float | None = None
    """Largest norm of the gradient; the papers do not clip."""
    weight_decay: float = 0.01
    sentences: Literal["one", "two", "all"] = "one"
    """Samples of an object and epoch: one random sentence as in the papers, two, or all (spec 7, row 16)."""
    precision: Precision = "device"
    """Of the forward passes, here and in all that the model predicts; the authors' is float32."""
    select: Literal["last", "best_on_val"] = "last"
    """`best_on_val` reads ground truth to pick the epoch, as the authors did; the report says so."""
    seed: int = 0

    def extra_needs(self) -> tuple[str, ...]:
        """Ground truth, only when it picks the epoch."""
        return ("ground_truth",) if self.select == "best_on_val" else ()


class BootstrapKnobs(TrainingKnobs):
    """ZSBootstrap: LAVT from pretrained towers, trained on the chosen masks (S+S+C spec 4.9)."""

    size: Literal["embedded", "swin_b"] = "embedded"
    swin: str = "embedded"
    bert: str = "embedded"

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


class DrawnKnobs(BootstrapKnobs):
    """A training that may learn from drawn masks, whose classes are known."""

    later: ClassVar[tuple[str, ...]] = ("classes", "text", "freeze_backbone")

    classes: Classes = "all"
    text: Literal["bert", "clip"] = "bert"
    """The language encoder; MERES's paper takes CLIP's for its Table 2, for a fair comparison."""
    clip: str = "embedded"
    """For the text `clip`: whose tower; at full size ViT-L-14-336."""
    freeze_backbone: bool = False
    """Swin stays as it was pretrained (CGFormer's way in that setting; MERES spec 10)."""

    @model_validator(mode="after")
    def _unseen_classes_pick_no_epoch(self) -> Self:
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


class SupervisedKnobs(DrawnKnobs):
    """LAVT trained on drawn masks, the upper bound of every table."""

    later = ("loss",)

    loss: Literal["sample", "batch"] = "sample"
    """Every sample counts the same as on pseudo-labels, or every pixel of a pass as in LAVT's own recipe (spec 4.9)."""

    def extra_needs(self) -> tuple[str, ...]:
        """Nothing more: ground truth is read in any case."""
        return ()


class CorrectKnobs(TrainingKnobs):
    """Correct: training from ZSBootstrap over all candidates (S+S+C Eq. 3, spec 4.10)."""

    rule: Literal["greedy", "reference", "hungarian", "unconstrained", "random", "chosen"] = "greedy"
    """How masks are given to objects, see `ops.ssc.matching.Rule`; `chosen` trains on S2 as before ("+40 epochs")."""
    leftovers: Literal["drop", "fallback_best"] = "drop"
    """What an object whose candidates are all taken learns from: nothing, or its own best all the same."""
    rivals: int | None = Field(default=None, ge=1)
    """At most so many objects of an image compete for its masks (the paper's Figure 5); null: all."""


class GroundedKnobs(Knobs):
    """Baseline "G-DINO + SAM": the most confident box of the expression itself (S+S+C spec 3.6)."""

    detector: str = "embedded"
    segmenter: str = "embedded"

    def models(self) -> tuple[str, ...]:
        """Detector and segmenter."""
        return (*detector_names(self.detector), weights_name("segmenter", self.segmenter))


class ScoreKnobs(Knobs):
    """How numbers are counted (S+S+C spec 5)."""

    empties: Literal["count", "compat"] = "count"
    """`compat` leaves objects without any candidate out of oIoU, as the authors do for S+S."""
    random_seed: int = 0
    """For the random baseline that stands beside every choice."""


class ReportKnobs(Knobs):
    """What the page shows."""

    examples: int = 12
    segmenters: tuple[Literal["corrected", "supervised", "meres", "meres_matched"], ...] = ()
    """Trained models to show beside ZSBootstrap."""

    def extra_needs(self) -> tuple[str, ...]:
        """Those models, their predictions and their scores."""
        return tuple(name for model in self.segmenters for name in (model, f"{model}_predictions", f"{model}_scores"))


def weights_name(kind: Kind, name: str) -> str:
    """The registry name of the weights that a knob names."""
    return ModelRef(kind, name).registry_name


def detector_names(name: str) -> tuple[str, ...]:
    """The registry names of a detector: Grounding DINO reads BERT's vocabulary and sizes."""
    return tuple(part.registry_name for part in ModelRef("detector", name).parts)
