"""Knobs of Segment, Select, Correct."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from assets.framework.knob_types import Count, Deviation, Seed, Share, Weight
from assets.framework.knobs import Knobs
from assets.framework.model_names import demand_clip, demand_use, detector_names, weights_name
from assets.segmenters.knobs import TrainingKnobs
from resources.runtime import Precision

ELLIPSE_REVISION = 2
"""Of the drawn ellipse; it rises when the same mask would get other pixels."""


class NounKnobs(Knobs):
    """Noun extraction (S+S+C spec 2.1, 2.2)."""

    later = ("compat",)

    parser: str = "embedded"
    """Finds noun phrases: `embedded` or a spaCy model."""
    rule: Literal["spacy", "nltk", "chunk"] = "spacy"
    """Words of spaCy's parse, phrases of nltk's tags (paper Table 2), or spaCy's words with their left modifiers."""
    compat: bool = False
    """The nltk rule glues a repeated phrase to the next one, as the authors' does."""

    def models(self) -> tuple[str, ...]:
        """The parser."""
        return (weights_name("parser", self.parser),)


class ProjectionKnobs(Knobs):
    """Class projection and vote (S+S+C spec 2.3, 2.4)."""

    later = ("wording",)

    project: bool = True
    """Off: nouns are passed to the detector as they are (paper Table 2, "CP x")."""
    labels: Literal["coco80", "toyref"] | Annotated[tuple[str, ...], Field(min_length=1)] = "coco80"
    """Classes that nouns are projected to: a known list, or your own."""
    clip: str = "embedded"
    """Whose text tower compares nouns and classes."""
    wording: Literal["photo", "picture"] = "photo"
    """How nouns and classes are put to CLIP: "a photo of a NAME", as in the authors' code, or "a picture of NAME", as
    in their paper."""
    vote: Literal["majority", "all"] = "majority"
    """Of a referent's nouns: the class that most are projected to, or all classes."""

    @model_validator(mode="after")
    def _clip_serves(self) -> Self:
        demand_clip("clip", self.clip)
        return self

    def models(self) -> tuple[str, ...]:
        """The CLIP whose text tower projects, when it does."""
        return (weights_name("clip_vit", self.clip),) if self.project else ()

    def unread(self) -> tuple[str, ...]:
        """The wording, where nothing is projected."""
        return super().unread() if self.project else (*super().unread(), "wording")


class TeacherKnobs(Knobs):
    """A stage that may take a teacher's masks, which `wordmask import-masks` brought in."""

    later: ClassVar[tuple[str, ...]] = ("teacher",)

    teacher: str = ""
    """Name that they were imported under."""

    @property
    def imports(self) -> bool:
        """Whether the masks are a teacher's."""
        return False

    @model_validator(mode="after")
    def _imports_have_a_name(self) -> Self:
        if self.imports and not self.teacher:
            raise ValueError("imported masks need `teacher`, the name that `wordmask import-masks` was given")
        return self


class CandidateKnobs(TeacherKnobs):
    """Candidate masks S1 (S+S+C spec 2.5, 2.6)."""

    later = ("precision",)

    source: Literal["detector", "crop", "everything", "concept", "imported"] = "detector"
    """`crop` takes the best of SAM's automatic masks inside each box, of no class and no box prompt: it stands in for
    FreeSOLO (spec 2.10). `everything` takes the automatic masks of the whole image (baseline "SAM + Select"). `concept`
    asks SAM 3 for the masks of each class; its scores are held against `box_threshold`. `imported` takes the masks of
    `teacher`."""
    detector: str = "embedded"
    """Draws boxes of the classes: `embedded`, or as `segmenter`."""
    segmenter: str = "embedded"
    """Both `embedded`, a published file, or a model of a hub as `owner/name`; docs/models.md lists what serves."""
    box_threshold: Share = 0.35
    """Confidence from which on a box counts."""
    text_threshold: Share = 0.25
    """On the detector's own scale, which is Grounding DINO's in these defaults."""
    nms_iou: Share = 0.85
    """Boxes that overlap so far are one, the more confident."""
    precision: Precision = "float32"
    """`device` computes passes of the networks in bfloat16 where the device is faster in it."""

    @property
    def imports(self) -> bool:
        """Whether the masks are a teacher's."""
        return self.source == "imported"

    @property
    def detects(self) -> bool:
        """Whether the source needs a detector's boxes."""
        return self.source in ("detector", "crop")

    @model_validator(mode="after")
    def _models_serve(self) -> Self:
        if self.detects:
            demand_use("detector", "detector", self.detector)
        if not self.imports:
            demand_use("segmenter", "concepts" if self.source == "concept" else "segmenter", self.segmenter)
        return self

    def models(self) -> tuple[str, ...]:
        """Detector (unless unused) and segmenter; neither where masks are imported."""
        if self.imports:
            return ()
        segmenter = weights_name("segmenter", self.segmenter)
        return (*detector_names(self.detector), segmenter) if self.detects else (segmenter,)

    def unread(self) -> tuple[str, ...]:
        """What belongs to a detector alone, where SAM 3 needs none; to any model, or to a teacher, where it is none."""
        if self.imports:
            return ("detector", "segmenter", "box_threshold", "text_threshold")
        return ("teacher", *(("detector", "text_threshold") if self.source == "concept" else ()))


class ChoiceKnobs(TeacherKnobs):
    """Choice S2 among the candidates (S+S+C Eq. 1, spec 3)."""

    later = (
        *("absent", "plural", "plural_margin", "precision", "least_iou", "places"),
        *("consensus", "responses", "reviews"),
    )

    rule: Literal["clip", "global_local", "random", "first", "imported"] = "clip"
    """`global_local` is GL-CLIP's choice: the candidate in its image and cut out, the expression and its head noun.
    `imported` takes the candidate that the masks of `teacher` for the referent's expressions overlap most."""
    prompt: Literal["reverse_blur", "red_ellipse"] = "reverse_blur"
    """What shows CLIP the candidate: all else blurred, or an ellipse around it (paper Table 3)."""
    clip: str = "embedded"
    """Scores candidates, and under `global_local` whole images too."""
    sigma: Deviation = 50.0
    """Blur in pixels of the original image; below 1 a share of its longer side."""
    blur: Literal["fast", "exact"] = "fast"
    """`exact` is OpenCV's to the bit; `fast` stays within three grey levels of it."""
    crop: Literal["center", "pad"] = "center"
    """How the picture becomes CLIP's square: its middle, or all of it with borders."""
    min_area: float = Field(default=500.0, ge=0, le=1e9)
    """Pixels that a candidate must have; below 1 a share of the image."""
    assign: Literal["each", "greedy", "hungarian"] = "each"
    """`greedy` lets the objects of an image compete by constrained matching (the paper's "CGM at Stage 2");
    `hungarian` looks for the largest sum of all their scores instead."""
    consensus: Literal["mean", "product", "first"] = "mean"
    """What the expressions of an object say together: the mean of their scores, as the authors' code has it; the
    `product` of the probabilities that each gives to the candidates; or the `first` alone (`ops.ssc.consensus`)."""
    compat: bool = False
    """The authors' colour order, ellipse margins, ties to the last and no choice among small masks."""
    seed: Seed = 0
    """For the rule `random`, and for the sentences that `absent` is calibrated on."""
    global_share: Share = 0.95
    """For the rule `global_local`: v, the share of the whole image (spec 3.6; 0.85 in GL-CLIP on G-Ref)."""
    parser: str = "embedded"
    """Finds the head noun's chunk for the rule `global_local`, the number of objects for `plural`, and what a place is
    relative to for `places`."""
    places: float = Field(default=0.0, ge=0, le=1000)
    """Points of 100 * cosine for each nat that an expression's place words give to a candidate (ops/ssc/PLACES.md);
    0 is off, and reads no place. 1 takes CLIP's similarities for logits, which they are to CLIP itself."""
    responses: float = Field(default=0.0, ge=0, le=1000)
    """Points of 100 * cosine for each standard deviation by which TRIS's response map of an expression is stronger
    inside a candidate than outside of it (`ops.ssc.response_contrast`); 0 is off, and needs no TRIS."""
    absent: Annotated[float, Field(gt=0, le=1)] | Literal["balanced"] | None = None
    """A share of the true sentences, such as 0.95, that keep their mask: the others, and what is as unlike every
    candidate, get none (reason "absent"). `balanced` weighs both errors alike; null: every sentence means something.
    The threshold is found on sentences of other images, see `assets.ssc.absent_objects`."""
    plural: Literal["one", "all"] = "one"
    """`all`: "both dogs", "two cats", "birds" mean the union of several candidates (`ops.ssc.plurals`)."""
    plural_margin: float = Field(default=2.0, ge=0, le=200)
    """For `plural: all` without a number: what scores at most so much below the best (100 cosine) is meant, too."""
    precision: Precision = "float32"
    """`device` computes passes of the networks in bfloat16 where the device is faster in it."""
    least_iou: Share = 0.5
    """For the rule `imported`: a candidate that no mask of the teacher overlaps so far is not taken."""
    reviews: bool = False
    """`on`: what persons decided with `wordmask review` goes before the rule. Such masks are supervision, and their
    rows say so (reason "reviewed")."""

    _of_teacher: ClassVar[tuple[str, ...]] = ("rule", "teacher", "least_iou", "reviews")

    @property
    def imports(self) -> bool:
        """Whether a teacher chooses."""
        return self.rule == "imported"

    def relatives(self) -> tuple[Knobs, ...]:
        """Where decisions count, the rule's own choices may stand in an artifact without them."""
        return (self.model_copy(update={"reviews": False}),) if self.reviews else ()

    @model_validator(mode="after")
    def _need_scores(self) -> Self:
        if not self._scores and (self.absent is not None or self.plural == "all"):
            raise ValueError(f"absent and plural go by scores, which the rule {self.rule} has not")
        if self.plural == "all" and self.assign != "each":
            raise ValueError("plural: all needs assign: each; objects that compete take one candidate each")
        if self.plural == "all" and self.consensus != "mean":
            raise ValueError("plural: all needs consensus: mean, whose scores plural_margin is a difference of")
        return self

    @model_validator(mode="after")
    def _clip_serves(self) -> Self:
        if self.rule in ("clip", "global_local"):
            demand_clip("clip", self.clip, tokens=self.rule == "global_local")
        return self

    def models(self) -> tuple[str, ...]:
        """The CLIP that scores and the parser, where the rule or place words ask for them."""
        if not self._scores:
            return ()
        clip, parser = weights_name("clip_vit", self.clip), weights_name("parser", self.parser)
        return (clip, parser) if self._parses else (clip,)

    def unread(self) -> tuple[str, ...]:
        """Knobs of GL-CLIP, plurals, places and a teacher where they do nothing; all others where one chooses."""
        if self.imports:
            return tuple(name for name in type(self).model_fields if name not in self._of_teacher)
        read = {
            "teacher": False,
            "least_iou": False,
            "global_share": self.rule == "global_local",
            "parser": self._parses,
            "places": self._scores,
            "consensus": self._scores,
            "responses": self._scores,
            "plural_margin": self.plural == "all",
        }
        return tuple(name for name, is_read in read.items() if not is_read)

    @property
    def hears_responses(self) -> bool:
        """Whether the choice reads TRIS's response maps."""
        return self._scores and self.responses > 0

    @property
    def _scores(self) -> bool:
        return self.rule in ("clip", "global_local")

    @property
    def _parses(self) -> bool:
        return self._scores and (self.rule == "global_local" or self.plural == "all" or self.places > 0)

    def recipe(self) -> dict[str, Any]:
        """With the revision of the ellipse, where one is drawn; what other prompts chose stays."""
        drawn = self.rule == "clip" and self.prompt == "red_ellipse"
        return {**super().recipe(), "revision": ELLIPSE_REVISION} if drawn else super().recipe()


class MatchingKnobs(TrainingKnobs):
    """Training over all candidates, matched anew at every step (S+S+C Eq. 3, spec 4.10)."""

    later: ClassVar[tuple[str, ...]] = ("agreement",)

    rule: Literal["greedy", "reference", "hungarian", "unconstrained", "random", "chosen"] = "greedy"
    """How masks are given to objects, see `ops.ssc.matching.Rule`; `chosen` trains on S2 as before ("+40 epochs")."""
    leftovers: Literal["drop", "fallback_best"] = "drop"
    """What an object whose candidates are all taken learns from: nothing, or its own best all the same."""
    rivals: Count | None = None
    """At most so many objects of an image compete for its masks; null: all, as in the paper."""
    agreement: Literal["best", "mean"] = "best"
    """An object's score with a mask: of its best expression in the batch (Algorithm 1), or the `mean` over them."""

    def unread(self) -> tuple[str, ...]:
        """`agreement`, where the rule has no scores of objects."""
        asked = self.rule in ("greedy", "hungarian")
        return super().unread() if asked else (*super().unread(), "agreement")


class CorrectKnobs(MatchingKnobs):
    """Correct: training from ZSBootstrap over all candidates (S+S+C Eq. 3, spec 4.10)."""

    later = ("prior",)

    prior: Weight = 0.0
    """What the probability that the choice gives to a candidate adds to its soft IoU at first; it falls to nothing
    over the training. 0: matching goes by the model alone."""

    def unread(self) -> tuple[str, ...]:
        """`prior` as well, where no scores are compared."""
        blind = self.rule in ("random", "chosen")
        return (*super().unread(), "prior") if blind else super().unread()

    @property
    def with_prior(self) -> bool:
        """Whether matching hears of the choice."""
        return self.prior > 0 and "prior" not in self.unread()


class LabelKnobs(Knobs):
    """The last matching, by a trained model: labels for others."""

    later = ("rule", "agreement")

    rule: Literal["greedy", "hungarian"] = "greedy"
    """As in training: the best pair first, or the largest sum of scores."""
    agreement: Literal["best", "mean"] = "best"
    """As in training: of an object's best expression, or the `mean` over all of them."""


class GroundedKnobs(Knobs):
    """Baseline "G-DINO + SAM": the most confident box of the expression itself (S+S+C spec 3.6)."""

    later = ("precision",)

    detector: str = "embedded"
    """Draws the box of the expression."""
    segmenter: str = "embedded"
    """Makes the box a mask."""
    precision: Precision = "float32"
    """`device` computes passes of the networks in bfloat16 where the device is faster in it."""

    @model_validator(mode="after")
    def _models_serve(self) -> Self:
        demand_use("detector", "detector", self.detector)
        demand_use("segmenter", "segmenter", self.segmenter)
        return self

    def models(self) -> tuple[str, ...]:
        """Detector and segmenter."""
        return (*detector_names(self.detector), weights_name("segmenter", self.segmenter))
