"""Which masks of experiments stand beside each other, and what is said of the others."""

from dataclasses import replace

from assets.reports.comparison.reading import FINAL, Part, final_stage, parts_of, reviews_in
from tests.galleries import simulated

CHOICE, MODEL = simulated(1, predictions=1).methods
OTHER_CHOICE, OTHER_MODEL = simulated(1, predictions=1, seed=1).methods
Parts = dict[str, tuple[str, ...]]


def told(masks: dict[str, dict[str, object]]) -> tuple[Parts, tuple[str, ...]]:
    parts, same = parts_of(masks)  # type: ignore[arg-type]
    return {part.title: (*part.masks, *(f"without {name}" for name in part.absent)) for part in parts}, same


def test_final_masks_are_those_of_the_model_that_an_experiment_is_about() -> None:
    assert final_stage(["mask_choices", "predictions", "corrected_predictions"]) == "corrected_predictions"
    assert final_stage(["selected_responses", "refined_labels"]) == "refined_labels"
    assert final_stage(["mask_choices"]) == "mask_choices"


def test_experiments_that_end_in_different_models_are_compared_by_their_final_masks_first() -> None:
    parts, same = told(
        {
            "base": {"mask_choices": CHOICE, "predictions": MODEL},
            "correct": {"mask_choices": CHOICE, "predictions": MODEL, "corrected_predictions": OTHER_MODEL},
            "tris": {"tris_predictions": OTHER_MODEL},
        }
    )
    assert list(parts.items()) == [(FINAL, ("base", "correct", "tris"))]
    assert same == (
        "ZSBootstrap: one result that base and correct share.",
        "choice (S2): one result that base and correct share.",
    )


def test_masks_that_only_some_have_say_who_lacks_them() -> None:
    parts, same = told(
        {
            "base": {"mask_choices": CHOICE, "predictions": MODEL},
            "sharp": {"mask_choices": OTHER_CHOICE, "predictions": OTHER_MODEL},
            "early": {"mask_choices": CHOICE},
            "none": {},
        }
    )
    assert list(parts.items()) == [
        (FINAL, ("base", "sharp", "early", "without none")),
        ("ZSBootstrap", ("base", "sharp", "without early", "without none")),
        ("choice (S2)", ("base", "sharp", "early", "without none")),
    ]
    assert not same


def test_a_part_says_whose_masks_it_has() -> None:
    part = Part(title=FINAL, masks={"base": CHOICE, "tris": replace(MODEL, name="TRIS")}, absent=("none",))
    assert part.note == ("base: choice (S2); tris: TRIS. Without such masks: none. The baseline here is base.")
    assert Part(title="x", masks={"base": CHOICE, "other": OTHER_CHOICE}).note == ""


def test_experiments_with_one_result_are_compared_all_the_same() -> None:
    parts, same = told({"base": {"mask_choices": CHOICE}, "twin": {"mask_choices": CHOICE}})
    assert (parts, same) == ({"choice (S2)": ("base", "twin")}, ())


def test_it_is_said_in_whose_masks_persons_had_a_hand() -> None:
    choices = dict(CHOICE.choices)
    ref_id = next(iter(choices))
    taught = replace(CHOICE, choices={**choices, ref_id: replace(choices[ref_id], reason="reviewed")})
    masks = {"base": {"mask_choices": CHOICE}, "taught": {"mask_choices": taught}, "tris": {"tris_predictions": MODEL}}
    assert list(reviews_in(masks)) == [
        f"taught is supervised in part: persons decided on 1 of {len(choices)} referents (reviews)."
    ]
