"""The term of a choice that places give: a log-probability of each candidate (see PLACES.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ops.ssc.places import geometry
from ops.ssc.places.geometry import Floats, Scene
from ops.ssc.places.grammar import RELATIONS, Place, Reading
from ops.ssc.places.nouns import fit, kinds_of

P = dict(side=12.0, updown=12.0, depth=6.0, middle=12.0, corner=6.0, end=8.0, ordinal=2.5, row=8.0, size=2.0, clock=2.0,
  near=6.0, beside=10.0, misfit=4.0, fits=0.0, eps=0.02, fallback=0.5, first="left", depthmix=0.25, between=8.0, posw=2.0)


def log_softmax(values: Floats) -> Floats:
    shifted = values - values.max()
    return shifted - np.log(np.exp(shifted).sum())


def place_term(reading: Reading, scene: Scene, among: Sequence[int]) -> Floats:
    """(len(among),) log-score of each candidate; zeros where the sentence says nothing about places."""
    rows = np.asarray(among, int)
    if not reading.places or len(rows) < 2:
        return np.zeros(len(rows))
    wanted = kinds_of(reading.noun) if reading.noun else frozenset()
    fits = np.array([fit(wanted, scene.kinds_N[i]) for i in rows])
    peers = rows[fits >= 0] if (fits >= 0).any() else rows
    total = np.zeros(len(rows))
    row = next((p for p in reading.places if p.kind == "row"), None)
    for place in reading.places:
        u = utility(place, scene, peers, rows, row)
        if u is None: continue
        logp = log_softmax(u[rows])
        p = np.exp(logp)
        if place.negated:
            p = (1 - p) / max(1e-9, (1 - p).sum())
        p = (1 - P["eps"]) * p + P["eps"] / len(rows)
        total += np.log(p)
    if not total.any(): return total
    total = total - P["misfit"] * (fits < 0) + P["fits"]*(fits>0)
    return log_softmax(total)


def ranks(u, rows, peers):
    """rank of every row among peers by descending u (0 = first)."""
    return np.array([(u[peers] > u[i] + 1e-9).sum() for i in rows], float)


def utility(place: Place, scene: Scene, peers, rows, row=None):
    n = len(scene.kinds_N)
    k, d = place.kind, place.direction
    if k == "side":
        return P["side" if d in ("left", "right") else "updown"] * geometry.towards(scene, d)
    if k == "depth":
        return P["depth"] * geometry.towards(scene, d)
    if k == "size":
        return P["size"] * geometry.towards(scene, d)
    if k == "middle": return P["middle"] * geometry.middle(scene)
    if k == "corner": return P["corner"] * geometry.corner(scene)
    if k == "end": return P["end"] * geometry.end(scene)
    if k == "clock": return P["clock"] * geometry.clock(scene, int(d))
    if k == "row":
        if place.rank != 1 or d == "middle":
            return None if d != "middle" else -P["row"] * np.abs(scene.centres_N2[:, 1] - .5)
        return P["row"] * geometry.towards(scene, d)
    if k == "ordinal":
        direction = d or P["first"]
        if not direction: return None
        t = geometry.towards(scene, direction)
        out = np.zeros(n)
        r = ranks(t, rows, peers)
        m = len(peers)
        want = place.rank - 1 if place.rank > 0 else m + place.rank
        want = min(max(want, 0), m - 1)
        out[rows] = -P["ordinal"] * np.abs(r - want) + P["posw"]*t[rows]
        return out
    # relations
    anchors = find_anchors(place, scene, rows)
    if k == "between":
        return between(place, scene, anchors, rows)
    if not anchors:
        if k == "beside": return P["fallback"] * P["side" if d in ("left", "right") else "updown"] * geometry.towards(scene, d)
        if k == "behind": return P["fallback"] * P["depth"] * geometry.towards(scene, "back")
        if k == "before": return P["fallback"] * P["depth"] * geometry.towards(scene, "front")
        return None
    us = []
    for a, weight in anchors:
        rel = relation(place, scene, a)
        rel[a] = -10
        us.append(rel + weight)
    return np.max(us, axis=0)


def find_anchors(place, scene, rows):
    kinds = kinds_of(place.anchor)
    if not kinds: return []
    found = [i for i in range(len(scene.kinds_N)) if fit(kinds, scene.kinds_N[i]) > 0]
    if not found: return []
    w = np.zeros(len(scene.kinds_N))
    for p in place.anchor_places:
        u = utility(p, scene, np.array(found), np.array(found))
        if u is not None: w = w + u
    return [(i, w[i] - max(w[j] for j in found)) for i in found]


def relation(place, scene, a):
    k, d = place.kind, place.direction
    gap = geometry.gaps(scene, a)
    c = scene.centres_N2 - scene.centres_N2[a]
    if k == "near": return -P["near"] * gap
    if k == "beside":
        t = geometry.towards(scene, d); t = t - t[a]
        return P["beside"] * np.minimum(t, 0.1) - P["near"] * .5 * gap
    sign = 1 if k == "before" else -1
    t = geometry.towards(scene, "front"); t = sign * (t - t[a])
    return P["depth"] * np.minimum(t, .1) - P["near"] * .5 * gap


def between(place, scene, anchors, rows):
    if len(anchors) >= 2:
        c = scene.centres_N2[[i for i, _ in anchors]]
        lo, hi = c.min(0), c.max(0)
        m = (lo + hi) / 2
        return -P["between"] * np.linalg.norm((scene.centres_N2 - m) * [1, .5], axis=1)
    if not place.anchor_places and False: return None
    c = scene.centres_N2[rows]
    m = (c.min(0) + c.max(0)) / 2
    return -P["between"] * np.abs(scene.centres_N2 - m)[:, 0]
