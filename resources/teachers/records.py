"""What a teacher's files and the imports made of them are reduced to. Frozen records only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from storage.masks import Rle

Purpose = Literal["candidates", "choices"]
"""`candidates`: any number of masks in an image. `choices`: a mask for an expression or a referent."""
MOST_ROWS = 5_000_000
MOST_CANDIDATES = 1_000
"""In one image; more are left out."""
LONGEST_LABEL = 200
"""Characters of a class."""


@dataclass(frozen=True, kw_only=True)
class GivenMask:
    """A mask as a teacher's file has it; nothing is looked up or drawn yet."""

    place: str
    """Where in the file, e.g. `annotation 3` or `line 4`."""
    image: str
    """File name or id, as the file says it."""
    draw: Callable[[int, int], Rle]
    """(Height, width) of the image -> the mask; `Refused` or `MaskError` where there is none of that size."""
    expression: str = ""
    sent_ids: tuple[int, ...] = ()
    ref_id: int | None = None
    label: str = ""
    """Class, empty where the file names none."""
    score: float | None = None
    """As written, in range or not; None where the file says none."""


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """A row that was left out."""

    place: str
    item: str
    """Image and expression, as far as the row says."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class TeacherMask:
    """A mask of a known image, and of a known sentence where it is a choice."""

    image_id: str
    ref_id: int | None
    """Referent; None for a candidate."""
    sent_id: int | None
    """Sentence; None for a candidate."""
    expression: str
    """The sentence's text, empty for a candidate."""
    label: str
    """Class, empty where the teacher names none."""
    score: float | None
    """From 0 to 1; None where the teacher gives none."""
    mask: Rle
