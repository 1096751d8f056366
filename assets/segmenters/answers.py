"""What an expression means in an image, by whoever answers: a trained model, or S1 and S2 without one.

Shapes: H x W pixels of the image.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assets.data.images import Mask, Pixels
from ops.refusal import Refused


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A mask, and how sure it is."""

    mask: Mask
    """(H, W); empty where nothing is meant."""
    reason: str
    """How it came about: "model", or the reason of the choice, such as "clip", "no candidate" or "absent"."""
    confidence: float | None = None
    """From 0 to 1: of a model the mean foreground probability in its mask; of a choice its share in the softmax over
    the scores of all candidates. None where nothing was found, or nothing was compared."""
    margin: float | None = None
    """Of a choice: 100 cosine by which the chosen candidate is ahead of the next one."""
    candidates: tuple[int, int] | None = None
    """Of a choice: how many candidates the mask is made of, and how many there were."""

    @property
    def found(self) -> bool:
        """Whether the mask has a pixel."""
        return bool(self.mask.any())


Segment = Callable[[Sequence[str], Pixels], list[Answer]]
"""(expressions, pixels) -> the answer to each, as the stages of predictions and choices make it."""


def each_answered(segment: Segment, expressions: Sequence[str], pixels: Pixels) -> list[Answer | Refused]:
    """Every answer, or why there is none: an expression that is refused does not lose the others."""
    if not expressions:
        return []
    try:
        return list(segment(expressions, pixels))
    except Refused as problem:
        if len(expressions) == 1:
            return [problem]
    return [one for expression in expressions for one in each_answered(segment, [expression], pixels)]
