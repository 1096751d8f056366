"""Which sentences a masked image must not resemble: K negatives for calibration (TRIS spec 1.7).

Shapes: O objects of the training set, K negatives.
"""

from collections.abc import Sequence

import numpy as np


class NegativePool:
    """Draws the K negatives of a sample: sentences of other objects of its image, or of the whole set if there is none.

    The authors' collection also stops at the first object of an image that is not in the training set, which happens in
    RefCOCOg's google split alone; here objects outside the training set are just not in the pool.
    """

    def __init__(self, image_of_O: Sequence[int], sentences_of_O: Sequence[Sequence[str]]) -> None:
        """Take the training objects: the image of each, and its sentences.

        Raises:
            ValueError: an object has no sentence.
        """
        empty = [number for number, sentences in enumerate(sentences_of_O) if not sentences]
        if empty:
            raise ValueError(f"objects {empty[:5]} have no sentence: leave them out of the training set")
        self.sentences_of_O = sentences_of_O
        self.image_of_O = image_of_O
        self.objects_of_image: dict[int, list[int]] = {}
        for number, image in enumerate(image_of_O):
            self.objects_of_image.setdefault(image, []).append(number)
        self.distinct = {sentence for sentences in sentences_of_O for sentence in sentences}

    def draw(self, number: int, sentence: str, *, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
        """`count` draws with replacement of (object, sentence of it), the object drawn uniformly, then the sentence.

        Among other objects of the image everything may be drawn; from the whole set, anything but the very `sentence`.

        Raises:
            ValueError: the whole set has no other sentence.
        """
        others = [one for one in self.objects_of_image[self.image_of_O[number]] if one != number]
        if others:
            return [self._any(others, rng) for _ in range(count)]
        if not self.distinct - {sentence}:
            raise ValueError(f"every training sentence is {sentence!r}: calibration needs at least one that differs")
        everything = range(len(self.sentences_of_O))
        drawn: list[tuple[int, int]] = []
        while len(drawn) < count:
            one = self._any(everything, rng)
            if self.sentences_of_O[one[0]][one[1]] != sentence:
                drawn.append(one)
        return drawn

    def _any(self, objects: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        chosen = objects[int(rng.integers(len(objects)))]
        return chosen, int(rng.integers(len(self.sentences_of_O[chosen])))
