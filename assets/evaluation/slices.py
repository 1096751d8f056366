"""What scores are sliced by: length of the expression, words of place in it, number of its class, size of the object.

A slice asks what a model finds hard; the papers' tables only give the mean. Looks at ground truth, as every score does.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from assets.data.stages import GROUND_TRUTH
from assets.data.tables import ground_truth_of, referents_of
from assets.framework.work import Work
from ops.open_vocabulary_split import split_part

SPATIAL_WORDS = """
left right leftmost rightmost lefthand righthand top bottom upper lower topmost bottommost middle center centre central
corner edge side front back behind rear near nearest next nearby beside between above below under over beneath
underneath far farthest furthest close closer closest first second third last opposite across
"""
"""Words that say where something is, in the image or beside other things."""
SPATIAL = frozenset(SPATIAL_WORDS.split())
LENGTHS = (1, 3, 4, 6, 9)
"""Words from which on an expression falls into the next bin."""
ALIKE = (1, 2, 3, 4)
AREAS = (0.0, 0.01, 0.04, 0.16)
"""Shares of the image: each bin ends where objects are twice as wide as where it began."""


class Traits:
    """The bins of expressions, as a small number for each; filled expression by expression."""

    def __init__(self) -> None:
        self._count = 0
        self._places: dict[int, int] = {}
        self._bins: dict[str, dict[str, int]] = {}
        self._codes: dict[str, array[int]] = {}
        """Of every expression, by what is sliced: its bin's number, -1 where it has none."""

    def add(self, sent_id: int, bins: Mapping[str, str]) -> None:
        """Note what falls into which bin: what a slice goes by -> the bin of an expression."""
        place = self._count
        for by in bins.keys() - self._codes.keys():
            self._bins[by], self._codes[by] = {}, array("h", [-1] * place)
        for by, codes in self._codes.items():
            codes.append(self._bins[by].setdefault(bins[by], len(self._bins[by])) if by in bins else -1)
        self._places[sent_id], self._count = place, place + 1

    def parts(self, sent_ids_R: Iterable[int]) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
        """Each bin that some of the expressions fall into, in alphabetical order, and the places of these, R' of R."""
        places_R = np.array([self._places[int(sent_id)] for sent_id in sent_ids_R], np.int64)
        for by in sorted(self._codes):
            codes_R = np.asarray(self._codes[by])[places_R]
            for name, code in sorted(self._bins[by].items()):
                if len(within := np.flatnonzero(codes_R == code)):
                    yield by, name, within


def traits_of(work: Work, *, splits: Sequence[str]) -> Traits:
    """The bins of the expressions of all referents of the splits that have ground truth.

    The novelty of a class tells seen classes from unseen ones (`ops.open_vocabulary_split`): some trainings leave the
    latter out.
    """
    truths = ground_truth_of(work.input(GROUND_TRUTH))
    alike = Counter((truth.image_id, truth.category) for truth in truths.values())
    traits = Traits()
    for referent in referents_of(work, splits=splits):
        if (truth := truths.get(referent.object_id)) is None:
            continue
        of_object = {"size of the object": size_bin(truth.mask.area / (truth.height * truth.width))}
        if truth.category:
            of_object["objects of its class"] = count_bin(alike[truth.image_id, truth.category])
            if (part := split_part(truth.category)) is not None:
                of_object["novelty of the class"] = part
        for sent_id, text in zip(referent.sent_ids, referent.expressions, strict=True):
            traits.add(sent_id, {"length": length_bin(text), "spatial words": spatial_bin(text), **of_object})
    return traits


def length_bin(expression: str) -> str:
    """By number of words."""
    return f"{_interval(LENGTHS, len(expression.split()))} words"


def spatial_bin(expression: str) -> str:
    """By whether a word says where."""
    words = {word.strip(".,;:!?'\"()").lower() for word in expression.split()}
    return "without" if words.isdisjoint(SPATIAL) else "with"


def count_bin(count: int) -> str:
    """By number of annotated objects of the same class in the image, the referent included."""
    return f"{_interval(ALIKE, count)}"


def size_bin(share: float) -> str:
    """By share of the image."""
    place = max(bisect_right(AREAS, share), 1)
    low = f"{100 * AREAS[place - 1]:g}"
    return f"{low} % or more" if place == len(AREAS) else f"{low} to {100 * AREAS[place]:g} %"


def _interval(edges: Sequence[int], value: int) -> str:
    """The bin of a whole number, as people write it: "1-2", "3", "9+"."""
    place = max(bisect_right(edges, value), 1)
    if place == len(edges):
        return f"{edges[-1]}+"
    low, high = edges[place - 1], edges[place] - 1
    return f"{low}" if low == high else f"{low}-{high}"
