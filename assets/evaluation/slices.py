"""What scores are sliced by: length of the sentence, words of place in it, number of its class, size of the object.

A slice asks what a model finds hard; the papers' tables only give the mean. Looks at ground truth, as every score does.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence

from assets.data.tables import referents_of
from assets.framework.stage import Work
from storage.masks import area

SPATIAL = """
left right leftmost rightmost lefthand righthand top bottom upper lower topmost bottommost middle center centre central
corner edge side front back behind rear near nearest next nearby beside between above below under over beneath
underneath far farthest furthest close closer closest first second third last opposite across
"""
"""Words that say where something is, in the picture or beside other things."""
LENGTHS = (1, 3, 4, 6, 9)
"""Words from which on a sentence falls into the next bin."""
ALIKE = (1, 2, 3, 4)
AREAS = (0.0, 0.01, 0.04, 0.16)
"""Shares of the image: each bin ends where objects are twice as wide as where it began."""
Traits = Mapping[str, str]
"""What a slice goes by -> the bin of an expression."""


def traits_of(work: Work, *, splits: Sequence[str]) -> dict[int, Traits]:
    """Sentence -> its bins, for all objects of the splits that are drawn.

    The novelty of a class tells seen classes from unseen ones (`ops.open_vocabulary_split`): some trainings leave the
    latter out.
    """
    from ops.open_vocabulary_split import novelty

    drawn = {row["object_id"]: row for row in work.inputs["ground_truth"].table("objects").to_pylist()}
    alike = Counter((row["image_id"], row["category"]) for row in drawn.values())
    found: dict[int, Traits] = {}
    for one in referents_of(work.inputs["references"], splits=splits):
        if (row := drawn.get(one.object_id)) is None:
            continue
        (pixels,) = area([row["rle"]], row["height"], row["width"])
        of_object = {"size of the object": size_bin(pixels / (row["height"] * row["width"]))}
        if row["category"]:
            of_object["objects of its class"] = count_bin(alike[row["image_id"], row["category"]])
            if (part := novelty(row["category"])) is not None:
                of_object["novelty of the class"] = part
        for sent_id, said in zip(one.sent_ids, one.sentences, strict=True):
            found[sent_id] = {"length": length_bin(said), "spatial words": spatial_bin(said), **of_object}
    return found


def length_bin(sentence: str) -> str:
    """By number of words."""
    return f"{_interval(LENGTHS, len(sentence.split()))} words"


def spatial_bin(sentence: str) -> str:
    """By whether a word says where."""
    words = {word.strip(".,;:!?'\"()").lower() for word in sentence.split()}
    return "with" if words & set(SPATIAL.split()) else "without"


def count_bin(count: int) -> str:
    """By number of drawn objects of the same class in the image, the one that is meant included."""
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
