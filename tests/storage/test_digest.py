import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.digest import canonical, digest

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclass
class Knobs:
    sigma: float = 1.0


class Rule(StrEnum):
    SPACY = "spacy"


def test_digests_are_frozen() -> None:
    # stored objects are found by these names: a change here orphans every store
    assert digest({"b": 1, "a": [1.5, None, True, "é"]}) == "ecad37590713bc7e88ad"
    assert digest([]) == "4f53cda18c2baa0c0354"
    assert canonical({"b": 1.0, "a": -0.0}) == '{"a":-0.0,"b":1.0}'


def test_order_of_keys_does_not_matter_but_order_of_lists_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


def test_equal_looking_values_of_different_types_differ() -> None:
    values = [1, 1.0, True, "1", [1], {"1": 1}, None, 0, False, 0.1, math.nextafter(0.1, 1)]
    assert len({digest(value) for value in values}) == len(values)


@given(PLAIN, PLAIN)
def test_digests_are_equal_exactly_for_equal_canonical_text(a: object, b: object) -> None:
    assert (digest(a) == digest(b)) == (canonical(a) == canonical(b))
    assert len(digest(a)) == 20


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ((1, 2), "pass a list"),
        ({1, 2}, "pass a list"),
        (Knobs(), "asdict"),
        (Path("a"), "checksum"),
        (np.float64(1.0), "item"),
        (np.arange(3), "tolist"),
        (Rule.SPACY, "str"),
        (b"x", "pass None"),
        ({1: 2}, "strings"),
    ],
)
def test_what_could_drift_is_refused_with_its_place_and_advice(value: object, advice: str) -> None:
    with pytest.raises(TypeError, match=advice) as caught:
        digest({"knobs": [value]})
    assert "value['knobs'][0]" in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        digest([value])
