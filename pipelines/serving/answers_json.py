"""Answers as the API gives them: JSON with COCO run lengths or PNG, or a zip of PNG files."""

import base64
import io
import zipfile
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, Field

from assets.data.images import Mask, Pixels
from assets.segmenters.answers import Answer
from ops.refusal import Refused
from ops.visualisation import png_bytes
from pipelines.commands.answering import Answering
from storage.masks import Rle


class Masks(StrEnum):
    """How masks are given."""

    rle = "rle"
    """JSON with COCO's compressed run lengths."""
    png = "png"
    """JSON with a PNG in base64 for each sentence, at the image's size: 255 on the object, 0 elsewhere."""
    zip = "zip"
    """A zip of such PNG files, `0.png` and so on, with `answers.json`."""


class SentenceProblem(BaseModel):
    """Why a sentence has no answer; the others have theirs."""

    code: str
    message: str
    advice: str


class Segmentation(BaseModel):
    """COCO's compressed run lengths."""

    size: tuple[int, int] = Field(description="height and width in pixels")
    counts: str


class AnswerJson(BaseModel):
    """What a sentence means in the image."""

    sentence: str
    found: bool = Field(description="whether the mask has a pixel")
    reason: str = Field(description='how it came about: "model", or the choice\'s reason such as "clip", "absent"')
    confidence: float | None = Field(None, description="0 to 1; null where nothing was found or compared")
    margin: float | None = Field(None, description="of a choice: 100 cosine ahead of the next candidate")
    candidates: tuple[int, int] | None = Field(None, description="of a choice: taken, and offered")
    area: int = Field(0, description="pixels of the mask")
    bbox: tuple[float, float, float, float] | None = Field(None, description="x, y, width, height in pixels")
    segmentation: Segmentation | None = Field(None, description="the mask, where `masks` is rle")
    png: str | None = Field(None, description="the mask as base64 PNG, where `masks` is png")
    problem: SentenceProblem | None = None


class ImageJson(BaseModel):
    """The image as it was read: upright."""

    width: int
    height: int
    sha256: str


class WhoJson(BaseModel):
    """Who answers."""

    by: str = Field(description='the stage that trained the model, or "choice": S1 and S2 without one')
    experiment: str
    dataset: str
    note: str = ""

    @classmethod
    def of(cls, answering: Answering) -> "WhoJson":
        """The same as data."""
        return cls(by=answering.by, experiment=answering.experiment, dataset=answering.dataset, note=answering.note)


class SegmentJson(BaseModel):
    """The answer to a request: an entry for each sentence, in their order."""

    image: ImageJson
    answered_by: WhoJson
    answers: list[AnswerJson]


class ErrorJson(BaseModel):
    """An answer with an error status."""

    error: SentenceProblem


def answer_json(sentence: str, answer: Answer | Refused, masks: Masks) -> AnswerJson:
    """One entry."""
    if isinstance(answer, Refused):
        problem = SentenceProblem(code="refused", message=str(answer), advice="say it otherwise, and send it again")
        return AnswerJson(sentence=sentence, found=False, reason="refused", problem=problem)
    mask = Rle.of(answer.mask)
    known = mask.annotation()
    return AnswerJson(
        sentence=sentence,
        found=answer.found,
        reason=answer.reason,
        confidence=answer.confidence,
        margin=answer.margin,
        candidates=answer.candidates,
        area=known["area"],
        bbox=tuple(known["bbox"]) if answer.found else None,
        segmentation=Segmentation(**known["segmentation"]) if masks == Masks.rle else None,
        png=base64.b64encode(png_bytes(answer.mask)).decode() if masks == Masks.png else None,
    )


def image_json(pixels: Pixels, sha256: str) -> ImageJson:
    """Size and digest of an image."""
    return ImageJson(width=pixels.shape[1], height=pixels.shape[0], sha256=sha256)


def zipped(found: SegmentJson, masks: Sequence[Mask | None]) -> bytes:
    """`answers.json`, and the PNG of every sentence that has an answer."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("answers.json", found.model_dump_json(indent=2))
        for number, mask in enumerate(masks):
            if mask is not None:
                archive.writestr(f"{number}.png", png_bytes(mask))
    return packed.getvalue()
