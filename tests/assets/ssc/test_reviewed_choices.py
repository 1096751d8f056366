"""Decisions of persons in S2: exactly their rows are computed anew, and say that they are supervised."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from assets.data.tables import images_in, referents_in
from assets.framework.asset_factory import run_stage
from assets.framework.stage import StageInstance
from assets.ssc.imported_masks import fingerprint_of
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.review_keys import mask_key, referent_keys
from assets.ssc.reviewed_choices import GONE, Reviewed
from assets.ssc.tables import CHOICES, ChoiceRow, SeveralRow, candidates_of, read_rule_choices
from ops.refusal import Refused
from pipelines.graph.load import planned
from pipelines.graph.state import IMPORTED_ANEW, states_of
from resources import reviews
from resources.reviews import Decision, Verdict, decide, undo
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from tests.homes import TRY, copy_home

REVIEWED = "{extends: try, datasets: [little], targets: [mask_choices], knobs: {mask_choices: {reviews: on}}}"
REFUSED: tuple[Verdict, ...] = ("none", "absent", "mask")
Finish = Callable[[], dict[str, Artifact]]


@pytest.fixture
def home(chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path / "home"))
    return copy_home(chosen, tmp_path / "home", experiments={"try": TRY, "reviewed": REVIEWED})


def last() -> StageInstance:
    return planned("little", "reviewed")[-1]


@pytest.fixture
def finish(home: Path) -> Finish:
    """Run what the reviewed experiment lacks; its artifacts."""

    def finished() -> dict[str, Artifact]:
        store = Store(home / "store")
        return {
            one.stage.name: run_stage(one, store, Runtime(threads=1), lambda _: None)
            for one in planned("little", "reviewed")
        }

    return finished


def test_ten_decisions_compute_ten_rows_and_no_choice_of_the_rule(home: Path, finish: Finish) -> None:
    made = finish()
    choices = made["mask_choices"]
    assert (choices.manifest.rows["rule_choices"].computed, choices.manifest.rows["choices"].reused) == (0, 0)
    rule = CHOICES.read(choices)
    assert rule == CHOICES.read(begun(home)["mask_choices"])

    images, candidates = images_in(made["references"]), candidates_of(made["candidate_masks"])
    keys = referent_keys(referents_in(made["references"]), images)
    several = [row for row in rule if len(row.candidates) > 1 and row.chosen is not None][:7]
    others = [row for row in rule if row not in several][:3]
    wanted: dict[int, ChoiceRow] = {}
    for row in several:
        image = images[row.image_id]
        other = next(one for one in candidates[row.image_id] if one.candidate in set(row.candidates) - {row.chosen})
        said = {"image": image.sha256, "referent": keys[row.ref_id]}
        decide("little", "ada", **said, decision="mask", mask=mask_key(image, other.mask))
        wanted[row.ref_id] = changed(row, "reviewed", other.candidate, other.rle)
    for row, decision in zip(others, REFUSED, strict=True):
        said = {"image": images[row.image_id].sha256, "referent": keys[row.ref_id]}
        decide("little", "bob", **said, decision=decision, mask="0" * 20 if decision == "mask" else "")
        gone = ChoiceRow(**{**vars(row), "reason": f"{row.reason}; {GONE}"})
        wanted[row.ref_id] = gone if decision == "mask" else changed(row, f"reviewed: {decision}", None, None)
    decide("little", "eve", image="0" * 64, referent="f" * 20, decision="none")  # nobody's referent
    store = Store(home / "store")
    states = states_of(planned("little", "reviewed"), store)
    assert str(states[last().key]) == f"stale: {IMPORTED_ANEW}"
    assert {str(state) for key, state in states.items() if key != last().key} == {"ready"}

    choices = finish()["mask_choices"]
    tallies = choices.manifest.rows
    assert (tallies["choices"].computed, tallies["choices"].reused) == (10, len(rule) - 10)
    assert tallies["rule_choices"].computed == 0
    assert CHOICES.read(choices) == [wanted.get(row.ref_id, row) for row in rule]
    assert list(read_rule_choices(choices)) == rule
    assert choices.manifest.metrics["reviewed"] == 7
    supervised = [row for row in CHOICES.read(choices) if row.by_person]
    assert [(len(supervised), {row.margin for row in supervised})] == [(9, {None})]

    undo("little", "bob", keys[others[0].ref_id])  # what it was before lies in an earlier artifact
    choices = finish()["mask_choices"]
    assert choices.manifest.rows["choices"].computed == 0
    assert CHOICES.read(choices)[rule.index(others[0])] == others[0]


def changed(row: ChoiceRow, reason: str, chosen: int | None, rle: bytes | None) -> ChoiceRow:
    alone = [-1 if chosen is None else chosen] * len(row.chosen_by_sentence)
    return ChoiceRow(**{**vars(row), "reason": reason, "chosen": chosen, "chosen_by_sentence": alone, "rle": rle})


def test_a_run_uses_the_decisions_that_it_began_with(
    home: Path, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = finish()
    row, image = CHOICES.read(made["mask_choices"])[0], images_in(made["references"])
    keys = referent_keys(referents_in(made["references"]), image)
    said = {"image": image[row.image_id].sha256, "referent": keys[row.ref_id]}
    decide("little", "ada", **said, decision="none")
    read = reviews.read_reviews

    def and_another(dataset: str) -> reviews.Reviews:  # appended while the stage runs
        decide("little", "ada", **said, decision="absent")
        return read(dataset)

    monkeypatch.setattr("assets.ssc.reviewed_choices.read_reviews", and_another)
    assert CHOICES.read(finish()["mask_choices"])[0].reason == "reviewed: none"
    assert str(states_of(planned("little", "reviewed"), Store(home / "store"))[last().key]).startswith("stale")
    monkeypatch.setattr("assets.ssc.reviewed_choices.read_reviews", lambda _: reviews.Reviews(()))
    with pytest.raises(Refused, match="the reviews or an import were replaced while this stage began"):
        finish()


def test_several_candidates_become_the_one_that_a_person_chose(home: Path) -> None:
    made = begun(home)
    row = next(row for row in CHOICES.read(made["mask_choices"]) if len(row.candidates) > 1)
    image = images_in(made["references"])[row.image_id]
    candidates = candidates_of(made["candidate_masks"])[row.image_id]
    both = SeveralRow(**vars(row), together=row.candidates[:2])
    second = next(one for one in candidates if one.candidate == row.candidates[1])
    line = Decision(when="", who="", image="", referent="", decision="mask", mask=mask_key(image, second.mask))
    for verdict, together in ((line, [second.candidate]), (replace(line, decision="none", mask=""), [])):
        found = Reviewed.of(both, verdict, candidates, image).row()
        assert isinstance(found, SeveralRow)
        assert (found.together, found.taken) == (together, together)


def test_only_a_knob_that_is_on_reads_decisions() -> None:
    assert ChoiceKnobs().recipe() == ChoiceKnobs(reviews=False).recipe()
    assert "reviews" not in ChoiceKnobs().recipe()
    assert ChoiceKnobs(reviews=True).recipe() == {**ChoiceKnobs().recipe(), "reviews": True}
    taught = ChoiceKnobs(rule="imported", teacher="lens", reviews=True)
    assert taught.recipe() == {"rule": "imported", "teacher": "lens", "reviews": True}
    assert taught.relatives() == (ChoiceKnobs(rule="imported", teacher="lens"),)
    assert fingerprint_of("teacher", None) == "teacher"
    assert len({fingerprint_of("teacher", one) for one in (None, "a", "b")}) == 3


def test_referents_with_equal_sentences_in_one_image_are_told_apart(home: Path) -> None:
    references = begun(home)["references"]
    one = referents_in(references)[0]
    twin = replace(one, ref_id=-1, object_id="another")
    assert len(set(referent_keys([one, twin], images_in(references)).values())) == 2


def begun(home: Path) -> dict[str, Artifact]:
    """What the experiment `try` has made."""
    store = Store(home / "store")
    keys = {one.stage.name: one.key for one in planned("little", "try")}
    return {name: store.resolve(keys[name]) for name in ("references", "candidate_masks", "mask_choices")}
