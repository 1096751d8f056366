"""MERES on a tiny drawn world, by every source of labels, and the curves and slices that compare it with LAVT."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from assets.data.tables import images_in, referents_in
from assets.evaluation.slices import spatial_bin
from assets.framework.work import Work
from assets.meres.figures import MeresFigures, inside
from assets.meres.knobs import MeresKnobs, MeresReportKnobs
from assets.meres.stages import report_needs
from assets.segmenters.knobs import SupervisedKnobs
from ops.meres.attention_maps import has_attention_maps
from ops.meres.config import EMBEDDED, MeresConfig
from pipelines.commands.report import classes_of
from resources.models.clip import load_clip
from resources.models.swin_bert import load_swin
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.digest import digest
from storage.masks import decode
from storage.weights import load_weights
from tests.homes import copy_home, finish

DRAWN = """
extends: meres
datasets: [little]
targets: [report, meres_report, meres_curve, supervised_curve]
knobs:
  meres: {epochs: 1, batch_size: 12}
  supervised: {epochs: 1, batch_size: 8}
  zs_bootstrap: {epochs: 1, batch_size: 8}
  report: {examples: 1, segmenters: [supervised, meres]}
  meres_report: {examples: 2}
"""
SEEN = """
extends: meres_seen
datasets: [little]
targets: [meres_predictions, supervised]
knobs:
  meres: {epochs: 1, batch_size: 24, freeze_backbone: true}
  supervised: {epochs: 1, batch_size: 24}
"""
WEAK = """
extends: meres_corrected
datasets: [little]
targets: [meres]
knobs:
  meres: {epochs: 1, batch_size: 12, guidance: le}
  zs_bootstrap: {epochs: 1, batch_size: 8}
  corrected: {epochs: 2, batch_size: 8}
"""
CANDIDATES = """
extends: meres_candidates
datasets: [little]
targets: [meres_matched_scores, meres_matched_curve]
knobs:
  meres: {epochs: 1, batch_size: 12}
  meres_matched: {epochs: 1, batch_size: 12, contrast_weight: 0.1}
"""
SEEN_CLASSES = {"person", "bicycle", "car", "boat", "bird", "bottle", "banana", "apple", "chair", "clock"}
Finished = dict[tuple[str, str], Artifact]


@pytest.fixture(scope="module")
def finished(corrected: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """(experiment, stage) -> artifact; everything is run once, S+S+C and the supervised bound elsewhere."""
    experiments = {"drawn": DRAWN, "weak": WEAK, "offered": CANDIDATES, "seen": SEEN}
    return finish(copy_home(corrected, tmp_path_factory.mktemp("home"), experiments=experiments))


def test_meres_reads_its_labels_and_nothing_else_that_could_teach_it(finished: Finished) -> None:
    read = {name: set(finished[name, "meres"].manifest.inputs) for name in ("drawn", "weak", "offered")}
    assert read == {
        "drawn": {"references", "ground_truth"},
        "weak": {"references", "corrected_labels"},
        "offered": {"references", "mask_choices"},
    }


def test_meres_comes_back_as_it_was_built_with_its_switches_and_words(finished: Finished) -> None:
    for name, guidance in (("drawn", "le_enh+ve"), ("weak", "le")):
        state, card = load_weights(finished[name, "meres"].file("weights.safetensors"))
        assert card["architecture"]["meres"]["guidance"] == guidance
        assert card["max_tokens"] == 21
        assert any("extractor" in key for key in state) == (guidance != "le")
    assert finished["drawn", "meres"].manifest.metrics["tokens at most"] == 21


def test_a_model_without_attention_to_show_is_drawn_by_its_masks_alone(finished: Finished) -> None:
    given = SimpleNamespace(input=lambda stage: finished["drawn", stage.name], runtime=Runtime(threads=1))
    drawing, references = MeresFigures(cast(Work, given)), finished["drawn", "references"]
    referent = next(one for one in referents_in(references, splits=("val",)) if len(one.sent_ids) > 1)
    image = images_in(references)[referent.image_id]
    pixels = np.zeros((image.height, image.width, 3), np.uint8)
    assert drawing.shows_attention
    full = [*drawing.draw(referent, pixels).panels, *drawing.draw_several(referent, pixels).panels]
    drawing.shows_attention = has_attention_maps(MeresConfig(guidance="ve"))
    bare = drawing.draw(referent, pixels), drawing.draw_several(referent, pixels)
    assert not any(figure.plots for figure in bare)
    kept = [title for title, _ in full if not title.startswith(("words", "visual", "share"))]
    assert [title for figure in bare for title, _ in figure.panels] == kept
    assert len(kept) < len(full)


def test_every_switch_is_a_field_of_the_network() -> None:
    switches = MeresKnobs(selection="none", cues="local", norm_mask=False, joint_width=32).switches()
    config = MeresConfig(**switches)
    assert (config.select, config.cues, config.norm_mask, config.joint_width) == ("none", "local", False, 32)
    assert MeresConfig(**MeresKnobs().switches()) == MeresConfig()


def test_a_finer_map_for_words_is_young_and_unread_where_no_word_looks() -> None:
    assert "word_stride" not in MeresKnobs().recipe()
    assert MeresKnobs(word_stride=8).recipe()["word_stride"] == 8
    assert MeresKnobs(word_stride=8, guidance="le").recipe() == MeresKnobs(guidance="le").recipe()
    assert MeresConfig(**MeresKnobs(word_stride=16).switches()).word_map == -2
    with pytest.raises(ValueError, match="finer has 2 maps"):
        MeresKnobs(word_stride=8, enhancement_layers=3, enhancement_levels="finer")


@pytest.mark.parametrize("model", ["meres", "supervised"])
def test_objects_of_unseen_classes_can_be_kept_out_of_training(finished: Finished, model: str) -> None:
    truths = {
        row["object_id"]: row["category"] for row in finished["seen", "ground_truth"].table("objects").to_pylist()
    }
    trained = [truths[one.object_id] for one in referents_in(finished["seen", "references"], splits=("train",))]
    unseen = Counter(trained)["dog"] + Counter(trained)["cup"]
    assert unseen > 0
    used = finished["seen", model].manifest.metrics["objects trained on"]
    assert used == sum(category in SEEN_CLASSES for category in trained) < len(trained)
    assert finished["drawn", model].manifest.metrics["objects trained on"] == len(trained)


@pytest.mark.parametrize("model", ["meres", "supervised"])
def test_on_seen_classes_both_models_hear_clip(finished: Finished, model: str) -> None:
    state, card = load_weights(finished["seen", model].file("weights.safetensors"))
    assert card["max_tokens"] == 20
    assert card["architecture"]["clip"]["width"] == 128
    assert "bert" not in card["architecture"]
    assert not any(name.startswith("bert.") for name in state)
    pretrained = load_clip().model.state_dict()
    still = {name for name in pretrained if torch.equal(pretrained[name], state.get(f"clip.{name}", torch.empty(0)))}
    assert still == {"token_embedding.weight", "positional_embedding"}


def test_a_trained_model_with_clip_predicts_for_every_sentence(finished: Finished) -> None:
    objects = referents_in(finished["seen", "references"], splits=("val", "testA", "testB"))
    predicted = finished["seen", "meres_predictions"].table("masks")["sent_id"].to_pylist()
    assert sorted(predicted) == sorted(number for one in objects for number in one.sent_ids)


def test_a_frozen_backbone_is_saved_as_it_was_pretrained(finished: Finished) -> None:
    pretrained = load_swin("embedded", config=EMBEDDED.swin)
    same = {}
    for name in ("seen", "drawn"):
        state, _ = load_weights(finished[name, "meres"].file("weights.safetensors"))
        same[name] = all(torch.equal(state[f"vision.swin.{key}"], value) for key, value in pretrained.items())
    assert same == {"seen": True, "drawn": False}


def test_younger_knobs_at_their_defaults_leave_earlier_trainings_valid() -> None:
    digests = {knobs: digest(knobs.recipe()) for knobs in (MeresKnobs(), SupervisedKnobs())}
    assert list(digests.values()) == ["8e1c0016286333b0a443", "b4d24ce2877a56df3aea"]
    assert digest(MeresKnobs(clip="ViT-L-14-336").recipe()) == digests[MeresKnobs()]
    turned: list[dict[str, Any]] = [
        {"text": "clip"},
        {"text": "clip", "clip": "ViT-L-14-336"},
        {"freeze_backbone": True},
    ]
    assert len({*digests.values(), *(digest(MeresKnobs(**one).recipe()) for one in turned)}) == 5
    assert "bert" not in MeresKnobs(text="clip").recipe()


def test_the_weights_of_the_encoder_that_is_heard_are_asked_for() -> None:
    full = SupervisedKnobs(swin="swin_b", bert="bert-base-uncased", clip="ViT-L-14-336", text="clip")
    assert full.models() == ("swin_b", "ViT-L-14-336")
    assert SupervisedKnobs(text="clip").models() == ("embedded/swin", "embedded/clip_vit")
    assert SupervisedKnobs().models() == ("embedded/swin", "embedded/bert")


def test_classes_are_known_of_drawn_masks_only() -> None:
    with pytest.raises(ValueError, match="needs labels: ground_truth"):
        MeresKnobs(classes="seen")
    with pytest.raises(ValueError, match="must not pick the epoch"):
        MeresKnobs(classes="seen", labels="ground_truth", select="best_on_val")


def test_meres_goes_on_over_all_candidates_and_says_what_was_matched(finished: Finished) -> None:
    start, matched = finished["offered", "meres"], finished["offered", "meres_matched"]
    assert {row["epoch"] for row in matched.table("matches").to_pylist()} == {0, 1}
    assert not start.has("matches.parquet")
    before, card = load_weights(start.file("weights.safetensors"))
    after, same = load_weights(matched.file("weights.safetensors"))
    assert same["architecture"] == card["architecture"]
    drift = (sum((after[name] - value).double().square().sum() for name, value in before.items())) ** 0.5
    length = (sum(value.double().square().sum() for value in before.values())) ** 0.5
    assert 0 < drift < 0.2 * length
    methods = {row["method"] for row in finished["offered", "meres_matched_scores"].table("summary").to_pylist()}
    assert methods == {"MERES, matched"}
    assert {row["method"] for row in finished["offered", "meres_matched_curve"].table("areas").to_pylist()} == methods
    assert matched.manifest.metrics["labels"] == start.manifest.metrics["labels"] == "mask_choices"


def test_labels_are_what_matching_gave_last_in_training(finished: Finished) -> None:
    labels = {row["ref_id"]: row for row in finished["weak", "corrected_labels"].table("labels").to_pylist()}
    trained = {one.ref_id for one in referents_in(finished["weak", "references"], splits=("train",))}
    assert set(labels) == trained
    matches = [row for row in finished["weak", "corrected"].table("matches").to_pylist() if row["epoch"] == 2]
    assert len(matches) >= 20
    assert {row["ref_id"]: row["candidate"] for row in matches} == {
        row["ref_id"]: labels[row["ref_id"]]["candidate"] for row in matches
    }


def test_no_two_objects_of_an_image_have_one_label_and_a_label_is_a_candidates_mask(finished: Finished) -> None:
    choices = {row["ref_id"]: row for row in finished["weak", "mask_choices"].table("choices").to_pylist()}
    masks = {
        (row["image_id"], row["candidate"]): row["rle"]
        for row in finished["weak", "candidate_masks"].table("candidates").to_pylist()
    }
    given = [
        (choices[row["ref_id"]]["image_id"], row["candidate"], row["rle"])
        for row in finished["weak", "corrected_labels"].table("labels").to_pylist()
        if row["candidate"] is not None
    ]
    assert given
    assert len({(image, candidate) for image, candidate, _ in given}) == len(given)
    assert all(masks[image, candidate] == rle for image, candidate, rle in given)


def test_meres_is_scored_and_sliced_on_every_expression(finished: Finished) -> None:
    splits = ("val", "testA", "testB")
    objects = referents_in(finished["drawn", "references"], splits=splits)
    said = Counter(one.split for one in objects for _ in one.expressions)
    scores = finished["drawn", "meres_scores"]
    whole = {row["split"]: row for row in scores.table("summary").to_pylist() if row["resolution"] == "original"}
    assert {split: row["rows"] for split, row in whole.items()} == said
    slices = [row for row in scores.table("slices").to_pylist() if row["resolution"] == "original"]
    for by in ("length", "spatial words", "size of the object", "objects of its class"):
        assert len({row["slice"] for row in slices if row["by"] == by}) > (by != "size of the object")
        for split in splits:
            mine = [row for row in slices if (row["by"], row["split"]) == (by, split)]
            assert mine
            assert sum(row["rows"] for row in mine) == said[split]
            mean = sum(row["mIoU"] * row["rows"] for row in mine) / said[split]
            assert mean == pytest.approx(whole[split]["mIoU"])


def test_a_slice_counts_its_own_expressions(finished: Finished) -> None:
    references, scores = finished["drawn", "references"], finished["drawn", "choice_scores"]
    text = {row["sent_id"]: row["expression"] for row in references.table("expressions").to_pylist()}
    pairs = [
        row
        for row in scores.table("pairs").to_pylist()
        if row["method"] == "S+S" and row["split"] == "val" and spatial_bin(text[row["sent_id"]]) == "with"
    ]
    (found,) = (
        row
        for row in scores.table("slices").to_pylist()
        if (row["by"], row["slice"], row["split"], row["method"]) == ("spatial words", "with", "val", "S+S")
    )
    assert found["rows"] == len(pairs)
    assert found["oIoU"] == pytest.approx(sum(r["intersection"] for r in pairs) / sum(r["union"] for r in pairs))


def test_figures_of_unseen_classes_are_those_of_their_expressions(finished: Finished) -> None:
    truths = {
        row["object_id"]: row["category"] for row in finished["drawn", "ground_truth"].table("objects").to_pylist()
    }
    objects = referents_in(finished["drawn", "references"], splits=("val",))
    unseen = {one.ref_id for one in objects if truths[one.object_id] in {"bus", "cat", "dog", "umbrella", "cup"}}
    scores = finished["drawn", "supervised_scores"]
    pairs = [row for row in scores.table("pairs").to_pylist() if row["ref_id"] in unseen]
    ious = [row["intersection"] / row["union"] for row in pairs if row["resolution"] == "original"]
    assert ious
    assert classes_of(scores)["val", "unseen"][1] == pytest.approx(float(np.mean(ious)))


@pytest.mark.parametrize("model", ["meres", "supervised"])
def test_the_curve_at_one_half_is_the_predicted_masks(finished: Finished, model: str) -> None:
    counts = finished["drawn", f"{model}_curve"].table("counts").to_pylist()
    pairs = finished["drawn", f"{model}_scores"].table("pairs").to_pylist()
    for side in {row["resolution"] for row in counts}:
        inside = np.sum([row["foreground"] for row in counts if row["resolution"] == side], axis=0)
        outside = np.sum([row["background"] for row in counts if row["resolution"] == side], axis=0)
        shared = sum(row["intersection"] for row in pairs if row["resolution"] == side)
        joined = sum(row["union"] for row in pairs if row["resolution"] == side)
        assert inside[501:].sum() <= shared <= inside[500:].sum()  # probabilities are rounded to thousandths
        assert inside.sum() + outside[501:].sum() <= joined <= inside.sum() + outside[500:].sum()


def test_the_area_below_the_curve_is_told_per_split(finished: Finished) -> None:
    curve = finished["drawn", "meres_curve"]
    areas = {(row["split"], row["resolution"]): row["AUC_PR"] for row in curve.table("areas").to_pylist()}
    assert set(areas) == {(split, side) for split in ("val", "testA", "testB") for side in ("original", "112")}
    points = [row for row in curve.table("curve").to_pylist() if (row["split"], row["resolution"]) == ("val", "112")]
    recall = np.array([row["recall"] for row in points])
    assert recall[-1] == 1.0
    assert (np.diff(recall) >= 0).all()
    precision = [row["precision"] for row in points]
    assert areas["val", "112"] == pytest.approx(float((np.diff(recall, prepend=0.0) * precision).sum()))
    assert curve.manifest.metrics["val MERES AUC-PR"] == areas["val", "original"]


def test_predictions_of_meres_have_the_size_of_their_images(finished: Finished) -> None:
    rows = finished["drawn", "meres_predictions"].table("masks").to_pylist()
    assert {row["model_size"] for row in rows} == {112}
    assert all(decode(row["rle"], row["height"], row["width"]).shape == (row["height"], row["width"]) for row in rows)


def test_the_page_shows_meres_and_that_it_saw_drawn_masks(finished: Finished) -> None:
    page = finished["drawn", "report"].file("report.html").read_text()
    assert "<h2>MERES</h2>" in page
    assert "<td>spatial words</td><td>with</td>" in page
    assert "without ground-truth masks but for the supervised upper bound and MERES;" in page


def test_the_page_of_meres_shows_the_areas_and_a_curve_of_every_split_and_model(finished: Finished) -> None:
    page = finished["drawn", "meres_report"].file("report.html").read_text()
    for model in ("meres", "supervised"):
        for row in finished["drawn", f"{model}_curve"].table("areas").to_pylist():
            cells = (row["split"], row["method"], row["resolution"], row["expressions"], f"{100 * row['AUC_PR']:.1f}")
            assert "".join(f"<td>{cell}</td>" for cell in cells) in page
    assert page.count('aria-label="precision over recall"') == 3
    assert page.count(">supervised</text>") == page.count(">MERES</text>") == 3


def test_the_page_of_meres_shows_its_attention_and_says_what_the_pictures_are(finished: Finished) -> None:
    page = finished["drawn", "meres_report"].file("report.html").read_text()
    attention, several = page.split("<h2>Several expressions of one referent</h2>")
    assert attention.count('<figure class="referent">') == several.count('<figure class="referent">') == 2
    assert several.count("<b>words: &#34;") in (4, 5, 6)
    assert several.count("<b>MERES, IoU ") == several.count("<b>words: &#34;")
    text = finished["drawn", "references"].table("expressions").to_pylist()
    most = max(len(row["expression"].split()) for row in text if row["split"] == "val")
    assert re.search(rf"<td>val</td><td>\d+</td><td>{most}</td>", page)
    for panel in ("Words", "Visual expressions", "Share of visual expressions", "MERES", "Ground truth", "Tokens and"):
        assert f"<b>{panel}" in page
    assert "<td>spatial words</td><td>with</td>" in page


def test_models_beside_meres_bring_their_scores_and_curves() -> None:
    assert report_needs(MeresReportKnobs(beside=())) == ()
    beside = report_needs(MeresReportKnobs(beside=("corrected",)))
    assert [stage.name for stage in beside] == ["corrected_scores", "corrected_curve"]


def test_a_small_object_lies_in_the_pixel_that_has_most_of_it() -> None:
    drawn = np.zeros((64, 64), bool)
    drawn[30:34, 33:50] = True  # on the border of two rows, in the third and fourth columns
    assert inside(drawn, (4, 4)).reshape(4, 4).nonzero()[1].tolist() == [2, 2]
    assert not inside(np.zeros((64, 64), bool), (4, 4)).any()
