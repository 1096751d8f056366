"""Negative expressions for calibration, K for each sample (TRIS spec 1.7).

Shapes: O referents of the training set, K negatives.
"""

from collections.abc import Sequence

import numpy as np

from ops.refusal import Refused


class NegativePool:
    """Samples K negatives: expressions of other referents of the image, or of the whole set if it has no other.

    The authors' collection also stops at the first referent of an image that is not in the training set, which happens
    in RefCOCOg's google split alone; here referents outside the training set are just not in the pool.
    """

    def __init__(self, image_of_O: Sequence[int], expressions_of_O: Sequence[Sequence[str]]) -> None:
        """Pool of the training referents: the image of each, and its expressions.

        Raises:
            ValueError: a referent has no expression.
        """
        empty = [number for number, expressions in enumerate(expressions_of_O) if not expressions]
        if empty:
            raise ValueError(f"referents {empty[:5]} have no expression: leave them out of the training set")
        self.expressions_of_O = expressions_of_O
        self.image_of_O = image_of_O
        self.referents_of_image: dict[int, list[int]] = {}
        for number, image in enumerate(image_of_O):
            self.referents_of_image.setdefault(image, []).append(number)
        self.distinct = {expression for expressions in expressions_of_O for expression in expressions}

    def draw(self, number: int, expression: str, *, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """`count` samples with replacement of (referent, row of its expression).

        The referent is sampled uniformly, then one of its expressions. That of another referent of the image may equal
        `expression`; from the whole set expressions equal to it are rejected.

        Raises:
            Refused: the whole set has no other expression.
        """
        others = [other for other in self.referents_of_image[self.image_of_O[number]] if other != number]
        if others:
            return [self._sample(others, rng) for _ in range(count)]
        if self.distinct <= {expression}:
            raise Refused(f"every training expression is {expression!r}: calibration needs at least one that differs")
        every_referent = range(len(self.expressions_of_O))
        negatives: list[tuple[int, int]] = []
        while len(negatives) < count:
            referent, row = self._sample(every_referent, rng)
            if self.expressions_of_O[referent][row] != expression:
                negatives.append((referent, row))
        return negatives

    def _sample(self, referents: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        """A referent, and a row of its expressions, both uniformly."""
        referent = referents[int(rng.integers(len(referents)))]
        return referent, int(rng.integers(len(self.expressions_of_O[referent])))
