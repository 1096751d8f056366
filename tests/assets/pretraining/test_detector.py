"""The training program of the small Grounding DINO: losses against references, honest questions, a run of one step."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss
from transformers import BertTokenizer

from assets.pretraining import detector as script
from assets.pretraining.detector_data import WORDS, Asker, BatchDrawer, draw_samples, make_batch
from assets.pretraining.detector_losses import (
    Outputs,
    Tap,
    Targets,
    anchors,
    detection_loss,
    focal_loss,
    generalised_iou,
    match,
)
from assets.pretraining.small_training import Budget
from resources.embedded.cards import load_embedded
from resources.models.grounding_dino import build_grounding_dino, quiet
from resources.models.grounding_text import read_tokenizer
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START, SPLIT_SEED_RANGES


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> BertTokenizer:
    folder = tmp_path_factory.mktemp("words")
    script.write_vocabulary(folder, script.vocabulary_words())
    return read_tokenizer(folder)


def random_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, 4, generator=generator) * 0.4 + 0.1


def test_generalised_iou_agrees_with_torchvision() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two = random_boxes(7, generator), random_boxes(5, generator)
    corners = [box_convert(boxes, "cxcywh", "xyxy") for boxes in (one, two)]
    torch.testing.assert_close(generalised_iou(one[:, None], two[None]), generalized_box_iou(*corners))


def test_focal_loss_agrees_with_torchvision_and_ignores_padding() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, generator=generator)
    wanted = torch.rand(2, 3, 5, generator=generator) < 0.3
    tokens = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    wanted &= tokens[:, None]
    expected = sigmoid_focal_loss(logits, wanted.float()) * tokens[:, None]
    padded = logits.masked_fill(~tokens[:, None], -torch.inf)
    torch.testing.assert_close(focal_loss(padded, wanted, tokens), expected.sum() / wanted.sum())


def test_anchors_are_those_of_the_package() -> None:
    shapes = [(16, 20), (8, 10), (4, 5)]
    count = sum(height * width for height, width in shapes)
    empty = torch.zeros(1, count, dtype=torch.bool)
    with quiet():
        from groundingdino.models.GroundingDINO.utils import gen_encoder_output_proposals

        _, expected = gen_encoder_output_proposals(torch.zeros(1, count, 4), empty, torch.tensor(shapes))
    centres, sides, levels = anchors(shapes)
    torch.testing.assert_close(torch.cat([centres, sides], dim=1), expected[0].sigmoid())
    assert levels.bincount().tolist() == [320, 80, 20]


def perfect_outputs() -> tuple[Outputs, Targets]:
    """Three queries on one image and two objects, which queries 2 and 0 answer."""
    boxes = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.3]])
    positive = torch.tensor([[False, True, False], [False, False, True]])
    logits = torch.full((1, 1, 3, 3), -9.0)
    logits[0, 0, 2, 1] = logits[0, 0, 0, 2] = 9.0
    found = torch.stack([boxes[1], torch.full((4,), 0.5), boxes[0]])[None, None]
    centres, _, level = anchors([(4, 4), (2, 2), (1, 1)])
    outputs = Outputs(
        logits_LBQT=logits,
        boxes_LBQ4=found,
        place_logits_BST=torch.full((1, 21, 3), -9.0),
        place_boxes_BS4=torch.full((1, 21, 4), 0.5),
        centres_S2=centres,
        level_S=level,
        tokens_BT=torch.ones(1, 3, dtype=torch.bool),
    )
    return outputs, Targets(image_M=torch.zeros(2, dtype=torch.int64), boxes_M4=boxes, positive_MT=positive)


def test_objects_are_matched_to_the_queries_that_answer_them() -> None:
    outputs, targets = perfect_outputs()
    assert [queries.tolist() for queries in match(outputs, targets)] == [[2, 0]]


def test_a_wrong_answer_costs_more_than_a_right_one() -> None:
    outputs, targets = perfect_outputs()
    right = detection_loss(outputs, targets)
    moved = dataclasses.replace(outputs, boxes_LBQ4=outputs.boxes_LBQ4 + 0.05)
    silent = dataclasses.replace(outputs, logits_LBQT=torch.full_like(outputs.logits_LBQT, -9.0))
    assert detection_loss(moved, targets) > right
    assert detection_loss(silent, targets) > right


def test_the_tap_sees_what_the_model_returns(tokenizer: BertTokenizer) -> None:
    torch.manual_seed(0)
    sizes = dataclasses.replace(script.SIZES, bert={**script.SIZES.bert, "vocab_size": len(tokenizer)})
    model = build_grounding_dino(sizes, tokenizer).eval()
    script.start_from_prior(model)
    tap = Tap(model)
    with quiet(), torch.no_grad():
        returned = model(torch.randn(2, 3, 112, 134), captions=["dog . cat .", "sports ball ."])
        seen = tap.outputs()
    count = seen.tokens_BT.shape[1]
    hidden = ~seen.tokens_BT[:, None].expand_as(seen.logits_LBQT[-1])
    logits = seen.logits_LBQT[-1].masked_fill(hidden, -torch.inf)
    torch.testing.assert_close(logits, returned["pred_logits"][..., :count])
    torch.testing.assert_close(seen.boxes_LBQ4[-1], returned["pred_boxes"], rtol=0, atol=1e-4)
    assert -6 < seen.logits_LBQT.mean() < -2


def test_questions_name_words_and_targets_are_what_they_name(tokenizer: BertTokenizer) -> None:
    samples = draw_samples(range(PRETRAINING_SEEDS_START, PRETRAINING_SEEDS_START + 30), sizes=script.SIZES)
    asker, rng = Asker(), np.random.default_rng(0)
    for sample in samples:
        question = asker.ask(sample, rng)
        assert all(question.text[start:end] == WORDS[word] for start, end, word in question.phrases)
        batch = make_batch([sample], asker, tokenizer, rng)
        ids = tokenizer(list(batch.captions))["input_ids"][0]
        words = set(" ".join(WORDS).split())
        for positive in batch.targets.positive_MT:
            assert {tokenizer.convert_ids_to_tokens(ids[i]) for i in positive.nonzero().flatten()} <= words


def test_a_batch_repeats_no_sample_and_shares_a_shape(tokenizer: BertTokenizer) -> None:
    samples = draw_samples(range(PRETRAINING_SEEDS_START, PRETRAINING_SEEDS_START + 24), sizes=script.SIZES)
    drawer = BatchDrawer(samples, tokenizer, size=4)
    drawn = [drawer.draw(np.random.default_rng(number)) for number in range(12)]
    assert all(batch.pixels_B3hw.shape[0] == len(batch.captions) == 4 for batch in drawn)
    assert len({batch.pixels_B3hw.shape for batch in drawn}) > 1
    again = drawer.draw(np.random.default_rng(3))
    assert torch.equal(again.pixels_B3hw, drawn[3].pixels_B3hw)
    with pytest.raises(ValueError, match="draw more"):
        BatchDrawer(samples[:3], tokenizer, size=4)


def test_scenes_of_the_training_script_belong_to_no_split_and_the_held_out_ones_to_no_training() -> None:
    trained = range(script.FIRST_SEED, script.FIRST_SEED + script.BUDGET.scenes)
    held_out = range(script.FIRST_HELD_OUT_SEED, script.FIRST_HELD_OUT_SEED + script.BUDGET.held_out)
    ranges = sorted([trained, held_out, *SPLIT_SEED_RANGES.values()], key=lambda seeds: seeds.start)
    assert all(one.stop <= two.start for one, two in itertools.pairwise(ranges))


def test_the_script_runs_and_can_go_on_from_its_result(tmp_path: Path, tiny: Budget) -> None:
    lines: list[str] = []
    first, second = tmp_path / "one", tmp_path / "two"
    script.train(first, tiny, log=lines.append)
    script.train(second, tiny, log=lines.append, start=first)
    state, card = load_embedded(second)
    assert card["started_from"]["sha256"] == load_embedded(first)[1]["sha256"]
    assert card["command"].endswith("--start one")
    assert sum(value.numel() for value in state.values()) > 2_000_000
    assert (second / "weights.safetensors").stat().st_size < 6_000_000
    assert not (second / "checkpoints").exists()


@pytest.fixture
def tiny() -> Budget:
    return Budget(steps=1, scenes=60, held_out=2)
