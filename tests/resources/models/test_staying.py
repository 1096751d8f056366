"""Loaded models stay while there is room, and no longer than they are right."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from resources.models import staying
from resources.models.loading import open_clip_model, open_parser
from resources.runtime import Runtime


class Model:
    """Of which only the identity counts."""


loads: list[str] = []


@staying.staying("clip_vit")
def open_model(name: str, runtime: Runtime) -> Model:
    """A new one, and a line in `loads`."""
    loads.append(f"{name} {runtime.device}")
    return Model()


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """With no model of another test."""
    loads.clear()
    staying.let_go()
    yield
    staying.let_go()


def opened(**settings: Any) -> int:
    """Open one that nobody holds afterwards; the number of loads so far."""
    open_model("embedded", Runtime(device="cpu", **settings))
    gc.collect()
    return len(loads)


def test_a_second_stage_has_it_at_once() -> None:
    runtime = Runtime(device="cpu")
    first, again = open_model("embedded", Runtime(device="cpu")), open_model("embedded", runtime)
    assert first is again
    assert loads == ["embedded cpu"]
    assert runtime.resolved == {"device": "cpu"}  # a manifest says it, whoever loaded the model
    assert opened(compile=True) == 2
    assert opened(threads=1) == 2


def test_other_weights_are_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened() == 1
    monkeypatch.setattr("resources.models.refs.identity", lambda *_: "changed")
    assert opened() == 2


@pytest.mark.parametrize(("room", "expected"), [(10**12, 1), (0, 2)])
def test_without_room_it_goes_with_its_last_user(monkeypatch: pytest.MonkeyPatch, room: int, expected: int) -> None:
    monkeypatch.setattr(staying, "available_memory", lambda: room)
    opened()
    assert opened() == expected
    held = open_model("embedded", Runtime(device="cpu"))
    staying.let_go()
    assert open_model("embedded", Runtime(device="cpu")) is held


def test_the_longest_unused_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staying, "_size", lambda _: 10)
    monkeypatch.setattr(staying, "available_memory", lambda: 20 * staying.SHARE)
    opened(), opened(compile=True)
    assert opened() == 2
    open_model("embedded/clip_rn", Runtime(device="cpu"))  # the compiled one makes room
    assert opened() == 3
    assert opened(compile=True) == 4


def test_openers_of_models_that_learn_nothing_keep_them() -> None:
    assert open_parser("embedded") is open_parser("embedded")
    assert open_clip_model("embedded", Runtime(device="cpu")) is open_clip_model("embedded", Runtime(device="cpu"))
