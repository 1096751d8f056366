"""The segmenter is segment_anything's own Sam, asked for all boxes of an image at once."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry

from assets.pretraining import segmenter as script
from assets.pretraining.small_training import Budget
from ops.refusal import Refused
from resources.embedded.cards import CARD, EMBEDDED_FOLDER, load_embedded
from resources.models.sam import PackageSam, SamShape, build_small_sam, load_segmenter
from resources.models.segmentation import EverythingSettings
from resources.toyref.scenes import render_scene

TINY = SamShape(
    image_size=64,
    encoder_width=16,
    encoder_depth=1,
    encoder_heads=2,
    window=4,
    global_blocks=(0,),
    prompt_width=16,
    decoder_depth=1,
    decoder_heads=2,
    decoder_mlp=16,
    iou_hidden=8,
)
BOXES_N4 = np.array([[3, 4, 40, 50], [20, 10, 90, 60], [0, 0, 99, 69]], np.float32)

needs_embedded = pytest.mark.skipif(
    not (EMBEDDED_FOLDER / "segmenter" / CARD).is_file(), reason="the embedded segmenter has not been trained"
)


@pytest.fixture
def segmenter() -> PackageSam:
    torch.manual_seed(0)
    return PackageSam(build_small_sam(TINY))


@pytest.fixture
def image_HW3() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)


def test_all_boxes_at_once_give_what_the_package_gives_box_by_box(
    segmenter: PackageSam, image_HW3: npt.NDArray[np.uint8]
) -> None:
    masks_N3HW, scores_N3 = segmenter.segment(image_HW3, BOXES_N4)
    predictor = SamPredictor(segmenter.sam)
    predictor.set_image(image_HW3)
    for box, masks_3HW, scores_3 in zip(BOXES_N4, masks_N3HW, scores_N3, strict=True):
        expected_3HW, expected_3, _ = predictor.predict(box=box, multimask_output=True)
        assert (masks_3HW != expected_3HW).mean() < 1e-4
        np.testing.assert_allclose(scores_3, expected_3, atol=1e-5)


def test_masks_have_the_size_of_the_image(segmenter: PackageSam, image_HW3: npt.NDArray[np.uint8]) -> None:
    masks_N3HW, scores_N3 = segmenter.segment(image_HW3, BOXES_N4)
    assert masks_N3HW.shape == (3, 3, 70, 100)
    assert masks_N3HW.dtype == np.bool_
    assert scores_N3.shape == (3, 3)
    assert scores_N3.dtype == np.float32


def test_an_image_is_encoded_once_whatever_the_number_of_boxes(
    segmenter: PackageSam, image_HW3: npt.NDArray[np.uint8]
) -> None:
    encodings = []
    segmenter.sam.image_encoder.register_forward_hook(lambda *_: encodings.append(1))
    decodings = []
    segmenter.sam.mask_decoder.register_forward_hook(lambda *_: decodings.append(1))
    segmenter.segment(image_HW3, BOXES_N4)
    assert (len(encodings), len(decodings), segmenter.passes) == (1, 1, 1)


def test_no_box_costs_no_encoding(segmenter: PackageSam, image_HW3: npt.NDArray[np.uint8]) -> None:
    masks_N3HW, scores_N3 = segmenter.segment(image_HW3, np.zeros((0, 4), np.float32))
    assert masks_N3HW.shape == (0, 3, 70, 100)
    assert scores_N3.shape == (0, 3)
    assert segmenter.passes == 0


def test_same_image_and_boxes_give_the_same_bits(segmenter: PackageSam, image_HW3: npt.NDArray[np.uint8]) -> None:
    first, second = segmenter.segment(image_HW3, BOXES_N4), segmenter.segment(image_HW3, BOXES_N4)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("shape", [(70, 100), (70, 100, 4)])
def test_what_is_no_rgb_image_is_refused(segmenter: PackageSam, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="RGB image"):
        segmenter.segment(np.zeros(shape, np.uint8), BOXES_N4)


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 1)])
def test_of_a_thin_image_at_least_a_pixel_is_left(segmenter: PackageSam, shape: tuple[int, int]) -> None:
    line_HW3, boxes_N4 = np.zeros((*shape, 3), np.uint8), BOXES_N4.clip(0, 1)
    assert segmenter.segment(line_HW3, boxes_N4)[0].shape == (len(BOXES_N4), 3, *shape)
    assert segmenter.inside(line_HW3, boxes_N4)[0].shape == (len(BOXES_N4), *shape)
    assert segmenter.automatic(line_HW3)[0].shape[1:] == shape


def test_a_float_image_is_refused(segmenter: PackageSam) -> None:
    with pytest.raises(ValueError, match="uint8"):
        segmenter.automatic(np.zeros((70, 100, 3), np.float32))


def test_boxes_must_be_four_numbers(segmenter: PackageSam, image_HW3: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="N x 4"):
        segmenter.segment(image_HW3, np.zeros(4, np.float32))


class TestInside:
    """Automatic masks in boxes; the tiny network is random, so that its thresholds are opened."""

    @pytest.fixture
    def open_minded(self, segmenter: PackageSam) -> PackageSam:
        segmenter.everything = EverythingSettings(
            points_per_box_side=2, pred_iou_thresh=-100.0, stability_score_thresh=-1.0
        )
        return segmenter

    def test_masks_stay_in_their_boxes_and_see_nothing_else(
        self, open_minded: PackageSam, image_HW3: npt.NDArray[np.uint8]
    ) -> None:
        boxes_N4 = np.array([[10, 20, 40, 50], [60.5, 30.5, 99, 69]], np.float32)
        masks_NHW, scores_N = open_minded.inside(image_HW3, boxes_N4)
        assert masks_NHW.any((1, 2)).all()
        outside_HW = np.ones((70, 100), bool)
        outside_HW[20:50, 10:40] = False
        assert not masks_NHW[0][outside_HW].any()
        assert not masks_NHW[1][:30].any()
        assert not masks_NHW[1][:, :60].any()
        other_HW3 = np.where(outside_HW[..., None], 255 - image_HW3, image_HW3)
        other_NHW, other_N = open_minded.inside(other_HW3, boxes_N4[:1])
        assert np.array_equal(other_NHW[0], masks_NHW[0])
        assert other_N[0] == scores_N[0]
        assert open_minded.passes == 3

    def test_the_best_mask_with_a_pixel_in_the_box_is_kept(
        self, open_minded: PackageSam, image_HW3: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found_MHW = np.zeros((3, 70, 100), bool)
        found_MHW[0, :5], found_MHW[1, 20:60, 5:30], found_MHW[2, 30:40, 15:20] = True, True, True
        monkeypatch.setattr(
            open_minded, "_generate", lambda *_, **__: (found_MHW, np.array([0.9, 0.8, 0.7], np.float32))
        )
        masks_NHW, scores_N = open_minded.inside(image_HW3, np.array([[10, 25, 40, 50]], np.float32))
        expected_HW = np.zeros((70, 100), bool)
        expected_HW[25:50, 10:30] = True
        assert np.array_equal(masks_NHW[0], expected_HW)
        assert scores_N.tolist() == [np.float32(0.8)]

    def test_a_box_in_which_nothing_is_found_gives_an_empty_mask(
        self, open_minded: PackageSam, image_HW3: npt.NDArray[np.uint8]
    ) -> None:
        open_minded.everything = EverythingSettings(points_per_box_side=2, pred_iou_thresh=100.0)
        masks_NHW, scores_N = open_minded.inside(image_HW3, BOXES_N4)
        assert not masks_NHW.any()
        assert scores_N.tolist() == [0, 0, 0]

    def test_boxes_of_no_width_at_the_border_are_borne(
        self, open_minded: PackageSam, image_HW3: npt.NDArray[np.uint8]
    ) -> None:
        boxes_N4 = np.array([[100, 70, 100, 70], [-5, 3, -2, 60], [0, 10, 100, 10.2]], np.float32)
        masks_NHW, _ = open_minded.inside(image_HW3, boxes_N4)
        assert masks_NHW.shape == (3, 70, 100)

    @needs_embedded
    def test_the_embedded_model_finds_a_plain_object(self) -> None:
        image_HW3 = np.full((120, 160, 3), (120, 170, 110), np.uint8)
        image_HW3[30:70, 50:90] = (200, 40, 40)
        image_HW3[80:100, 120:150] = (40, 40, 200)
        masks_NHW, _ = load_segmenter().inside(image_HW3, np.array([[46, 26, 94, 74]], np.float32))
        truth_HW = (image_HW3 == (200, 40, 40)).all(-1)
        assert (masks_NHW[0] & truth_HW).sum() / (masks_NHW[0] | truth_HW).sum() > 0.9


def test_a_shape_survives_its_card() -> None:
    assert SamShape.from_card({**asdict(TINY), "global_blocks": [0]}) == TINY


class TestPublishedSizes:
    def test_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(Refused, match="vit_h"):
            load_segmenter("vit_g")

    def test_a_published_size_needs_its_checkpoint(self) -> None:
        with pytest.raises(Refused, match="needs its checkpoint"):
            load_segmenter("vit_h")

    def test_a_checkpoint_is_loaded_completely(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        torch.manual_seed(1)
        saved = build_small_sam(TINY)
        torch.save(saved.state_dict(), tmp_path / "sam.pth")
        monkeypatch.setitem(sam_model_registry, "vit_b", lambda: build_small_sam(TINY))
        loaded = load_segmenter("vit_b", checkpoint=tmp_path / "sam.pth").sam
        assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in saved.state_dict().items())
        assert not loaded.training

    @pytest.mark.parametrize("change", ["missing", "extra"])
    def test_a_checkpoint_with_other_keys_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        state = build_small_sam(TINY).state_dict()
        if change == "missing":
            state.pop("mask_decoder.iou_token.weight")
        else:
            state["mask_decoder.surprise"] = torch.zeros(1)
        torch.save(state, tmp_path / "sam.pth")
        monkeypatch.setitem(sam_model_registry, "vit_b", lambda: build_small_sam(TINY))
        with pytest.raises(Refused, match="mask_decoder"):
            load_segmenter("vit_b", checkpoint=tmp_path / "sam.pth")

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_vit_b_masks_an_image(self) -> None:
        segmenter = load_segmenter("vit_b", random_weights=True)
        masks_N3HW, _ = segmenter.segment(np.zeros((48, 64, 3), np.uint8), BOXES_N4[:1])
        assert masks_N3HW.shape == (1, 3, 48, 64)


class TestRecipe:
    def test_prompts_over_several_images_give_what_the_predictor_gives_image_by_image(self) -> None:
        torch.manual_seed(0)
        sam = build_small_sam(TINY)
        rng = np.random.default_rng(0)
        examples = [script.prepare(render_scene(seed), size=TINY.image_size) for seed in (1, 2, 3)]
        batch = script.make_batch(examples, rng, size=TINY.image_size)
        with torch.no_grad():
            logits_PMGG, scores_PM = script.predict(sam, batch)
        predictor = SamPredictor(sam)
        for place, box_4 in enumerate(batch.boxes_P4):
            image_13SS = batch.images_B3SS[batch.image_of_P[place]][None]
            predictor.set_torch_image(image_13SS, (TINY.image_size, TINY.image_size))
            _, scores_13, logits_13GG = predictor.predict_torch(None, None, boxes=box_4[None])
            torch.testing.assert_close(logits_PMGG[place, 1:], logits_13GG[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(scores_PM[place, 1:], scores_13[0], atol=1e-4, rtol=1e-4)

    def test_boxes_stay_near_their_masks(self) -> None:
        rng = np.random.default_rng(0)
        mask_HW = np.zeros((100, 100), np.uint8)
        mask_HW[20:70, 10:50] = 255
        boxes_N4 = np.stack([script.jittered_box(mask_HW, rng) for _ in range(200)])
        tight_4 = np.array([10, 20, 50, 70])
        sides_4 = np.array([40, 50, 40, 50])
        assert (np.abs(boxes_N4 - tight_4) <= 0.12 * sides_4 + 1e-3).all()
        assert boxes_N4.std(0).min() > 1

    def test_points_lie_inside(self) -> None:
        rng = np.random.default_rng(0)
        mask_HW = np.zeros((20, 20), np.uint8)
        mask_HW[5, 7] = 255
        assert script.point_inside(mask_HW, rng).tolist() == [7.5, 5.5]

    def test_the_true_mask_has_less_loss_than_its_opposite(self) -> None:
        targets_PGG = torch.zeros(1, 8, 8)
        targets_PGG[:, 2:5, 2:5] = 1
        logits_PMGG = (10 * (2 * targets_PGG - 1))[:, None].expand(1, 4, 8, 8)
        good = script.loss_of(logits_PMGG, torch.ones(1, 4), targets_PGG)
        assert good < 0.01
        assert script.loss_of(-logits_PMGG, torch.zeros(1, 4), targets_PGG) > 10

    def test_a_moment_of_training_writes_a_model_that_loads(self, tmp_path: Path) -> None:
        lines: list[str] = []
        script.train(tmp_path, Budget(steps=1, scenes=16, held_out=2), log=lines.append)
        state, card = load_embedded(tmp_path)
        build_small_sam(SamShape.from_card(card["architecture"])).load_state_dict(state)
        assert 0 <= card["scores"]["miou"] <= 1
        assert card["budget"]["steps"] == 1
        assert any("loss" in line for line in lines)


@needs_embedded
class TestEmbedded:
    def test_objects_of_unseen_scenes_are_masked(self) -> None:
        scores = script.evaluate(load_segmenter("embedded"), scenes=8)
        assert scores["miou"] > 0.82
        assert scores["miou_boxes_moved_3px"] > 0.78

    def test_the_predicted_quality_tells_good_masks_from_bad_ones(self) -> None:
        segmenter = load_segmenter("embedded")
        scene = render_scene(script.FIRST_HELD_OUT_SEED)
        boxes_N4 = np.array([item.box for item in scene.objects], np.float32)
        _, good_N3 = segmenter.segment(scene.image_HW3, boxes_N4)
        _, bad_N3 = segmenter.segment(
            scene.image_HW3, boxes_N4[:, [0, 1, 0, 1]] + np.array([0, 0, 150, 150], np.float32)
        )
        assert good_N3.max(1).mean() > bad_N3.max(1).mean() + 0.05

    def test_most_of_what_is_in_scenes_is_found_without_boxes(self) -> None:
        segmenter = load_segmenter("embedded")
        best = list[float]()
        for number in range(1, 9):
            scene = render_scene(script.FIRST_HELD_OUT_SEED + number)
            masks_NHW, scores_N = segmenter.automatic(scene.image_HW3)
            assert masks_NHW.shape[1:] == scene.image_HW3.shape[:2]
            assert (np.diff(scores_N) <= 0).all()
            for item in scene.objects:
                best.append(max((mask & item.mask_HW).sum() / (mask | item.mask_HW).sum() for mask in masks_NHW))
        assert np.mean(best) > 0.6
        assert segmenter.passes == 8

    def test_the_card_says_what_was_reached(self) -> None:
        _, card = load_embedded(EMBEDDED_FOLDER / "segmenter")
        assert card["scores"]["miou"] >= 0.85
        assert card["bytes"] < 2_000_000
