"""What a model in transformers' layout is, by the `model_type` of its `config.json`. Nothing heavy is imported here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ops.refusal import Refused
from resources.model_files import AGAIN, read_json

CONFIG = "config.json"
GROUNDING_DINO = "grounding-dino"
MM_GROUNDING_DINO = "mm-grounding-dino"
QUERIES = ("owlv2", "owlvit")
"""Detectors that score an image against each text by itself."""
CAPTIONS = (GROUNDING_DINO, MM_GROUNDING_DINO)
"""Detectors that score an image against the words of one caption."""
SAM, SAM_HQ = ("sam",), ("sam_hq",)
SAM_2, EDGETAM = ("sam2", "sam2_video"), ("edgetam", "edgetam_video")
"""Their published folders are those of the model for videos, of which the part for images is read."""
CONCEPTS = ("sam3", "sam3_video")
"""What segments all objects that a text names."""
Use = Literal["detector", "segmenter", "concepts"]
"""What a folder is opened for: boxes of classes, masks of boxes, masks of classes."""
SERVED: Mapping[Use, tuple[str, ...]] = {
    "detector": (*CAPTIONS, *QUERIES),
    "segmenter": (*SAM, *SAM_HQ, *SAM_2, *EDGETAM),
    "concepts": CONCEPTS,
}
"""The types that have an adapter."""


def model_type(folder: Path) -> str:
    """What `config.json` says that the model is.

    Raises:
        Refused: it is missing, no JSON object, or does not say.
    """
    found = read_json(folder / CONFIG).get("model_type")
    if not isinstance(found, str):
        raise Refused(f"{folder / CONFIG} does not say its 'model_type'; {AGAIN}")
    return found


def demand_served(use: Use, folder: Path) -> str:
    """The type of a model that has an adapter for its use.

    Raises:
        Refused: it has none; or as `model_type`.
    """
    found = model_type(folder)
    if problem := why_not(use, found):
        raise Refused(f"{folder / CONFIG}: {problem}")
    return found


def why_not(use: Use, found: str) -> str:
    """Why a type of model does not serve; empty: it does."""
    if found in SERVED[use]:
        return ""
    if use == "segmenter" and found in CONCEPTS:
        return f"{found} finds masks by classes and takes no boxes: set `source: concept`"
    if use == "concepts" and found in SERVED["segmenter"]:
        return f"{found} takes boxes and no classes: set `source: detector`, or name SAM 3 (facebook/sam3)"
    return f"{found} has no adapter as {use}; those that have one are {', '.join(SERVED[use])}"
