"""The term that places add to a choice: a log-probability of each candidate (see PLACES.md for every formula).

Shapes: N boxes of an image, K candidates among them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ops.ssc.places import geometry
from ops.ssc.places.geometry import Floats, Scene
from ops.ssc.places.grammar import Place, Reading
from ops.ssc.places.nouns import SEXES, fit, kinds_of

SHARPNESS = {
    "side": 12.0,
    "depth": 10.0,
    "middle": 14.0,
    "corner": 6.0,
    "end": 8.0,
    "ordinal": 1.5,
    "row": 2.0,
    "size": 2.0,
    "clock": 2.0,
    "near": 6.0,
    "beside": 10.0,
    "behind": 8.0,
    "before": 5.0,
    "between": 12.0,
}
"""Nats per unit of a kind's utility: how surely its words point at the best candidate rather than at the next one."""
DOUBT = 0.02
"""Share of statements that are taken to mean any candidate alike, whatever their words are."""
MISFIT = 6.0
"""Nats against a candidate that is known to be of another kind than the sentence's noun."""
HEARSAY = 0.5
"""Sharpness, relative to an absolute place, of a relation whose anchor is not among the boxes."""
SMALL, PROMINENCE = 0.15, 1.0
"""Share of the largest one's area below which a thing is seldom meant, and nats for each factor e below that."""
UNSEEMLY = frozenset({"smallest", "shortest", "back"})
"""Directions of things that are small in the picture."""
NEAR, ACROSS = 0.5, 0.3
"""In "left of" and the like: weights of nearness and of what lies to the other axis, relative to 1 for the side."""
DEPTHS = {"behind": "back", "before": "front"}
"""Relation in depth -> the direction from the anchor."""
HINTS = {"behind": "back"}
"""Relation to something unseen -> the absolute place that it hints at; "in front of" hints at none (measured)."""
LIKEWISE = frozenset(["one", "ones", "other", "others", "another", "two", "three", "both", "rest"])
"""Words for things of the same kind as the sentence's noun."""
Indices = NDArray[np.int64]


def place_term(reading: Reading, scene: Scene, among: Sequence[int]) -> Floats:
    """(K,) log-probability of each candidate, given what a sentence says about places.

    Args:
        reading: the sentence's places and noun.
        scene: all boxes of the image; those that are no candidates serve as landmarks.
        among: indices of the candidates.

    Returns:
        Zeros where the sentence says nothing about places that the scene can show, or there is nothing to choose.
    """
    rows = np.asarray(among, np.int64)
    total = np.zeros(len(rows))
    if len(rows) < 2 or not reading.places:
        return total
    wanted = kinds_of(reading.noun or "")
    scene = _supposed(scene, rows, wanted)
    fits_K = np.array([fit(wanted, scene.kinds_N[row]) for row in rows])
    alike_K = np.array([fit(wanted - SEXES, scene.kinds_N[row]) for row in rows])
    peers = rows[alike_K >= 0] if (alike_K >= 0).any() else rows
    asked = Question(scene=scene, rows=rows, peers=peers, places=reading.places, wanted=wanted)
    heard = [said for place in reading.places if (said := _said(place, asked)) is not None]
    if not heard:
        return total
    return log_softmax(np.sum(heard, axis=0) + _prominence(asked) - MISFIT * (fits_K < 0))


def _supposed(scene: Scene, rows: Indices, wanted: frozenset[str]) -> Scene:
    """Candidates of no known kind are taken to be of the kind asked for."""
    kinds = list(scene.kinds_N)
    for row in rows:
        kinds[row] = kinds[row] or wanted
    return replace(scene, kinds_N=tuple(kinds))


def log_softmax(values: Floats) -> Floats:
    """Log-probabilities of scores in nats."""
    shifted: Floats = values - values.max()
    return shifted - np.log(np.exp(shifted).sum())


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a statement is judged against."""

    scene: Scene
    rows: Indices
    """The candidates."""
    peers: Indices
    """Those that may be of the kind asked for: ordinals count among them."""
    places: tuple[Place, ...]
    """All statements of the sentence."""
    wanted: frozenset[str]
    """Kinds of the sentence's noun."""


def _said(place: Place, asked: Question) -> Floats | None:
    """(K,) log-probabilities by one statement; None if it says nothing about these boxes."""
    utility_N = UTILITIES[place.kind](place, asked)
    if utility_N is None:
        return None
    chances_K = np.exp(log_softmax(utility_N[asked.rows]))
    if place.negated:
        chances_K = (1 - chances_K) / (len(chances_K) - 1)
    said_K: Floats = np.log((1 - DOUBT) * chances_K + DOUBT / len(chances_K))
    return said_K


def _prominence(asked: Question) -> Floats:
    """(K,) nats against things much smaller than the largest that may be meant, unless the sentence speaks of such."""
    if any(place.kind == "behind" or place.direction in UNSEEMLY for place in asked.places):
        return np.zeros(len(asked.rows))
    areas_N = np.maximum(asked.scene.areas_N, 1e-6)
    small_K: Floats = np.log(areas_N[asked.rows] / (SMALL * areas_N[asked.peers].max()))
    return PROMINENCE * np.minimum(small_K, 0)


def _towards(place: Place, asked: Question) -> Floats | None:
    return SHARPNESS[place.kind] * geometry.towards(asked.scene, place.direction)


def _middle(place: Place, asked: Question) -> Floats | None:
    return SHARPNESS["middle"] * geometry.middle(asked.scene, asked.peers)


def _corner(place: Place, asked: Question) -> Floats | None:
    return SHARPNESS["corner"] * geometry.corner(asked.scene)


def _end(place: Place, asked: Question) -> Floats | None:
    return SHARPNESS["end"] * geometry.end(asked.scene)


def _clock(place: Place, asked: Question) -> Floats | None:
    return SHARPNESS["clock"] * geometry.clock(asked.scene, int(place.direction))


def _ordinal(place: Place, asked: Question) -> Floats | None:
    """By the difference of ranks, among the members of a row if one is named."""
    row = next((other for other in asked.places if other.kind == "row"), None)
    counted = asked.peers if row is None else _members(row, asked)
    utilities = []
    for direction in [place.direction] if place.direction else _directions(asked):
        ranks_N, count = geometry.ranks(asked.scene, direction, counted)
        utilities.append(-np.abs(ranks_N - _index(place.rank, count)))
    return SHARPNESS["ordinal"] * np.max(utilities, axis=0)


def _directions(asked: Question) -> list[str]:
    """Where an ordinal is counted from that does not say it: from a side that the sentence names, or from either."""
    named = [place.direction for place in asked.places if place.kind in ("side", "depth") and not place.negated]
    return named[:1] or ["left", "right"]


def _index(rank: int, count: int) -> int:
    """Place in a list of `count`, from 0; ranks beyond its end mean the last one."""
    return int(np.clip(rank - 1 if rank > 0 else count + rank, 0, count - 1))


def _row(place: Place, asked: Question) -> Floats | None:
    """By the difference of rows, or by height where all stand in one."""
    lines_N = geometry.lines(asked.scene, asked.peers)
    count = int(lines_N.max()) + 1
    if count == 1:
        if place.direction == "middle" or place.rank != 1:
            return None
        return SHARPNESS["side"] * geometry.towards(asked.scene, place.direction)
    return -SHARPNESS["row"] * np.abs(lines_N - _line(place, count))


def _line(place: Place, count: int) -> float:
    """Number of the row that is meant, 0 for the upmost."""
    if place.direction == "middle":
        return (count - 1) / 2
    index = _index(place.rank, count)
    return index if place.direction in ("top", "back") else count - 1 - index


def _members(row: Place, asked: Question) -> Indices:
    """The peers that stand in a row."""
    lines_N = geometry.lines(asked.scene, asked.peers)
    away = np.abs(lines_N - _line(row, int(lines_N.max()) + 1))[asked.peers]
    return asked.peers[away <= away.min()]


def _relation(place: Place, asked: Question) -> Floats | None:
    """The best over all anchors that may be meant; an anchor is not the referent itself."""
    anchors = _anchors(place, asked)
    if not anchors:
        direction = HINTS.get(place.kind, place.direction)
        return HEARSAY * SHARPNESS[place.kind] * geometry.towards(asked.scene, direction) if direction else None
    utilities = []
    for anchor, penalty in anchors:
        utility_N = SHARPNESS[place.kind] * _related(place, asked.scene, anchor) - penalty
        utility_N[anchor] = -np.inf
        utilities.append(utility_N)
    best_N: Floats = np.maximum(np.max(utilities, axis=0), -20.0)
    return best_N


def _related(place: Place, scene: Scene, anchor: int) -> Floats:
    """Nearness to the anchor, and lying on the right side of it rather than beside that."""
    near_N = -geometry.gaps(scene, anchor)
    if place.kind == "near":
        return near_N
    direction = DEPTHS.get(place.kind, place.direction)
    ahead_N = geometry.towards(scene, direction)
    clear_N = np.minimum(ahead_N - ahead_N[anchor], geometry.CLEAR)
    across = 1 if direction in ("left", "right") else 0
    return clear_N + NEAR * near_N - ACROSS * np.abs(scene.centres_N2 - scene.centres_N2[anchor])[:, across]


def _between(place: Place, asked: Question) -> Floats | None:
    """Nearness to the middle of all anchors, or of all candidates where fewer than two are seen."""
    anchors = [anchor for anchor, _ in _anchors(place, asked)]
    return SHARPNESS["between"] * geometry.amid(asked.scene, anchors if len(anchors) > 1 else asked.rows)


def _anchors(place: Place, asked: Question) -> list[tuple[int, float]]:
    """Boxes of the anchor's kind, each with the nats that speak against its being meant."""
    kinds, scene = asked.wanted if place.anchor in LIKEWISE else kinds_of(place.anchor), asked.scene
    found = np.array([row for row, known in enumerate(scene.kinds_N) if kinds and fit(kinds, known) > 0], np.int64)
    if not len(found):
        return []
    question = Question(scene=scene, rows=found, peers=found, places=place.anchor_places, wanted=kinds)
    said = [heard for inner in place.anchor_places if (heard := _said(inner, question)) is not None]
    against = -log_softmax(np.sum(said, axis=0)) if said and len(found) > 1 else np.zeros(len(found))
    return list(zip(found.tolist(), against.tolist(), strict=True))


Utility = Callable[[Place, Question], Floats | None]
UTILITIES: dict[str, Utility] = {
    "side": _towards,
    "depth": _towards,
    "size": _towards,
    "middle": _middle,
    "corner": _corner,
    "end": _end,
    "clock": _clock,
    "ordinal": _ordinal,
    "row": _row,
    "near": _relation,
    "beside": _relation,
    "behind": _relation,
    "before": _relation,
    "between": _between,
}
"""Kind of place -> (N,) utility in nats, or None."""
