"""How often place words alone pick the right one among the things that sentences of one image refer to.

The judged sentence is the query and nothing else: what kind of thing a box holds is known from the sentences of other
referents only, and of the judged one nothing. Two settings: with these kinds, and by boxes alone.
Shapes: N referents of an image.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ops.evaluation.bootstrap import interval, ratio, resampled_sums
from ops.ssc.places.geometry import estimated_size, scene_of
from ops.ssc.places.grammar import Reading
from ops.ssc.places.nouns import fit, kinds_of
from ops.ssc.places.term import place_term

SURE = 0.9
"""Probability from which a choice is called sure."""


@dataclass(frozen=True, kw_only=True)
class Referred:
    """A thing of an image with all that is said of it."""

    image: str
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels."""
    expressions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The choice by one sentence."""

    image: str
    expression: str
    kinds: tuple[str, ...]
    """Kinds of place in the sentence, each once; "not side" where it is denied."""
    truth: int
    """Which of the image's boxes is meant."""
    chances: tuple[float, ...]
    """(N,) probability of each box."""
    boxes: tuple[tuple[float, float, float, float], ...]
    fitting: int
    """Boxes that may be of the kind of the sentence's noun, the right one included."""

    @property
    def hit(self) -> float:
        """1 if the most probable box is the right one; a share where several are."""
        best = max(self.chances) - 1e-9
        return (self.chances[self.truth] >= best) / sum(chance >= best for chance in self.chances)

    @property
    def surely_wrong(self) -> bool:
        """Whether another box is more than `SURE`."""
        return max(self.chances) > SURE and not self.hit

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / len(self.chances)


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Of the sentences by which the places choose."""

    rows: int
    value: float
    interval: tuple[float, float]
    """Of 95 %, by bootstrap over images."""
    chance: float
    by_kind: float
    """Accuracy of guessing among the boxes that fit the sentence's noun."""
    surely_wrong: float
    """Share of sentences."""


@dataclass(frozen=True, kw_only=True)
class PlaceEvaluation:
    """Result of `evaluate_places`."""

    sentences: int
    shared: int
    """Sentences in images with two referents or more; only these are judged."""
    spoken: int
    """Of these, sentences that state a place."""
    judged: tuple[Judged, ...]
    """Of these, sentences by whose places the boxes differ."""
    by_boxes: tuple[Judged, ...]
    """The same without any kind of thing being known."""


def evaluate_places(things: Sequence[Referred], readings: Mapping[str, Reading]) -> PlaceEvaluation:
    """Judge the places of every sentence by the boxes of its image.

    Args:
        things: referents in any order.
        readings: expression -> what it says about places.
    """
    images: dict[str, list[Referred]] = defaultdict(list)
    for thing in things:
        images[thing.image].append(thing)
    shared = [group for group in images.values() if len(group) > 1]
    said = [text for group in shared for thing in group for text in thing.expressions]
    return PlaceEvaluation(
        sentences=sum(len(thing.expressions) for thing in things),
        shared=len(said),
        spoken=sum(bool(readings[text].places) for text in said),
        judged=tuple(row for group in shared for row in _judged(group, readings, kinds=True)),
        by_boxes=tuple(row for group in shared for row in _judged(group, readings, kinds=False)),
    )


def kinds_said(expressions: Sequence[str], readings: Mapping[str, Reading]) -> frozenset[str]:
    """What a thing is by the nouns of its sentences: the kinds that half of them name, or more."""
    nouns = [noun for text in expressions if (noun := readings[text].noun)]
    counts = Counter(kind for noun in nouns for kind in kinds_of(noun))
    return frozenset(kind for kind, count in counts.items() if 2 * count >= len(nouns))


def _judged(group: Sequence[Referred], readings: Mapping[str, Reading], *, kinds: bool) -> list[Judged]:
    """The sentences of one image that choose."""
    boxes = [thing.box for thing in group]
    known = [kinds_said(thing.expressions, readings) if kinds else frozenset[str]() for thing in group]
    rows = []
    for truth, thing in enumerate(group):
        seen = [frozenset[str]() if number == truth else each for number, each in enumerate(known)]
        scene = scene_of(boxes, estimated_size(boxes), seen)
        for text in thing.expressions:
            chances_N = np.exp(place_term(readings[text], scene, range(len(group))))
            if np.ptp(chances_N) > 1e-9:
                rows.append(
                    Judged(
                        image=thing.image,
                        expression=text,
                        kinds=kinds_in(readings[text]),
                        truth=truth,
                        chances=tuple(chances_N.tolist()),
                        boxes=tuple(boxes),
                        fitting=sum(fit(kinds_of(readings[text].noun or ""), each) >= 0 for each in seen),
                    )
                )
    return rows


def kinds_in(reading: Reading) -> tuple[str, ...]:
    """Kinds of place that a sentence states, in order and each once."""
    names = (f"not {place.kind}" if place.negated else place.kind for place in reading.places)
    return tuple(dict.fromkeys(names))


def accuracy(rows: Sequence[Judged]) -> Accuracy:
    """Mean over sentences with its interval; NaN without any."""
    hits: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        hits[row.image].append(row.hit)
    return Accuracy(
        rows=len(rows),
        value=_mean([row.hit for row in rows]),
        interval=_interval([(sum(each), len(each)) for each in hits.values()]),
        chance=_mean([row.chance for row in rows]),
        by_kind=_mean([1 / row.fitting for row in rows]),
        surely_wrong=_mean([row.surely_wrong for row in rows]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _interval(images: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Of the mean of 95 % when images (sum of hits, sentences) are drawn anew; NaN without any."""
    return interval(ratio(resampled_sums(images))) if images else (float("nan"), float("nan"))
