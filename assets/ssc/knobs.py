"""Knobs of Segment, Select, Correct."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from assets.framework.knob_types import Count, Deviation, Seed, Share
from assets.framework.knobs import Knobs
from assets.framework.model_names import demand_clip, demand_use, detector_names, weights_name
from assets.segmenters.knobs import TrainingKnobs

ELLIPSE_REVISION = 2
"""Of the drawn ellipse; it rises when the same mask would get other pixels."""


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
    labels: Literal["coco80", "toyref"] | Annotated[tuple[str, ...], Field(min_length=1)] = "coco80"
    clip: str = "embedded"
    vote: Literal["majority", "all"] = "majority"

    @model_validator(mode="after")
    def _clip_serves(self) -> Self:
        demand_clip("clip", self.clip)
        return self

    def models(self) -> tuple[str, ...]:
        """The CLIP whose text tower projects, when it does."""
        return (weights_name("clip_vit", self.clip),) if self.project else ()


class CandidateKnobs(Knobs):
    """Candidate masks S1 (S+S+C spec 2.5, 2.6)."""

    source: Literal["detector", "crop", "everything", "concept"] = "detector"
    """`crop` takes the best of SAM's automatic masks inside each box, of no class and no box prompt: it stands in for
    FreeSOLO (spec 2.10). `everything` takes the automatic masks of the whole image (baseline "SAM + Select"). `concept`
    asks SAM 3 for the masks of each class; its scores are held against `box_threshold`."""
    detector: str = "embedded"
    segmenter: str = "embedded"
    box_threshold: Share = 0.35
    text_threshold: Share = 0.25
    nms_iou: Share = 0.85

    @property
    def detects(self) -> bool:
        """Whether the source needs a detector's boxes."""
        return self.source in ("detector", "crop")

    @model_validator(mode="after")
    def _models_serve(self) -> Self:
        if self.detects:
            demand_use("detector", "detector", self.detector)
        demand_use("segmenter", "concepts" if self.source == "concept" else "segmenter", self.segmenter)
        return self

    def models(self) -> tuple[str, ...]:
        """Detector (unless unused) and segmenter."""
        segmenter = weights_name("segmenter", self.segmenter)
        return (*detector_names(self.detector), segmenter) if self.detects else (segmenter,)

    def unread(self) -> tuple[str, ...]:
        """What belongs to a detector alone, where SAM 3 needs none."""
        return ("detector", "text_threshold") if self.source == "concept" else ()


class ChoiceKnobs(Knobs):
    """Choice S2 among the candidates (S+S+C Eq. 1, spec 3)."""

    rule: Literal["clip", "global_local", "random", "first"] = "clip"
    """`global_local` is GL-CLIP's choice: the candidate in its image and cut out, the expression and its head noun."""
    prompt: Literal["reverse_blur", "red_ellipse"] = "reverse_blur"
    clip: str = "embedded"
    sigma: Deviation = 50.0
    """Blur in pixels of the original image; below 1 a share of its longer side."""
    blur: Literal["fast", "exact"] = "fast"
    crop: Literal["center", "pad"] = "center"
    min_area: float = Field(default=500.0, ge=0, le=1e9)
    """Pixels that a candidate must have; below 1 a share of the image."""
    assign: Literal["each", "greedy"] = "each"
    """`greedy` lets the objects of an image compete by constrained matching (the paper's "CGM at Stage 2")."""
    compat: bool = False
    """The authors' colour order, ellipse margins, ties to the last and no choice among small masks."""
    seed: Seed = 0
    """For the rule `random`."""
    global_share: Share = 0.95
    """For the rule `global_local`: v, the share of the whole image (spec 3.6; 0.85 in GL-CLIP on G-Ref)."""
    parser: str = "embedded"
    """For the rule `global_local`: finds the head noun's chunk."""

    @model_validator(mode="after")
    def _clip_serves(self) -> Self:
        if self.rule in ("clip", "global_local"):
            demand_clip("clip", self.clip, tokens=self.rule == "global_local")
        return self

    def models(self) -> tuple[str, ...]:
        """The CLIP that scores and the parser, where the rule asks for them."""
        clip, parser = weights_name("clip_vit", self.clip), weights_name("parser", self.parser)
        return {"clip": (clip,), "global_local": (clip, parser)}.get(self.rule, ())

    def unread(self) -> tuple[str, ...]:
        """The knobs of GL-CLIP where another rule chooses."""
        return () if self.rule == "global_local" else ("global_share", "parser")

    def recipe(self) -> dict[str, Any]:
        """With the revision of the ellipse, where one is drawn; what other prompts chose stays."""
        drawn = self.rule == "clip" and self.prompt == "red_ellipse"
        return {**super().recipe(), "revision": ELLIPSE_REVISION} if drawn else super().recipe()


class CorrectKnobs(TrainingKnobs):
    """Correct: training from ZSBootstrap over all candidates (S+S+C Eq. 3, spec 4.10)."""

    rule: Literal["greedy", "reference", "hungarian", "unconstrained", "random", "chosen"] = "greedy"
    """How masks are given to objects, see `ops.ssc.matching.Rule`; `chosen` trains on S2 as before ("+40 epochs")."""
    leftovers: Literal["drop", "fallback_best"] = "drop"
    """What an object whose candidates are all taken learns from: nothing, or its own best all the same."""
    rivals: Count | None = None
    """At most so many objects of an image compete for its masks (the paper's Figure 5); null: all."""


class GroundedKnobs(Knobs):
    """Baseline "G-DINO + SAM": the most confident box of the expression itself (S+S+C spec 3.6)."""

    detector: str = "embedded"
    segmenter: str = "embedded"

    @model_validator(mode="after")
    def _models_serve(self) -> Self:
        demand_use("detector", "detector", self.detector)
        demand_use("segmenter", "segmenter", self.segmenter)
        return self

    def models(self) -> tuple[str, ...]:
        """Detector and segmenter."""
        return (*detector_names(self.detector), weights_name("segmenter", self.segmenter))
