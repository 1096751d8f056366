"""A person's own folder has no drawn masks: every judging stage says so, and the page is still made.

The stages that need a model are replaced by bodies that write what such a stage writes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from assets.data.source import Source
from assets.data.tables import images_in, referents_in
from assets.framework.asset_factory import build_stage_asset
from assets.framework.stage import Outcome
from assets.framework.tables import Table
from assets.framework.work import Work
from assets.segmenters.tables import HISTORY, PREDICTIONS
from assets.ssc.tables import CANDIDATES, CHOICES, GROUNDED, NOUNS, QUERIES
from assets.stages import STAGES
from resources.dagster_resources import ArtifactStore, RuntimeResource
from resources.datasets import DatasetConfig
from storage.artifact import Store
from storage.masks import encode, mask_row
from tests.assets.toy import key_of, metadata_of, planned, with_body

Ran = tuple[dg.ExecuteInProcessResult, Store]
JUDGES = ("choice_scores", "grounded_scores", "scores")
HALF = np.repeat([[True, False]], [20, 20], axis=1).repeat(30, axis=0)


def keep(work: Work, table: Table[Any], rows: list[dict[str, Any]]) -> Outcome:
    table.write(work.slot, [table.row(**row) for row in rows])
    return Outcome(metrics={"epoch chosen by": "being the last"})


def noun_phrases(work: Work) -> Outcome:
    said = work.inputs["references"].table("expressions")["expression"].to_pylist()
    return keep(work, NOUNS, [{"expression": text, "nouns": ["one"]} for text in said])


def projected_classes(work: Work) -> Outcome:
    objects = referents_in(work.inputs["references"])
    rows = [{"ref_id": o.ref_id, "image_id": o.image_id, "query": ["cup"], "classes": ["cup"]} for o in objects]
    return keep(work, QUERIES, rows)


def candidate_masks(work: Work) -> Outcome:
    return keep(work, CANDIDATES, [])


def mask_choices(work: Work) -> Outcome:
    nothing: dict[str, Any] = {"candidates": [], "scores": [], "reason": "no candidate", "chosen": None, "rle": None}
    rows = []
    for one in referents_in(work.inputs["references"]):
        image = images_in(work.inputs["references"])[one.image_id]
        row = {"ref_id": one.ref_id, "image_id": one.image_id, "height": image.height, "width": image.width}
        rows.append({**nothing, **row, "chosen_by_sentence": [-1] * len(one.expressions)})
    return keep(work, CHOICES, rows)


def zs_bootstrap(work: Work) -> Outcome:
    return keep(work, HISTORY, [{"step": 1, "loss": 1.0, "lr": 0.1}])


def predictions(work: Work) -> Outcome:
    at_model = {"rle_model": encode(np.ones((8, 8), dtype=bool)), "model_size": 8}
    objects = referents_in(work.inputs["references"])
    rows = [
        {"sent_id": sent, "ref_id": one.ref_id, **at_model, **mask_row(HALF)}
        for one in objects
        for sent in one.sent_ids
    ]
    return keep(work, PREDICTIONS, rows)


def grounded_masks(work: Work) -> Outcome:
    sentences = work.inputs["references"].table("expressions")["sent_id"].to_pylist()
    return keep(work, GROUNDED, [{"sent_id": s, "detector_score": 0.5, **mask_row(HALF)} for s in sentences])


MODEL_FREE = {
    body.__name__: with_body(STAGES[body.__name__], body)
    for body in (
        noun_phrases,
        projected_classes,
        candidate_masks,
        mask_choices,
        zs_bootstrap,
        predictions,
        grounded_masks,
    )
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ran]:
    """Everything materialized on two pictures; the parameter is the text of `expressions.csv`."""
    tmp_path = tmp_path_factory.mktemp("without_truth")
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30), "red").save(folder / name)
    Image.fromarray(HALF).save(folder / "drawn.png")
    (folder / "expressions.csv").write_text(request.param)
    config = DatasetConfig(kind="folder", root=folder, name="mine")
    source = Source(config=config, train=("train",), evaluate=("train",))
    experiment = {"targets": ["report", "grounded_scores"]}
    instances = planned(tmp_path / "files", experiment, source, {**STAGES, **MODEL_FREE})
    store = Store(tmp_path / "store")
    with dg.DagsterInstance.ephemeral() as instance:
        yield (
            dg.materialize(
                [build_stage_asset(one) for one in instances.values()],
                instance=instance,
                resources={"store": ArtifactStore(root=str(store.root)), "runtime": RuntimeResource()},
                raise_on_error=False,
            ),
            store,
        )


bare = pytest.mark.parametrize("ran", ["image,expression\na.png,the red one\nb.png,it\n"], indirect=True, ids=["bare"])
drawn = pytest.mark.parametrize(
    "ran", ["image,expression,mask\na.png,the red one,drawn.png\nb.png,it,\n"], indirect=True
)


@bare
def test_without_a_drawn_mask_every_stage_still_runs_and_scores_say_why_there_are_none(ran: Ran) -> None:
    result, store = ran
    assert result.success
    for name in JUDGES:
        assert store.resolve(key_of(name)).table("summary").num_rows == 0
        assert metadata_of(result, name)["scores"] == "no ground truth"


@bare
def test_without_a_drawn_mask_text_numbers_are_unknown_rather_than_zero(ran: Ran) -> None:
    _, store = ran
    (row,) = store.resolve(key_of("choice_scores")).table("text").to_pylist()
    assert (row["noun_hit_rate"], row["projection_accuracy"]) == (None, None)
    assert row["candidates_per_object"] == 0.0


@bare
def test_without_a_drawn_mask_the_page_is_made_and_says_so(ran: Ran) -> None:
    _, store = ran
    page = store.resolve(key_of("report")).file("report.html").read_text()
    assert "There is no ground truth to compare with" in page
    assert "data:image/jpeg;base64," in page


@drawn
def test_where_one_mask_is_drawn_that_object_alone_is_scored(ran: Ran) -> None:
    result, store = ran
    assert result.success
    rows: list[Mapping[str, Any]] = store.resolve(key_of("scores")).table("summary").to_pylist()
    assert {row["rows"] for row in rows} == {1}
    assert next(row["mIoU"] for row in rows if row["resolution"] == "original") == 1.0
