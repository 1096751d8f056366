"""TRIS on a tiny drawn world, from expressions to scores: what every stage leaves for the next, and what it reads."""

import io
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

from assets.data.images import read_image
from assets.data.tables import ground_truth_of, images_in, referents_in
from assets.framework.asset_factory import run_stage
from assets.framework.training import plan_of
from assets.framework.work import Work
from assets.segmenters.knobs import BootstrapKnobs
from assets.segmenters.load import bf16_of
from assets.tris.figures import TrisFigures
from assets.tris.irnet import SeedPairs
from assets.tris.knobs import LocalisationKnobs, PredictionKnobs, ResponseKnobs, SelectionKnobs
from assets.tris.load import read_irnet, read_response_model, squashed
from assets.tris.localisation_scores import annotated_box
from assets.tris.predict import open_tris_segmenter
from assets.tris.response_maps import read_maps
from assets.tris.seeds import SelectedMaps
from assets.tris.tables import LOCATED, SEEDS
from assets.tris.train import loss_weights
from ops.evaluation.iou import ScoreState, intersection_union
from ops.images import to_tensor
from ops.segmenters.training import SegmenterPlan
from ops.tris.irnet import edges_and_displacements
from ops.tris.losses import PRESETS
from ops.tris.pseudo_labels import refined_masks
from ops.tris.response import respond
from ops.tris.training import TrisPlan
from pipelines.commands.report import report_table
from pipelines.graph.load import load_plan
from resources.datasets.images import load_image
from resources.runtime import Precision, Runtime
from storage.arrays import read_array
from storage.artifact import Artifact, Slot, Store
from storage.masks import decode
from storage.weights import load_weights
from tests.assets.framework.forked import launch_forked
from tests.homes import copy_home, finish

EXPERIMENT = """
extends: tris
datasets: [little]
knobs:
  tris_response_model: {image_size: 96, epochs: 1, batch_size: 12, width: 32}
  refined_labels: {taught_images: 4, epochs: 1, batch_size: 4, crop: 76}
  tris_segmenter: {image_size: 96, epochs: 1, batch_size: 12, laterals: [8, 8, 16, 16], finest: 8}
  response_scores: {training_references: 7}
  tris_report: {examples: 2}
"""
Finished = dict[str, Artifact]
SCORED = ("val", "testA", "testB")


@pytest.fixture(scope="module")
def home(described: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a world and an experiment."""
    return copy_home(described, tmp_path_factory.mktemp("home"), experiments={"try": EXPERIMENT})


@pytest.fixture(scope="module")
def finished(home: Path) -> Finished:
    """Every stage of TRIS, run once."""
    return {stage: artifact for (_, stage), artifact in finish(home).items()}


@pytest.fixture
def pictures(finished: Finished, home: Path, monkeypatch: pytest.MonkeyPatch) -> TrisFigures:
    """What the page draws with."""
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    (one,) = [one for one in load_plan() if one.key == ("little", "try", "tris_report")]
    inputs, nowhere = {name: finished[name] for name in one.inputs}, cast(Slot, None)
    return TrisFigures(
        Work(instance=one, inputs=inputs, slot=nowhere, reuse=(), runtime=Runtime(threads=1), log=lambda _: None)
    )


def test_every_expression_has_a_map_with_the_rule_to_enlarge_it(finished: Finished) -> None:
    array, attributes = read_array(finished["response_maps"].file("responses.zarr"))
    said = [sent for one in referents_in(finished["references"]) for sent in one.sent_ids]
    index = finished["response_maps"].table("index").to_pylist()
    assert sorted(row["sent_id"] for row in index) == sorted(said)
    assert [row["row"] for row in index] == list(range(len(array)))
    assert array.shape == (len(said), 3, 3)
    assert array.dtype == np.float16
    assert attributes["image_size"] == 96
    assert "corners not aligned" in attributes["rule"]


@pytest.mark.slow
def test_both_networks_train_in_two_processes(
    finished: Finished, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = copy_home(home, tmp_path / "copied", experiments={"try": EXPERIMENT})
    monkeypatch.setenv("WORDMASK_HOME", str(copied))
    runtime, store = Runtime(processes=2, force=True), Store(copied / "store")
    for one in load_plan():
        if one.dataset == "little" and one.stage.name in ("tris_response_model", "tris_segmenter"):
            artifact = run_stage(one, store, runtime, lambda _: None, launch=launch_forked)
            alone, together = (
                made.table("history")["loss"].to_pylist() for made in (finished[one.stage.name], artifact)
            )
            assert together[0] == pytest.approx(alone[0], rel=1e-3)
            assert together == pytest.approx(alone, rel=0.05)
            assert artifact.manifest.metrics["objects"] == finished[one.stage.name].manifest.metrics["objects"]


def test_a_picture_of_no_data_set_gets_the_masks_that_the_pipeline_gives(finished: Finished, home: Path) -> None:
    one = referents_in(finished["references"], splits=("val",))[0]
    file = images_in(finished["references"])[one.image_id].image_file
    (picture,) = (home / "worlds/little").rglob(Path(file).name)
    rows = {row.sent_id: row for row in LOCATED.read(finished["tris_predictions"])}
    segment = open_tris_segmenter(finished["tris_segmenter"], PredictionKnobs(), Runtime(threads=1))
    answers = segment(one.expressions, load_image(picture))
    for sent_id, answer in zip(one.sent_ids, answers, strict=True):
        assert np.array_equal(answer.mask, rows[sent_id].mask.decode())
        assert (answer.confidence is None) == (not answer.found)


def test_maps_are_those_of_the_network_alone_with_each_expression(finished: Finished, home: Path) -> None:
    model, tokenizer = read_response_model(finished["tris_response_model"], Runtime())
    maps = read_maps(finished["response_maps"])
    one = referents_in(finished["references"], splits=("val",))[0]
    file = images_in(finished["references"])[one.image_id].image_file
    (folder,) = {path.parent for path in (home / "worlds/little").rglob(Path(file).name)}
    picture = squashed(load_image(folder / Path(file).name), model.config.image_size)
    strengths = []
    for text, sent_id in zip(one.expressions, one.sent_ids, strict=True):
        alone = respond(model, picture[None], tokenizer.encode([text])[0], image_of_M=torch.tensor([0]))
        torch.testing.assert_close(maps.positive([sent_id]), alone, atol=0.02, rtol=0.01)
        strengths.append(float(alone.max()))
    assert max(strengths) > 0.06  # far above the tolerance: the maps are not empty


def test_only_training_objects_are_selected_and_by_the_largest_agreement(finished: Finished) -> None:
    rows = finished["selected_responses"].table("selected").to_pylist()
    training = {one.ref_id: one for one in referents_in(finished["references"], splits=("train",))}
    assert {row["ref_id"] for row in rows} == set(training)
    for row in rows:
        said = training[row["ref_id"]].sent_ids
        assert len(row["agreement"]) == len(said)
        assert row["sent_id"] == said[int(np.argmax(row["agreement"]))]
    assert any(row["sent_id"] != training[row["ref_id"]].sent_ids[0] for row in rows)


def test_every_training_object_gets_a_label_and_the_first_images_teach(finished: Finished) -> None:
    artifact = finished["refined_labels"]
    training = referents_in(finished["references"], splits=("train",))
    assert {row["ref_id"] for row in artifact.table("labels").to_pylist()} == {one.ref_id for one in training}
    taught = list(dict.fromkeys(one.image_id for one in training))[:4]
    seeds = artifact.table("seeds").to_pylist()
    assert {row["image_id"] for row in seeds} == set(taught)
    assert artifact.table("history").num_rows == len(seeds) // 4
    for row in seeds:
        foreground, ignored = (decode(row[name], row["height"], row["width"]) for name in ("foreground", "ignored"))
        assert not (foreground & ignored).any()
    state, _ = load_weights(artifact.file("weights.safetensors"))
    assert state["displacement.mean_2"].abs().sum() > 0


def test_step_2_starts_anew_and_learns_from_labels_alone(finished: Finished) -> None:
    assert set(finished["tris_segmenter"].manifest.inputs) == {"references", "refined_labels"}
    assert set(finished["tris_response_model"].manifest.inputs) == {"references"}
    for stage in ("tris_response_model", "tris_segmenter"):
        losses = finished[stage].table("history")["loss"].to_pylist()
        assert np.isfinite(losses).all()
        assert finished[stage].manifest.metrics["epoch chosen by"] == "being the last"


def test_both_steps_are_scored_where_they_may_be(finished: Finished) -> None:
    found = {(row["split"], row["method"]): row for row in scores_of(finished, "summary")}
    assert set(found) == {
        *((split, method) for split in SCORED for method in ("TRIS Step 1", "TRIS")),
        *(("train", method) for method in ("TRIS Step 1", "PRMS", "refined labels")),
    }
    for split, first in {**dict.fromkeys(SCORED), "train": 7}.items():
        said = sum(len(one.expressions) for one in referents_in(finished["references"], splits=(split,))[:first])
        assert found[split, "TRIS Step 1"]["rows"] == said
    for (_, method), row in found.items():
        hits = [row[name] for name in ("PointIt", "PointM", "Acc_box")]
        assert all(0 <= row[name] <= 1 for name in ("mIoU", "oIoU", "P@0.5"))
        assert hits == [None] * 3 if method == "refined labels" else all(0 <= hit <= 1 for hit in hits)
        assert method == "refined labels" or row["PointM"] <= row["PointIt"]


def test_step_1_is_scored_without_anything_that_comes_after_it(finished: Finished) -> None:
    inputs = set(finished["response_scores"].manifest.inputs)
    assert inputs == {"references", "response_maps", "selected_responses", "ground_truth"}


def test_slices_split_the_expressions_of_every_method(finished: Finished) -> None:
    slices = scores_of(finished, "slices")
    assert {row["by"] for row in slices} >= {"length", "spatial words", "size of the object", "objects of its class"}
    for whole in scores_of(finished, "summary"):
        parts = [
            row
            for row in slices
            if (row["split"], row["method"], row["by"]) == (whole["split"], whole["method"], "length")
        ]
        assert sum(row["rows"] for row in parts) == whole["rows"]
        for name in ("mIoU", "PointM"):
            if whole[name] is not None:
                mean = sum(row["rows"] * row[name] for row in parts) / whole["rows"]
                assert mean == pytest.approx(whole[name])


def scores_of(finished: Finished, table: str) -> list[dict[str, Any]]:
    stages = ("response_scores", "tris_scores")
    return [row for stage in stages for row in finished[stage].table(table).to_pylist()]


def test_the_numbers_are_those_of_the_metric_on_the_predicted_masks(finished: Finished) -> None:
    truths = ground_truth_of(finished["ground_truth"])
    predicted = {row.sent_id: row for row in LOCATED.read(finished["tris_predictions"])}
    state, points = ScoreState(), []
    for one in referents_in(finished["references"], splits=("val",)):
        truth = truths[one.object_id].mask.decode()
        for sent_id in one.sent_ids:
            located = predicted[sent_id]
            state.update(*intersection_union(located.mask.decode(), truth))
            points.append(truth[located.row, located.column])
    rows = finished["tris_scores"].table("summary").to_pylist()
    (row,) = [row for row in rows if (row["split"], row["method"]) == ("val", "TRIS")]
    assert row["mIoU"] == pytest.approx(state.compute().miou)
    assert row["oIoU"] == pytest.approx(state.compute().oiou)
    assert row["PointM"] == pytest.approx(np.mean(points))


def test_the_page_shows_scores_losses_and_pictures_and_says_what_they_are(finished: Finished) -> None:
    page = finished["tris_report"].file("report.html").read_text()
    for row in finished["response_scores"].table("summary").to_pylist():
        cells = (
            *(row[name] for name in ("split", "method", "per", "rows")),
            *(f"{100 * row[name]:.1f}" for name in ("oIoU", "mIoU")),
        )
        assert "".join(f"<td>{cell}</td>" for cell in cells) in page
    assert "<td>refined labels</td>" in page
    for name in ("Step 1", "IRNet", "Step 2"):
        assert f"<h2>Loss of {name}</h2>\n<svg" in page
    for heading in ("One image through each component", "All maps of a referent, and the choice of PRMS", "Failures"):
        assert f"<h2>{heading}" in page
    for panel in ("Step 1", "Selected", "Seeds", "Edges", "Refined label", "Step 2", "Ground truth"):
        assert f"<b>{panel}</b>" in page
    assert "<h2>Rows kept and left out</h2>" in page


def test_the_command_line_names_the_page(finished: Finished, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    console = Console(width=1000, file=io.StringIO(), record=True)
    console.print(report_table("little", "try"))
    assert str(finished["tris_report"].file("report.html")) in console.export_text()


def test_what_irnet_learns_from_is_read_anew_where_it_is_unpickled(pictures: TrisFigures) -> None:
    work = pictures.work
    seeds = SEEDS.read(work.inputs["refined_labels"])
    config, images = work.instance.source.config, images_in(work.inputs["references"])
    pairs = SeedPairs(config=config, images=images, seeds=seeds)
    copied = pickle.loads(pickle.dumps(pairs))
    assert len(copied) == len(seeds)
    for ours, theirs in zip(copied[3], pairs[3], strict=True):
        assert ours.dtype == torch.uint8
        assert torch.equal(ours, theirs)
    assert set(pairs[3][1].unique().tolist()) <= {0, 1, 255}
    assert len(list(pairs.every_image())) == len({seed.image_id for seed in seeds}) > 1


def test_pictures_of_training_objects_are_of_those_that_taught_irnet(pictures: TrisFigures) -> None:
    seeded = set(pictures.work.inputs["refined_labels"].table("seeds")["ref_id"].to_pylist())
    assert {one.ref_id for one in pictures.training()} == seeded
    pictures.seeds = {}
    assert {one.ref_id for one in pictures.training()} == set(pictures.labels)


def test_a_picture_without_irnet_lacks_its_two_panels(pictures: TrisFigures) -> None:
    one = pictures.training()[0]
    pixels = read_image(pictures.work, images_in(pictures.work.inputs["references"])[one.image_id])
    whole = [title for title, _ in pictures.draw_training(one, pixels).panels]
    pictures.seeds = {}
    without = [title for title, _ in pictures.draw_training(one, pixels).panels]
    assert [title for title in whole if title not in without] == ["seeds", "edges (IRNet)"]
    assert len(without) == len(whole) - 2


def test_maps_of_a_referent_stand_under_their_scores_and_the_selected_one_is_marked(pictures: TrisFigures) -> None:
    ranked = pictures.ranked()
    gaps = [max(row.agreement) - min(row.agreement) for one in ranked for row in [pictures.selected[one.ref_id]]]
    assert gaps == sorted(gaps, reverse=True)
    assert min(gaps) > 0
    one = next(one for one in ranked if len(one.expressions) > 2)
    row, pixels = pictures.selected[one.ref_id], np.zeros((32, 32, 3), np.uint8)
    pictures.truths = {}
    titles = [title for title, _ in pictures.draw_maps(one, pixels).panels[1:-1]]
    best = one.expressions[int(np.argmax(row.agreement))]
    assert [title for title in titles if title.startswith("selected, ")] == [
        f'selected, {max(row.agreement):.3f}: "{best}"'
    ]
    assert len(titles) == len(one.expressions)


def test_failures_are_wrong_masks_of_scored_expressions_as_they_were_predicted(pictures: TrisFigures) -> None:
    failures = pictures.failures()
    pairs = pictures.work.inputs["tris_scores"].table("pairs").to_pylist()
    wrong = {row["sent_id"]: row for row in pairs if row["method"] == "TRIS" and row["intersection"] < row["union"] / 2}
    assert {one.sent_id for one in failures} == {sent_id for sent_id, row in wrong.items() if row["split"] != "train"}
    for one in failures:
        assert one.iou == pytest.approx(wrong[one.sent_id]["intersection"] / max(wrong[one.sent_id]["union"], 1))
    pixels = np.zeros((*pictures.predicted[failures[0].sent_id].mask.decode().shape, 3), np.uint8)
    figure = pictures.draw_failure(failures[0], pixels)
    assert figure.caption.startswith(failures[0].kind)


def test_step_2_on_the_page_is_thresholded_as_it_is_predicted(pictures: TrisFigures) -> None:
    images, one = images_in(pictures.work.inputs["references"]), pictures.scored()[0]
    located = pictures.segment(one.expressions, read_image(pictures.work, images[one.image_id]))
    for place, sent_id in zip(located, one.sent_ids, strict=True):
        assert (place.mask_HW == pictures.predicted[sent_id].mask.decode()).all()


def test_irnet_comes_back_as_it_made_the_labels(pictures: TrisFigures) -> None:
    one, net = pictures.training()[0], read_irnet(pictures.work.inputs["refined_labels"], Runtime())
    pixels = read_image(pictures.work, images_in(pictures.work.inputs["references"])[one.image_id])
    chosen = {one.ref_id: pictures.selected[one.ref_id].sent_id}
    maps = SelectedMaps(maps=pictures.maps, selected=chosen).of([one], pixels)
    masks = refined_masks(maps, *edges_and_displacements(net, to_tensor(pixels)))
    assert (masks[0].numpy() == pictures.labels[one.ref_id].mask.decode()).all()


def test_the_curve_at_one_half_is_the_predicted_masks(finished: Finished) -> None:
    counts = finished["tris_curve"].table("counts").to_pylist()
    pairs = [row for row in finished["tris_scores"].table("pairs").to_pylist() if row["method"] == "TRIS"]
    inside, outside = (np.sum([row[side] for row in counts], axis=0) for side in ("foreground", "background"))
    shared, joined = (sum(row[name] for row in pairs) for name in ("intersection", "union"))
    assert inside[501:].sum() <= shared <= inside[500:].sum()  # probabilities are rounded to thousandths
    assert inside.sum() + outside[501:].sum() <= joined <= inside.sum() + outside[500:].sum()
    assert sum(row["expressions"] for row in counts) == len(pairs)


def test_so_many_references_of_train_are_judged(finished: Finished) -> None:
    judged = [
        {row["ref_id"] for row in finished[stage].table("pairs").to_pylist() if row["split"] == "train"}
        for stage in ("response_scores", "tris_scores")
    ]
    assert len(judged[0]) == 7
    assert judged[0] < judged[1]


@pytest.mark.parametrize(
    ("mask", "box"), [([[0, 0, 0], [0, 1, 1]], (1, 1, 3, 2)), ([[1, 0, 0]], (0, 0, 1, 1)), ([[0, 0]], (-1, -1, -1, -1))]
)
def test_the_box_of_a_mask_has_exclusive_far_sides(mask: list[list[int]], box: tuple[int, ...]) -> None:
    assert annotated_box(np.array(mask, dtype=bool)) == box


def test_weights_of_the_loss_are_those_of_the_knobs_on_top_of_a_preset() -> None:
    knobs = ResponseKnobs(losses="first_release", classification_weight=2, negative_weight=0, negatives=4)
    expected = replace(PRESETS["first_release"], classification=2, negative=0, negatives=4)
    assert loss_weights(knobs) == expected
    assert not loss_weights(ResponseKnobs(calibrate=False, positive_weight=3)).calibrated
    assert not expected.clip_positive
    assert loss_weights(ResponseKnobs(losses="first_release", clip_positive=True)).clip_positive


@pytest.mark.parametrize(("more", "negative"), [({}, 6), ({"negatives": 3}, 3), ({"negative_weight": 1}, 1)])
def test_the_papers_negatives_are_summed(more: dict[str, Any], negative: float) -> None:
    assert loss_weights(ResponseKnobs(losses="paper", **more)).negative == negative


@pytest.mark.parametrize(("precision", "bf16"), [("device", True), ("float32", False)])
def test_a_training_may_ask_for_full_precision(
    precision: Precision, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert plan_of(TrisPlan, ResponseKnobs(precision=precision), Runtime(), seed=0).bf16 == bf16
    assert plan_of(SegmenterPlan, BootstrapKnobs(precision=precision), Runtime(), seed=0).bf16 == bf16
    trained = SimpleNamespace(manifest=SimpleNamespace(recipe={"knobs": {"precision": precision}}))
    assert bf16_of(cast(Artifact, trained), Runtime()) == bf16


def test_later_knobs_that_change_nothing_change_no_recipe() -> None:
    assert not {name for name in ResponseKnobs().recipe() if name.endswith("_weight") or name == "calibrate_after"}
    assert ResponseKnobs(positive_weight=0).recipe()["positive_weight"] == 0
    assert ResponseKnobs(calibrate_after=0.5).recipe()["calibrate_after"] == 0.5
    assert {"batch_negatives", "splits", "training_references"}.isdisjoint(
        {*ResponseKnobs().recipe(), *SelectionKnobs().recipe(), *PredictionKnobs().recipe()}
    )
    assert ResponseKnobs(batch_negatives=0).recipe()["batch_negatives"] == 0
    assert PredictionKnobs().recipe() == LocalisationKnobs().recipe()


@pytest.mark.parametrize(
    ("stage", "knobs"),
    [
        ("tris_response_model", {"calibrate": False, "language_to_vision": False}),
        ("tris_response_model", {"positive_weight": 0, "scorer": "embedded/clip_rn"}),
        ("tris_response_model", {"calibrate": False, "batch_negatives": 1, "encoder": "resnet"}),
        ("tris_segmenter", {"encoder": "swin"}),
        ("selected_responses", {"rule": "first"}),
        ("selected_responses", {"mask": "sigmoid"}),
        ("selected_responses", {"scorer": "embedded/clip_rn"}),
        ("selected_responses", {"splits": "all"}),
        ("tris_predictions", {"training_references": 3}),
        ("refined_labels", {"method": "none"}),
    ],
)
def test_the_other_ways_run_too(
    finished: Finished, home: Path, monkeypatch: pytest.MonkeyPatch, stage: str, knobs: dict[str, object]
) -> None:
    change = {"extends": "try", "datasets": ["little"], "targets": [stage], "knobs": {stage: knobs}}
    (home / "experiments" / "other.yaml").write_text(yaml.safe_dump(change))
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    (one,) = [one for one in load_plan() if (one.experiment, one.stage.name) == ("other", stage)]
    artifact = run_stage(one, Store(home / "store"), Runtime(threads=1), lambda _: None)
    assert artifact.content_digest != finished[stage].content_digest
    if knobs == {"rule": "first"}:
        first = {one.ref_id: one.sent_ids[0] for one in referents_in(finished["references"])}
        assert all(row["sent_id"] == first[row["ref_id"]] for row in artifact.table("selected").to_pylist())
    if knobs == {"method": "none"}:
        assert artifact.tables == ("labels",)
    if knobs == {"splits": "all"}:
        chosen = {row["ref_id"]: row["sent_id"] for row in artifact.table("selected").to_pylist()}
        assert set(chosen) == {one.ref_id for one in referents_in(finished["references"])}
        before = finished["selected_responses"].table("selected").to_pylist()
        assert all(chosen[row["ref_id"]] == row["sent_id"] for row in before)
    if knobs == {"training_references": 3}:
        trained = referents_in(finished["references"], splits=("train",))[:3]
        asked = {sent for one in trained for sent in one.sent_ids}
        scored = {row.sent_id for row in LOCATED.read(finished["tris_predictions"])}
        assert {row.sent_id for row in LOCATED.read(artifact)} == asked | scored
        assert not asked & scored
