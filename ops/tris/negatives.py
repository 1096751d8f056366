"""Which expressions a masked image must not resemble: K negatives for calibration (TRIS spec 1.7).

Shapes: O referents of the training set, K negatives.
"""

from collections.abc import Sequence

import numpy as np

from ops.refusal import Refused


class NegativePool:
    """Draws the K negatives of a sample: expressions of its image's other referents, or of the whole set without any.

    The authors' collection also stops at the first referent of an image that is not in the training set, which happens
    in RefCOCOg's google split alone; here referents outside the training set are just not in the pool.
    """

    def __init__(self, image_of_O: Sequence[int], expressions_of_O: Sequence[Sequence[str]]) -> None:
        """Take the training referents: the image of each, and its expressions.

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
        """`count` draws with replacement of (referent, its expression): a referent uniformly, then one of its own.

        Among other referents of the image everything may be drawn; from the whole set, anything but `expression`.

        Raises:
            Refused: the whole set has no other expression.
        """
        others = [other for other in self.referents_of_image[self.image_of_O[number]] if other != number]
        if others:
            return [self._any(others, rng) for _ in range(count)]
        if self.distinct <= {expression}:
            raise Refused(f"every training expression is {expression!r}: calibration needs at least one that differs")
        everything = range(len(self.expressions_of_O))
        drawn: list[tuple[int, int]] = []
        while len(drawn) < count:
            chosen, row = self._any(everything, rng)
            if self.expressions_of_O[chosen][row] != expression:
                drawn.append((chosen, row))
        return drawn

    def _any(self, referents: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        chosen = referents[int(rng.integers(len(referents)))]
        return chosen, int(rng.integers(len(self.expressions_of_O[chosen])))
