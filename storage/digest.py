"""Digests of plain data: what names recipes, fingerprints and units.

A digest must never change between versions of wordmask or of Python: every stored object is found by one. It therefore
takes plain JSON values only, and refuses everything whose text form could drift.
"""

import hashlib
import json
import math

DIGEST_LENGTH = 20
"""Hex digits kept of the SHA-256: 80 bits, so that a billion objects collide with a chance below 1e-6."""


def digest(value: object) -> str:
    """Name `value` by 20 hex digits that are equal exactly for equal values.

    Mappings are equal whatever the order of their keys; 1, 1.0 and True are three values; floats count with every bit.

    Args:
        value: None, bool, int, finite float, str, and lists and string-keyed dicts of these.

    Raises:
        TypeError: another type, with the place where it was found and what to pass instead.
        ValueError: a float that is not finite.
    """
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()[:DIGEST_LENGTH]


def canonical(value: object) -> str:
    """The one JSON text of `value`: sorted keys, no spaces, ASCII only; raises as `digest` does."""
    _check(value, "value")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _check(value: object, place: str) -> None:
    kind = type(value)  # exact types: an enum or a numpy float is a subclass whose text form is not ours to promise
    if value is None or kind in (bool, int, str):
        return
    if isinstance(value, float) and kind is float:
        if not math.isfinite(value):
            raise ValueError(f"{place} is {value}; a recipe holds finite numbers only, use None for 'not set'.")
    elif isinstance(value, list) and kind is list:
        for index, item in enumerate(value):
            _check(item, f"{place}[{index}]")
    elif isinstance(value, dict) and kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(f"{place} has the key {key!r}; a recipe's keys are strings, convert it with str().")
            _check(item, f"{place}[{key!r}]")
    else:
        raise TypeError(f"{place} is a {kind.__name__}; {_advice(kind)}.")


def _advice(kind: type) -> str:
    if kind is tuple or kind in (set, frozenset):
        return "pass a list (sorted, for a set)"
    if hasattr(kind, "__dataclass_fields__"):
        return "pass dataclasses.asdict() of it, or a dict of the fields that matter"
    if hasattr(kind, "__fspath__"):
        return "a path is not content: pass a checksum or a name relative to the data set"
    if kind.__module__ == "numpy":
        return "convert it with .item() or .tolist()"
    return "pass None, bool, int, float, str, list or dict"
