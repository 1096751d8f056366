"""S1 and S2 on an image of no data set, absent objects and plurals, with the embedded models on a little world."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assets.data.images import Pixels, read_pixels
from assets.data.tables import Referent, by_image, images_in, referents_in
from assets.segmenters.answers import Answer, each_answered
from assets.ssc.absent_objects import SAME_CLASS, THRESHOLD, TRUE
from assets.ssc.answering import KEPT, ChoosingMasks, open_choosing, remembering, settings_of
from assets.ssc.candidate_masks import Query
from assets.ssc.knobs import ChoiceKnobs
from assets.ssc.tables import (
    ABSENCE,
    CHOICES,
    QUERIES,
    CandidateRow,
    SeveralRow,
    candidates_of,
    choices_of,
    read_choices,
)
from ops.refusal import Refused
from pipelines.graph.load import load_plan
from resources.datasets import open_dataset
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.masks import Rle
from tests.homes import CHOSEN, TRY, copy_home, finish

SURE = "{extends: try, datasets: [little], targets: [mask_choices], knobs: {mask_choices: {absent: 0.9, plural: all}}}"
Finished = Mapping[str, Artifact]


@pytest.fixture(scope="module")
def home(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_home(chosen, tmp_path_factory.mktemp("home"), experiments={"try": TRY, "sure": SURE})


@pytest.fixture(scope="module")
def both(home: Path) -> Mapping[str, Finished]:
    """Experiment -> its stages up to the choice."""
    done = finish(home, stages=CHOSEN).items()
    return {name: {stage: one for (experiment, stage), one in done if experiment == name} for name in ("try", "sure")}


@pytest.fixture(scope="module")
def choosing(home: Path) -> ChoosingMasks:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        knobs = {one.stage.name: one.knobs for one in load_plan() if "try" in one.used_by}
    return open_choosing(settings_of(lambda stage: knobs[stage.name], None), Runtime(threads=1))


@pytest.fixture(scope="module")
def pictures(home: Path, both: Mapping[str, Finished]) -> Mapping[str, Pixels]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        dataset = open_dataset(next(one for one in load_plan() if one.dataset == "little").source.config)
    images = images_in(both["try"]["references"])
    return {name: read_pixels(dataset, image) for name, image in images.items()}


def sentences(referents: Sequence[Referent]) -> list[str]:
    return [text for referent in referents for text in referent.expressions]


def test_an_image_of_no_data_set_is_answered_as_the_stages_answer(
    choosing: ChoosingMasks, both: Mapping[str, Finished], pictures: Mapping[str, Pixels]
) -> None:
    done = both["try"]
    asked = {row.ref_id: row.classes for row in QUERIES.read(done["projected_classes"])}
    choices = choices_of(done["mask_choices"])
    candidates = candidates_of(done["candidate_masks"])
    compared = 0
    for image_id, referents in list(by_image(referents_in(done["references"], splits=["val"])).items()):
        offered = [
            {mask.label for mask in masks}
            for masks in choosing.offer(sentences(referents), pictures[image_id]).candidates
        ]
        there = {mask.label for mask in candidates[image_id]}
        if offered != [there & {*asked[one.ref_id]} for one in referents for _ in one.expressions]:
            continue  # a sentence by itself may be of another class than its referent's sentences together
        answers = iter(choosing(sentences(referents), pictures[image_id]))
        named = {mask.candidate: mask.mask for mask in candidates[image_id]}
        for referent in referents:
            for number in choices[referent.ref_id].chosen_by_sentence:
                answer = next(answers)
                assert (answer.mask == named[number].decode()).all()
                assert answer.found
                compared += 1
    assert compared >= 9


def test_an_image_is_searched_once_for_the_same_classes(pictures: Mapping[str, Pixels]) -> None:
    searches: list[tuple[int, ...]] = []

    def find(query: Query, pixels: Pixels) -> list[CandidateRow]:
        searches.append((pixels.shape[0], len(query.classes)))
        return []

    first, second, *_ = pictures.values()
    remembered = remembering(find)
    for pixels, classes in ((first, ["cup"]), (first.copy(), ["cup"]), (first, ["cup", "dog"]), (second, ["cup"])):
        assert remembered(Query(image_id="any", classes=classes), pixels) == []
    assert len(searches) == 3
    for number in range(KEPT):
        remembered(Query(image_id="any", classes=[str(number)]), first)
    remembered(Query(image_id="any", classes=["cup"]), first)
    assert len(searches) == 3 + KEPT + 1


def test_one_bad_sentence_does_not_lose_the_others(choosing: ChoosingMasks, pictures: Mapping[str, Pixels]) -> None:
    pixels = next(iter(pictures.values()))

    def picky(expressions: Sequence[str], pixels: Pixels) -> list[Answer]:
        if "bad" in expressions:
            raise Refused("no")
        return choosing(expressions, pixels)

    first, bad, last = each_answered(picky, ["the dog", "bad", "the cup"], pixels)
    assert isinstance(bad, Refused)
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert each_answered(picky, [], pixels) == []


def test_what_scores_below_the_threshold_is_absent_and_costs_the_stated_share(both: Mapping[str, Finished]) -> None:
    choices = both["sure"]["mask_choices"]
    metrics, rows = choices.manifest.metrics, ABSENCE.read(choices)
    threshold = float(metrics[THRESHOLD])
    true = [row.score for row in rows if row.kind == TRUE]
    swapped = [row for row in rows if row.kind != TRUE]
    assert np.mean([score >= threshold for score in true]) >= 0.9
    assert metrics["absent: true sentences lost"] == np.mean([score < threshold for score in true])
    assert metrics["absent: N-acc"] == np.mean([row.score < threshold for row in swapped])
    referents = {one.ref_id: one for one in referents_in(both["sure"]["references"])}
    spoken = Counter((one.image_id, text) for one in referents.values() for text in one.expressions)
    assert all(row.expression in referents[row.ref_id].expressions for row in rows if row.kind == TRUE)
    assert not any(spoken[row.image_id, row.expression] for row in swapped)
    usual = choices_of(both["try"]["mask_choices"])
    for row in read_choices(choices):
        before = usual[row.ref_id]
        assert before.chosen is not None
        score = row.scores[row.candidates.index(before.chosen)]
        assert score is not None
        assert (row.reason == "absent") == (score < threshold) == (row.rle is None)
        assert row.reason == "absent" or row.rle == before.rle or len(row.taken) > 1
    assert Counter(row.reason for row in read_choices(choices))["absent"] == metrics["absent"] != 0
    assert SAME_CLASS in {row.kind for row in rows}


def test_the_threshold_of_the_stage_leaves_sentences_out_of_any_image(
    choosing: ChoosingMasks, pictures: Mapping[str, Pixels]
) -> None:
    strict = open_choosing(replace(choosing.settings, threshold=1000.0), Runtime(threads=1))  # nothing is as similar
    (answer,) = strict(["the dog"], next(iter(pictures.values())))
    assert not answer.found
    assert (answer.reason, answer.confidence) in {("absent", None), ("no candidate", None)}


def test_plural_sentences_take_the_union_of_the_best_candidates(
    choosing: ChoosingMasks, both: Mapping[str, Finished], pictures: Mapping[str, Pixels]
) -> None:
    candidates = candidates_of(both["try"]["candidate_masks"])
    image_id, label = next(
        (image_id, label)
        for image_id, masks in candidates.items()
        for label, count in Counter(mask.label for mask in masks).items()
        if count >= 3
    )
    knobs = choosing.settings.choice.model_copy(update={"plural": "all", "plural_margin": 200.0, "min_area": 0.0})
    several = open_choosing(replace(choosing.settings, choice=knobs), Runtime(threads=1))
    said = [f"the {label}", f"the two {label}", f"all {label}"]
    rows = several.decide(several.offer(said, pictures[image_id]), pictures[image_id])
    assert all(isinstance(row, SeveralRow) for row in rows)
    assert [len(row.taken) for row in rows] == [1, 2, len(rows[2].candidates)]
    for row, answer in zip(rows, several(said, pictures[image_id]), strict=True):
        offered = {mask.candidate: mask.mask for mask in candidates[image_id]}
        union = Rle.union([offered[number] for number in row.taken], height=row.height, width=row.width)
        assert (answer.mask == union.decode()).all()
        assert answer.candidates == (len(row.taken), len(row.candidates))
    assert rows[2].margin is None
    assert rows[2].confidence == pytest.approx(1)


def test_the_table_of_plurals_is_read_by_all_that_read_choices(both: Mapping[str, Finished]) -> None:
    choices = both["sure"]["mask_choices"]
    assert [row.rle for row in CHOICES.read(choices)] == [row.rle for row in read_choices(choices)]
    assert {type(row) for row in read_choices(choices)} == {SeveralRow}
    assert {type(row) for row in read_choices(both["try"]["mask_choices"])} == {CHOICES.row}


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"rule": "random", "absent": 0.95}, "absent and plural go by scores"),
        ({"rule": "first", "plural": "all"}, "absent and plural go by scores"),
        ({"assign": "greedy", "plural": "all"}, "needs assign: each"),
        ({"absent": True}, "a number is wanted"),
        ({"absent": 0.0}, "greater than 0"),
    ],
)
def test_knobs_that_cannot_work_are_refused(knobs: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ChoiceKnobs.model_validate(knobs)


def test_younger_knobs_leave_old_recipes_as_they_are() -> None:
    assert not {"absent", "plural", "plural_margin"} & ChoiceKnobs().recipe().keys()
    assert {"absent", "plural"} <= ChoiceKnobs(absent=0.95, plural="all").recipe().keys()
    assert ChoiceKnobs(plural="all").models() == ChoiceKnobs(rule="global_local").models()


def test_confidence_and_margin_of_a_row() -> None:
    row = CHOICES.row(
        ref_id=1,
        image_id="a",
        candidates=[3, 4, 5],
        scores=[20.0, 21.0, None],
        reason="clip",
        chosen=4,
        chosen_by_sentence=[4],
        rle=None,
        height=2,
        width=2,
    )
    assert row.margin == 1
    assert row.confidence == pytest.approx(1 / (1 + np.exp(-1)))
    assert SeveralRow(**{**CHOICES.columns(row), "together": [3, 4]}).margin is None
