"""What the networks cost, as `wordmask cost` counts it."""

import pytest

from ops.tris.response import ResponseConfig
from ops.tris.segmenter import SegmenterConfig
from resources.models.network_costs import costs_of, lavt_and_meres, students, tris_steps


@pytest.mark.slow
def test_tris_at_full_size_costs_what_its_supplement_says() -> None:
    step_1, step_2 = costs_of(tris_steps("RN50", ResponseConfig(), SegmenterConfig()), repeats=1, device="cpu")
    assert (step_1.parameters, step_2.parameters) == (113_559_906, 142_085_869)
    assert [round(one.multiply_adds.total / 1e9, 3) for one in (step_1, step_2)] == [12.403, 21.256]


@pytest.mark.slow
def test_lavt_and_meres_at_full_size() -> None:
    lavt, meres = costs_of(lavt_and_meres("swin_b"), repeats=1, device="cpu")
    assert (lavt.parameters, meres.parameters) == (227_739_514, 254_105_467)
    last_gate = 2 * 15 * 15 * 1024**2 / 1e9  # published code computes it for nothing, ours does not
    assert lavt.multiply_adds.products / 1e9 == pytest.approx(199 - last_gate, abs=0.1)


def test_embedded_networks_are_timed() -> None:
    candidates = [
        *tris_steps("embedded", ResponseConfig(image_size=96, width=32), SegmenterConfig(image_size=96)),
        *lavt_and_meres("embedded"),
    ]
    found = costs_of(candidates, repeats=1, device="cpu")
    assert [one.name for one in found] == ["TRIS Step 1", "TRIS Step 2", "LAVT", "MERES"]
    for one in found:
        assert one.milliseconds is not None
        assert one.milliseconds > 0
        assert one.multiply_adds.products > one.multiply_adds.norms > 0


def test_without_repeats_nothing_is_timed() -> None:
    (first, _) = costs_of(tris_steps("embedded", ResponseConfig(), SegmenterConfig()), repeats=0, device="cpu")
    assert first.milliseconds is None


@pytest.mark.slow
def test_the_student_is_a_quarter_of_the_full_lavt_and_most_of_its_decoder_is_saved() -> None:
    student, wide = costs_of(students(), repeats=0, device="cpu")
    assert student.parameters == 58_298_748
    assert wide.multiply_adds.products > 3 * student.multiply_adds.products
