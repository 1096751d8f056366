"""Grounding DINO under present transformers: text tower, geometry, keys, and the embedded model at work."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertModel, BertTokenizer

from assets.pretraining.detector import SIZES
from assets.pretraining.detector_scores import evaluate
from ops.refusal import Refused
from ops.ssc.captions import caption, expression_caption, token_spans
from ops.ssc.detections import keep_detections, top_box
from resources.embedded.cards import embedded_folder
from resources.models.grounding_dino import (
    CAPTION_TOKENS,
    SWINT_OGC,
    UNUSED_KEYS,
    GroundingDino,
    build_grounding_dino,
    load_detector,
    prepare_image,
    read_published,
    resized_shape,
)
from resources.models.grounding_text import PhraseBert, read_bert_sizes, read_tokenizer
from resources.models.weights import load_strictly
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import render_scene

HELD_OUT = PRETRAINING_SEEDS_START + 19_500_000
BERT = {"vocab_size": 12, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def detector() -> GroundingDino:
    return load_detector("embedded")


@pytest.fixture(scope="module")
def tokenizer() -> BertTokenizer:
    return read_tokenizer(embedded_folder("detector"))


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return render_scene(HELD_OUT).image_HW3


SAVED = [
    [1.28386, 0.7371, -0.78917],
    [1.27734, 0.72536, -0.80991],
    [1.2645, 0.73968, -0.79689],
    [1.29012, 0.74078, -0.78071],
    [1.26122, 0.72409, -0.82405],
]
"""Token x first three widths of `PhraseBert`, transformers 5.23.0, torch 2.11.0."""


def small_bert() -> BertModel:
    torch.manual_seed(3)
    return BertModel(BertConfig(**BERT, attn_implementation="eager")).eval()


def phrases(*lengths: int) -> torch.Tensor:
    return torch.block_diag(*(torch.ones(length, length) for length in lengths)).bool()[None]


def test_with_nothing_hidden_the_text_tower_is_plain_bert() -> None:
    bert, ids = small_bert(), torch.tensor([[2, 7, 9, 11, 3]])
    expected = bert(ids).last_hidden_state
    places, types = torch.arange(5)[None], torch.zeros_like(ids)
    found = PhraseBert(bert)(ids, torch.ones(1, 5, 5, dtype=torch.bool), types, places)
    torch.testing.assert_close(found["last_hidden_state"], expected, rtol=0, atol=0)


def test_a_phrase_is_encoded_as_if_it_stood_alone() -> None:
    tower, ids = PhraseBert(small_bert()), torch.tensor([[2, 7, 9, 11, 3]])
    places = torch.tensor([[0, 0, 1, 0, 0]])
    types = torch.zeros_like(ids)
    together = tower(ids, phrases(1, 2, 1, 1), types, places)["last_hidden_state"]
    alone = tower(ids[:, 1:3], phrases(2), types[:, :2], places[:, 1:3])["last_hidden_state"]
    torch.testing.assert_close(together[:, 1:3], alone, rtol=0, atol=1e-6)


def test_the_text_tower_gives_the_saved_numbers() -> None:
    """Weights from a formula and not from a generator, so that the numbers outlive changes of torch."""
    bert = small_bert()
    with torch.no_grad():
        matrices = (parameter for parameter in bert.parameters() if parameter.ndim == 2)
        for index, parameter in enumerate(matrices):
            count = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((0.5 * torch.sin(count * 0.7 + index)).reshape(parameter.shape))
    ids = torch.tensor([[2, 7, 9, 11, 3]])
    places = torch.tensor([[0, 0, 1, 0, 0]])
    found = PhraseBert(bert)(ids, phrases(1, 2, 1, 1), torch.zeros_like(ids), places)["last_hidden_state"]
    torch.testing.assert_close(found[0, :, :3], torch.tensor(SAVED), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("original", "expected"),
    [((480, 640), (800, 1066)), ((640, 480), (1066, 800)), ((500, 500), (800, 800)), ((300, 900), (444, 1332))],
)
def test_published_geometry(original: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_shape(*original, sizes=SWINT_OGC) == expected


def test_geometry_of_the_embedded_model_is_the_one_it_was_trained_at(detector: GroundingDino) -> None:
    assert resized_shape(112, 128, sizes=detector.sizes) == (112, 128)
    assert resized_shape(400, 1600, sizes=detector.sizes) == (52, 208)


def test_the_embedded_detector_finds_most_objects_and_little_else(detector: GroundingDino) -> None:
    scores = evaluate(detector, [render_scene(HELD_OUT + index) for index in range(24)])
    assert scores["recall@.25"] >= 0.85
    assert scores["precision_once@.25"] >= 0.80
    assert scores["mean_iou_of_hits"] >= 0.85


def test_the_detector_reads_the_caption(detector: GroundingDino) -> None:
    """Asked for one class at a time, it finds that class far more often than it mistakes others for it."""
    right = wrong = wanted = 0
    for index in range(20):
        scene = render_scene(HELD_OUT + 100 + index)
        present = sorted({thing.category for thing in scene.objects})
        asked = caption([present[index % len(present)]])
        raw = detector.detect(scene.image_HW3, asked.text)
        kept = keep_detections(raw.boxes_Q4, raw.token_scores_QT, token_spans(raw.offsets, asked.spans))
        for x0, y0, x1, y1 in kept.boxes_N4:
            middle = int((y0 + y1) / 2), int((x0 + x1) / 2)
            inside = [thing for thing in scene.objects if thing.category == asked.classes[0]]
            hit = any(t.box[0] <= middle[1] < t.box[2] and t.box[1] <= middle[0] < t.box[3] for t in inside)
            right, wrong = right + hit, wrong + (not hit)
        wanted += sum(thing.category == asked.classes[0] for thing in scene.objects)
    assert right >= 0.75 * wanted
    assert wrong <= 0.25 * right


def test_an_expression_leads_to_an_object_of_its_kind(detector: GroundingDino) -> None:
    scene = render_scene(HELD_OUT, focus="people")
    asked = expression_caption("the person on the left", tokens=detector.tokens, at_most=CAPTION_TOKENS)
    raw = detector.detect(scene.image_HW3, asked.text)
    (x0, y0, x1, y1), _ = top_box(raw.boxes_Q4, raw.token_scores_QT, token_spans(raw.offsets, asked.spans))
    people = [thing.box for thing in scene.objects if thing.category == "person"]
    assert any(p[0] <= (x0 + x1) / 2 < p[2] and p[1] <= (y0 + y1) / 2 < p[3] for p in people)


def test_detections_are_repeatable_whatever_came_before(detector: GroundingDino, image: NDArray[np.uint8]) -> None:
    first = detector.detect(image, "car . person .")
    detector.detect(render_scene(HELD_OUT + 1).image_HW3, "dog .")
    again = detector.detect(image, "car . person .")
    np.testing.assert_array_equal(first.boxes_Q4, again.boxes_Q4)
    np.testing.assert_array_equal(first.token_scores_QT, again.token_scores_QT)


def test_boxes_are_pixels_of_the_original_image(detector: GroundingDino) -> None:
    raw = detector.detect(render_scene(HELD_OUT).image_HW3.repeat(2, axis=0).repeat(2, axis=1), "person .")
    height, width = (2 * side for side in render_scene(HELD_OUT).image_HW3.shape[:2])
    assert raw.boxes_Q4.dtype == np.float32
    assert (raw.boxes_Q4 >= 0).all()
    assert (raw.boxes_Q4 <= np.array([width, height, width, height])).all()


def test_passes_are_counted(image: NDArray[np.uint8]) -> None:
    fresh = load_detector("embedded")
    fresh.detect(image, "dog .")
    fresh.detect(image, "cat . dog .")
    assert fresh.passes == 2


def test_a_word_never_seen_is_spelled_and_does_no_harm(detector: GroundingDino, image: NDArray[np.uint8]) -> None:
    asked = caption(["zeppelin", "person"])
    raw = detector.detect(image, asked.text)
    assert len(token_spans(raw.offsets, asked.spans)[1]) == len("zeppelin")
    assert np.isfinite(raw.token_scores_QT).all()


@pytest.mark.parametrize(("height", "width"), [(1, 3000), (2000, 1), (900, 3)])
def test_of_a_thin_image_at_least_a_pixel_is_left(detector: GroundingDino, height: int, width: int) -> None:
    for sizes in (detector.sizes, SWINT_OGC):
        assert 1 <= min(resized_shape(height, width, sizes=sizes)) <= max(resized_shape(height, width, sizes=sizes))
        assert prepare_image(np.zeros((height, width, 3), np.uint8), sizes=sizes).numel()
    boxes_Q4 = detector.detect(np.zeros((height, width, 3), np.uint8), "dog .").boxes_Q4
    assert np.isfinite(boxes_Q4).all()


@pytest.mark.parametrize("phrase", ["\u200b", "\u0301", "\ufffd\x00", "\ue000\u00ad"])
def test_a_phrase_of_which_no_token_is_left_is_no_caption(detector: GroundingDino, phrase: str) -> None:
    assert not detector.tokens(phrase)
    with pytest.raises(Refused, match="no character"):
        expression_caption(phrase, tokens=detector.tokens, at_most=CAPTION_TOKENS)


def test_tokens_of_phrases_add_up_to_those_of_their_caption(detector: GroundingDino) -> None:
    names = ["dog", "caf\u00e9-bar \U0001f600", "\u0301x", "tennis racket's", "\u72d7 a\u200bb"]
    asked = caption(names)
    tokens = len(detector.tokenizer(asked.text)["input_ids"])
    assert tokens == 2 + sum(detector.tokens(name) + 1 for name in asked.classes)


def test_a_caption_beyond_the_score_table_is_refused(detector: GroundingDino, image: NDArray[np.uint8]) -> None:
    with pytest.raises(Refused, match="fewer classes"):
        detector.detect(image, "dog . " * 200)


def test_published_checkpoints_are_read_without_their_wrapper(tmp_path: Path, tokenizer: BertTokenizer) -> None:
    sizes = dataclasses.replace(SIZES, bert={**SIZES.bert, "vocab_size": len(tokenizer)})
    model, other = build_grounding_dino(sizes, tokenizer), build_grounding_dino(sizes, tokenizer)
    state = {f"module.{key}": value for key, value in model.state_dict().items()}
    state |= {
        "module.label_enc.weight": torch.zeros(3),
        "module.bert.embeddings.position_ids": torch.arange(4),
    }
    torch.save({"model": state}, tmp_path / "published.pth")
    load_strictly(other, read_published(tmp_path / "published.pth"), source=tmp_path, ignored=UNUSED_KEYS)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_a_checkpoint_of_another_model_is_refused(detector: GroundingDino, change: str) -> None:
    state = dict(detector.model.state_dict())
    if change == "missing":
        del state["feat_map.weight"]
    elif change == "unknown":
        state["extra.weight"] = torch.zeros(1)
    else:
        state["feat_map.weight"] = torch.zeros(2, 2)
    with pytest.raises(Refused, match=r"does not fit this model: 1 keys (missing|unknown|of another shape)"):
        load_strictly(detector.model, state, source=Path("some.pth"))


def test_full_size_without_its_files_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="bert-base-uncased"):
        load_detector("swint_ogc")
    with pytest.raises(Refused, match=r"groundingdino_swint_ogc\.pth"):
        read_published(tmp_path / "nothing.pth")
    with pytest.raises(Refused, match=r"config\.json"):
        read_bert_sizes(tmp_path)
    with pytest.raises(Refused, match="unknown detector"):
        load_detector("yolo")


def test_a_vocabulary_without_separators_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\ndog\n")
    with pytest.raises(Refused, match="lacks"):
        read_tokenizer(tmp_path)
