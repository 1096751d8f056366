"""Which choices a page names as the least sure."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from assets.data.tables import Referent
from assets.reports.certainty import absence, certainty_of, is_calibration, least_sure, least_sure_first, reviewed, told
from assets.ssc.tables import ChoiceRow
from tests.homes import finish


def choice(ref_id: int, *scores: float | None) -> ChoiceRow:
    return ChoiceRow(
        ref_id=ref_id,
        image_id="a",
        candidates=list(range(len(scores))),
        scores=list(scores),
        reason="clip",
        chosen=0,
        chosen_by_sentence=[],
        rle=None,
        height=1,
        width=1,
    )


REFERENTS = [
    Referent(ref_id=n, object_id="", image_id="a", split="val", sent_ids=[n], expressions=[f"<{n}>"]) for n in range(4)
]
CHOICES = {0: choice(0, 30.0, 20.0), 1: choice(1, None), 2: choice(2, 25.0, 24.5)}


def test_small_margins_come_first_and_what_was_not_compared_last() -> None:
    assert [one.ref_id for one in least_sure_first(REFERENTS, CHOICES)] == [2, 0, 1, 3]
    table = least_sure(REFERENTS, CHOICES)
    assert table is not None
    assert table.rows == [("<2>", "clip", "2", "0.62", "0.50"), ("<0>", "clip", "2", "1.00", "10.00")]
    assert table.words == 2
    assert least_sure(REFERENTS[1:2], CHOICES) is None


def test_a_choice_and_a_threshold_in_words() -> None:
    assert told(CHOICES[2]) == "clip, confidence 0.62, margin 0.50"
    assert told(CHOICES[1]) == "clip"
    metrics = {"absent": 3, "absent: threshold": 21.5, "absent: N-acc": 0.8, "absent: true sentences lost": 0.05}
    artifact = cast(Any, SimpleNamespace(manifest=SimpleNamespace(metrics=metrics)))
    assert absence(artifact).startswith("What scores below 21.50 is absent and gets no mask: 80.0 % of sentences")
    assert [name for name in metrics if not is_calibration(name)] == ["absent"]
    assert absence(cast(Any, SimpleNamespace(manifest=SimpleNamespace(metrics={"clip": 3})))) == ""


def test_choices_of_persons_are_counted_and_are_not_unsure() -> None:
    persons = {ref_id: replace(CHOICES[2], reason=f"reviewed{what}") for ref_id, what in enumerate(("", ": none"))}
    rows = {**persons, 2: CHOICES[2], 3: replace(CHOICES[2], reason="clip; reviewed mask is gone")}
    assert reviewed(certainty_of(rows.values())).startswith(
        "Supervised: 2 of 4 referents have a mask that a person chose or refused"
    )
    assert reviewed(certainty_of(CHOICES.values())) == ""
    assert [one.ref_id for one in least_sure_first(REFERENTS, rows)] == [2, 3, 0, 1]


def test_the_page_of_an_experiment_names_them(corrected: Path) -> None:
    report = {stage: artifact for (_, stage), artifact in finish(corrected).items()}["report"]
    page = report.file("report.html").read_text()
    assert "The least sure choices</h3>" in page
    assert ", chosen</b>" in page.split("<h2>What CLIP sees of the candidates</h2>")[1]
    assert "confidence " in page
