"""Models of transformers by their folders: they give what their processors give, and what is no model is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from ops.refusal import Refused
from ops.ssc.captions import caption
from resources.models import loading
from resources.models.concepts import load_sam3
from resources.models.detection import Captioned, Detector, Thresholds
from resources.models.hub_grounding_dino import load_hub_grounding_dino
from resources.models.hub_kinds import SERVED
from resources.models.hub_sam import load_hub_sam
from resources.models.owl import QUERY
from resources.models.segmentation import EverythingSettings
from resources.runtime import Runtime
from tests.resources.models.hub_folders import MAKERS, clip_tokenizer, made

DETECTORS = ("grounding-dino", "mm-grounding-dino", "owlv2", "owlvit")
SEGMENTERS = ("sam", "sam_hq", "sam2", "sam2_video", "edgetam")
ALL = Thresholds(box=0.0, text=0.0)
RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ((60, 80), (60, 80), (90, 50))]
BOXES = [
    np.array([[3, 4, 30, 40], [20, 10, 60, 55]], np.float32),
    np.zeros((0, 4), np.float32),
    np.array([[3, 4, 30, 80]], np.float32),
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`model_type` -> a folder of such a model, made once."""
    home = tmp_path_factory.mktemp("checkpoints") / "hub"
    return lambda kind: made(kind, home / f"someone--{kind}")


@pytest.fixture(scope="module")
def opened(hub: Callable[[str], Path]) -> Callable[[str], Any]:
    """`model_type` -> a model by the name that a knob gives it, opened once."""
    held: dict[str, Any] = {}

    def open_one(kind: str) -> Any:
        if kind not in held:
            use = {"sam3": loading.open_concepts, **dict.fromkeys(DETECTORS, loading.open_detector)}
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("WORDMASK_CHECKPOINTS", str(hub(kind).parent.parent))
                held[kind] = use.get(kind, loading.open_segmenter)(f"someone/{kind}", Runtime(device="cpu", threads=1))
        return held[kind]

    return open_one


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_batch_of_images_finds_what_each_finds_alone(kind: str, opened: Callable[[str], Any]) -> None:
    detector: Detector = opened(kind)
    before = detector.passes
    classes = [["cup"], ["Man", "dog "], ["cup", "man"]]
    together = detector.detect_batch(IMAGES, classes, ALL)
    assert detector.passes == before + 3
    for image, asked, found in zip(IMAGES, classes, together, strict=True):
        alone = detector.detect(image, asked, ALL)
        assert found.classes == alone.classes == tuple(sorted(name.strip().lower() for name in asked))
        assert len(found.detections.scores_N) == len(alone.detections.scores_N) >= 16
        np.testing.assert_allclose(found.detections.scores_N, alone.detections.scores_N, atol=1e-3)
        assert found.detections.boxes_N4.max(0)[2] <= image.shape[1]
        assert found.detections.boxes_N4.max(0)[3] <= image.shape[0]


@pytest.mark.parametrize("kind", DETECTORS[:2])
def test_grounding_dino_gives_what_its_own_processor_gives(
    kind: str, hub: Callable[[str], Path], opened: Callable[[str], Any]
) -> None:
    folder, image, asked = hub(kind), IMAGES[0], caption(["dog", "man", "red cup"])
    (raw,) = opened(kind).model.score([image], [asked.text])
    processor = hf.AutoProcessor.from_pretrained(folder, local_files_only=True)
    inputs = processor(images=image, text=asked.text, return_tensors="pt")
    with torch.no_grad():
        (expected,) = processor.post_process_grounded_object_detection(
            opened(kind).model.model(**inputs), threshold=0.0, text_threshold=0.0, target_sizes=[image.shape[:2]]
        )
    np.testing.assert_allclose(raw.token_scores_QT.max(1), expected["scores"], atol=1e-5)
    edges = np.array([80, 60, 80, 60], np.float32)
    np.testing.assert_allclose(raw.boxes_Q4, np.clip(expected["boxes"].numpy(), 0, edges), atol=1e-3)


@pytest.mark.parametrize("kind", DETECTORS[2:])
@pytest.mark.parametrize("image", [IMAGES[0], IMAGES[2]], ids=["wide", "high"])
def test_owl_gives_what_its_own_processor_gives(
    kind: str, image: NDArray[np.uint8], hub: Callable[[str], Path], opened: Callable[[str], Any]
) -> None:
    folder, names = hub(kind), ("cup", "dog", "man")
    found = opened(kind).detect(image, names, ALL).detections
    processor = getattr(hf, {"owlv2": "Owlv2Processor", "owlvit": "OwlViTProcessor"}[kind]).from_pretrained(
        folder, local_files_only=True
    )
    inputs = processor(
        images=image, text=[[QUERY.format(name) for name in names]], return_tensors="pt", max_length=32, truncation=True
    )
    with torch.no_grad():
        (expected,) = processor.post_process_grounded_object_detection(
            opened(kind).model(**inputs), threshold=0.0, target_sizes=[image.shape[:2]]
        )
    order = torch.argsort(expected["scores"], descending=True)
    np.testing.assert_allclose(found.scores_N, expected["scores"][order], atol=1e-5)
    clear = found.scores_N < 0.999  # above, the sigmoid of several classes is 1
    assert clear.any()
    np.testing.assert_array_equal(found.class_ids_N[clear], expected["labels"][order][clear])
    height, width = image.shape[:2]
    wanted = np.clip(expected["boxes"].numpy(), 0, np.array([width, height, width, height], np.float32))
    np.testing.assert_allclose(np.sort(found.boxes_N4, axis=0), np.sort(wanted, axis=0), atol=1e-3)


def test_classes_that_an_owl_cannot_be_asked_for_cost_only_themselves(opened: Callable[[str], Any]) -> None:
    detector = opened("owlv2")
    names = ["cup", "a.b", "x" * 40, "...", "zebra"]
    changes = detector.reworded(names)
    assert {name: changed.asked for name, changed in changes.items()} == {"a.b": "a b", "x" * 40: None, "...": None}
    assert "51 tokens, at most 32" in changes["x" * 40].reason
    assert detector.detect(IMAGES[0], names, ALL).classes == ("a b", "cup", "zebra")
    assert detector.detect(IMAGES[0], ["..."], ALL).classes == ()
    with pytest.raises(Refused, match="holds no character"):
        detector.demand_readable("...")


@pytest.mark.parametrize("kind", DETECTORS)
def test_an_expression_has_a_best_box(kind: str, opened: Callable[[str], Any]) -> None:
    detector: Detector = opened(kind)
    detector.demand_readable("red cup")
    box, score = detector.ground(IMAGES[0], "red cup")
    assert box.shape == (4,)
    assert 0 < score <= 1
    with pytest.raises(Refused, match="too narrow"):
        detector.ground(np.zeros((3, 900, 3), np.uint8), "red cup")


@pytest.mark.parametrize("kind", SEGMENTERS)
def test_a_sam_gives_what_its_own_processor_gives(kind: str, opened: Callable[[str], Any]) -> None:
    segmenter = opened(kind)
    before = segmenter.passes
    together = segmenter.segment_batch(IMAGES, BOXES)
    assert segmenter.passes == before + 2, "an image without a box costs nothing"
    assert together[1][0].shape == (0, 3, 60, 80)
    processor = (hf.SamProcessor if kind in ("sam", "sam_hq") else hf.Sam2Processor)(segmenter.processor)
    for row in (0, 2):
        image, boxes, (masks, scores) = IMAGES[row], BOXES[row], together[row]
        inputs = processor(images=image, input_boxes=[boxes.tolist()], return_tensors="pt")
        prompts = {name: inputs[name].float() for name in ("pixel_values", "input_boxes")}
        with torch.no_grad():
            output = segmenter.model(**prompts)
        sizes = [inputs["reshaped_input_sizes"]] if "reshaped_input_sizes" in inputs else []
        (expected,) = processor.post_process_masks(output.pred_masks, inputs["original_sizes"], *sizes)
        np.testing.assert_allclose(scores, output.iou_scores[0], atol=1e-4)
        assert (masks != expected.numpy()).mean() < 1e-3
        assert 0 < masks.mean() < 1


@pytest.mark.parametrize("kind", SEGMENTERS)
def test_a_sam_searches_without_boxes(kind: str, opened: Callable[[str], Any]) -> None:
    segmenter = opened(kind)
    segmenter.everything = EverythingSettings(
        points_per_side=3, points_per_box_side=2, pred_iou_thresh=-9, stability_score_thresh=0
    )
    masks, scores = segmenter.automatic(IMAGES[0])
    assert masks.shape[1:] == (60, 80)
    assert len(masks) == len(scores) > 0
    assert (np.diff(scores) <= 0).all()
    inside, _ = segmenter.inside(IMAGES[0], BOXES[0])
    assert not inside[0, :, 30:].any()
    assert inside.any()


def test_sam_3_finds_masks_of_classes(opened: Callable[[str], Any]) -> None:
    segmenter = opened("sam3")
    found = segmenter.find(IMAGES[2], ["man", "CUP", "...", "x" * 40], threshold=0.0)
    assert found.classes == ("cup", "man")
    assert found.masks_NHW.shape == (12, 90, 50)
    processor = hf.Sam3Processor(segmenter.processor, clip_tokenizer())
    for number, name in enumerate(found.classes):
        with torch.no_grad():
            output = segmenter.model(**processor(images=IMAGES[2], text=name, return_tensors="pt"))
        (expected,) = processor.post_process_instance_segmentation(output, threshold=0.0, target_sizes=[(90, 50)])
        rows = found.detections.class_ids_N == number
        order = expected["scores"].argsort(descending=True)
        np.testing.assert_allclose(found.detections.scores_N[rows], expected["scores"][order], atol=1e-5)
        assert (found.masks_NHW[rows] != expected["masks"][order].bool().numpy()).mean() < 1e-3
    assert not len(segmenter.find(IMAGES[0], ["cup"], threshold=1.0).masks_NHW)


def test_sam_3_is_read_from_the_folder_of_the_model_for_videos(hub: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(hub("sam3"), tmp_path / "videos")
    images = json.loads((folder / "config.json").read_text())
    hf.Sam3VideoConfig(detector_config=images).save_pretrained(folder)
    inner = load_file(folder / "model.safetensors")
    tracker = {"tracker_model.no_memory_embedding": torch.ones(2), "tracker_neck.scale": torch.ones(2)}
    outer = {f"detector_model.{name}": value for name, value in inner.items()} | tracker
    save_file(outer, folder / "model.safetensors", metadata={"format": "pt"})
    before, after = (load_sam3(place).model.state_dict() for place in (hub("sam3"), folder))
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_every_type_that_is_served_is_tried_here() -> None:
    tried = {*MAKERS, "edgetam_video", "sam3_video"}
    assert tried == {kind for kinds in SERVED.values() for kind in kinds}


def without(folder: Path, name: str) -> None:
    (folder / name).unlink()


def reweighed(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def reconfigured(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


KEY = "mask_decoder.iou_token.weight"
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no configuration": (lambda folder: without(folder, "config.json"), r"config\.json is missing"),
    "no weights": (lambda folder: without(folder, "model.safetensors"), r"lacks model\.safetensors"),
    "a pickle": (pickled, r"pytorch_model\.bin, a pickle.*take a revision that has model\.safetensors"),
    "no processor": (lambda folder: without(folder, "preprocessor_config.json"), r"holds no preprocessor_config\.json"),
    "another model": (lambda folder: reconfigured(folder, model_type="llama"), r"config\.json: llama has no adapter"),
    "no type": (lambda folder: reconfigured(folder, model_type=3), r"does not say its 'model_type'"),
    "a detector": (lambda folder: reconfigured(folder, model_type="owlv2"), r"owlv2 has no adapter as segmenter"),
    "SAM 3": (lambda folder: reconfigured(folder, model_type="sam3"), r"takes no boxes: set `source: concept`"),
    "a key less": (lambda folder: reweighed(folder, lambda held: held.pop(KEY)), rf"1 keys missing \({KEY}\)"),
    "a key more": (
        lambda folder: reweighed(folder, lambda held: held.update(surprise=torch.ones(1))),
        r"model\.safetensors does not fit the config\.json beside it: 1 keys unknown \(surprise\)",
    ),
    "another shape": (
        lambda folder: reweighed(folder, lambda held: held.update({KEY: torch.ones(1, 8)})),
        rf"1 keys of another shape \({KEY}\)",
    ),
    "too large": (
        lambda folder: reconfigured(folder, mask_decoder_config={"hidden_size": 16, "mlp_dim": 10**9}),
        r"describes .* parameters, model\.safetensors has",
    ),
    "broken off": (truncated, r"model\.safetensors is no readable checkpoint"),
    "a web page": (
        lambda folder: (folder / "model.safetensors").write_text("<!doctype html>"),
        r"model\.safetensors is a web page",
    ),
    "nonsense": (lambda folder: reconfigured(folder, vision_config="none"), r"config\.json describes no model"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_is_not_a_whole_sam_is_refused_by_its_file(
    damage: str, hub: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(hub("sam"), tmp_path / "sam")
    change, said = DAMAGE[damage]
    change(folder)
    with pytest.raises(Refused, match=said):
        load_hub_sam(folder)


def test_code_beside_the_weights_is_never_run(hub: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(hub("sam"), tmp_path / "sam")
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    reconfigured(folder, auto_map={"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.Own"})
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    processor["auto_map"] = {"AutoImageProcessor": "modeling_own.Own"}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    load_hub_sam(folder).segment(IMAGES[0], BOXES[0])
    assert not (tmp_path / "ran").exists()


def test_a_vocabulary_that_transformers_does_not_split_is_refused(hub: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(hub("grounding-dino"), tmp_path / "dino")
    clip_tokenizer().save_pretrained(folder)
    with pytest.raises(Refused, match="another vocabulary than bert-base-uncased"):
        load_hub_grounding_dino(folder)


def test_a_norm_that_no_feature_passes_may_be_absent_as_in_published_weights(
    hub: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(hub("grounding-dino"), tmp_path / "dino")

    def strip(held: dict[str, torch.Tensor]) -> None:
        for name in [name for name in held if name.startswith("model.backbone.conv_encoder.model.layernorm")]:
            del held[name]

    reweighed(folder, strip)
    before, after = (Captioned(load_hub_grounding_dino(place)) for place in (hub("grounding-dino"), folder))
    scores = [each.detect(IMAGES[0], ["cup"], ALL).detections.scores_N for each in (before, after)]
    np.testing.assert_array_equal(*scores)
