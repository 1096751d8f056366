"""TRIS's networks from the embedded weights: they load, know words and looks, and come back as they were described."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.pretraining import clip_rn, clip_scorer, irn_backbone
from assets.pretraining.clip import architecture, projection_accuracy, training_words
from assets.pretraining.clip_views import draw_picture
from ops.images import normalise, to_tensor
from ops.refusal import Refused
from ops.tris.response import ResponseConfig, respond
from ops.tris.segmenter import SegmenterConfig, segment
from resources.embedded.cards import embedded_folder, load_embedded, read_card
from resources.models.clip import VOCABULARY, load_clip
from resources.models.tris import (
    TowerKind,
    TrisTokenizer,
    described,
    load_scorer,
    new_irnet,
    new_response_model,
    new_segmenter,
    pretrained_clip,
    pretrained_tower,
    response_model_from,
    segmenter_from,
    tokenizer_from,
)

PICTURE = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_the_embedded_clip_is_what_its_training_script_makes_and_knows_words() -> None:
    folder = embedded_folder("clip_rn")
    words = (folder / VOCABULARY).read_text().split()
    assert read_card(folder)["architecture"] == architecture(len(words) + 4, clip_rn.RESNET)
    assert tuple(words) == training_words()
    assert projection_accuracy(pretrained_clip().clip) >= 0.95
    assert read_card(folder)["scores"]["choice_all"] > 2 * read_card(folder)["scores"]["choice_random"]


def test_the_cells_of_its_last_map_know_what_they_show() -> None:
    assert clip_rn.pointing_accuracy(pretrained_clip().clip, scenes=8) > 0.25  # objects cover 3 % of a picture


def test_regions_are_taught_by_their_own_cells() -> None:
    clip = pretrained_clip().clip
    pictures = [draw_picture(seed) for seed in range(2)]
    before = clip_rn.region_loss(clip.model.train(), pictures, clip.tokenizer, np.random.default_rng(0))
    wrong = [replace(one, labels_HW=np.rot90(one.labels_HW, 2).copy()) for one in pictures]
    after = clip_rn.region_loss(clip.model, wrong, clip.tokenizer, np.random.default_rng(0))
    assert before < after - 1


def test_long_expressions_keep_their_end_unless_the_authors_way_is_asked_for() -> None:
    clip = pretrained_clip().clip
    long = " ".join(["the red car left of the dog"] * 4)
    ids, mask = TrisTokenizer(clip.tokenizer).encode([long, "dog"])
    assert ids.shape == mask.shape == (2, 20)
    assert mask.all()
    assert ids[0, -1] == ids[1, 2] == clip.tokenizer([long]).max()
    assert TrisTokenizer(clip.tokenizer, rule="compat_slice").encode([long])[0].max() < ids[0, -1]


def test_step_1_comes_back_from_its_description() -> None:
    start = pretrained_clip()
    tokenizer = TrisTokenizer(start.clip.tokenizer)
    model = new_response_model(start, ResponseConfig(width=16, image_size=64, vision_to_language=False), seed=3)
    card = json.loads(json.dumps(described(model, start.sizes, tokenizer)))
    again, same = response_model_from(model.state_dict(), card)
    assert again.config == model.config
    ids, _ = same.encode(["the red dog"])
    assert torch.equal(ids, tokenizer.encode(["the red dog"])[0])
    rows = torch.tensor([0])
    assert torch.equal(respond(again, PICTURE, ids, image_of_M=rows), respond(model, PICTURE, ids, image_of_M=rows))


def test_step_2_comes_back_from_its_description() -> None:
    start = pretrained_clip()
    config = SegmenterConfig(laterals=(8, 8, 16, 16), finest=8, image_size=64)
    model = new_segmenter(start, config, seed=3)
    card = json.loads(
        json.dumps(described(model, start.sizes, TrisTokenizer(start.clip.tokenizer, rule="compat_slice")))
    )
    again, tokenizer = segmenter_from(model.state_dict(), card)
    assert again.config == config
    assert tokenizer.rule == "compat_slice"


@pytest.mark.parametrize("kind", ["swin", "resnet"])
def test_both_steps_come_back_with_another_tower_and_its_pretrained_weights(kind: TowerKind) -> None:
    start = pretrained_clip()
    tokenizer, config = TrisTokenizer(start.clip.tokenizer), ResponseConfig(width=16, image_size=64)
    model = new_response_model(start, config, seed=3, tower=pretrained_tower(kind))
    again, same = response_model_from(model.state_dict(), described(model, start.sizes, tokenizer))
    ids, rows = same.encode(["the red dog"])[0], torch.tensor([0])
    assert torch.equal(respond(again, PICTURE, ids, image_of_M=rows), respond(model, PICTURE, ids, image_of_M=rows))
    weights = pretrained_tower(kind).state_dict()
    assert all(torch.equal(model.state_dict()[f"tower.{name}"], value) for name, value in weights.items())
    start, small = pretrained_clip(), SegmenterConfig(laterals=(8, 8, 16, 16), finest=8, image_size=64)
    segmenter = new_segmenter(start, small, seed=3, tower=pretrained_tower(kind))
    back, _ = segmenter_from(segmenter.state_dict(), described(segmenter, start.sizes, tokenizer))
    assert torch.equal(segment(back, PICTURE, ids, image_of_S=rows), segment(segmenter, PICTURE, ids, image_of_S=rows))
    with pytest.raises(Refused, match="choose 'embedded' or"):
        pretrained_tower(kind, "other")


def test_new_layers_depend_on_the_seed_alone() -> None:
    first, same, other = (
        new_response_model(pretrained_clip(), ResponseConfig(width=16), seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.visual.weight"], other["head.visual.weight"])
    assert torch.equal(first["clip.text_projection"], other["clip.text_projection"])


def test_byte_pairs_are_described_too() -> None:
    tokenizer = tokenizer_from({"words": None, "context_length": 77, "rule": "keep_end"})
    ids, _ = tokenizer.encode(["the man on the left"])
    assert ids[0, 0] == 49406
    assert ids.max() == 49407
    assert tokenizer.card() == {"words": None, "context_length": 77, "rule": "keep_end"}


def test_the_scorer_reads_its_own_words() -> None:
    scorer, tokenizer = load_scorer()
    texts = scorer.embed_texts(tokenizer.encode(["a dog", "a car"])[0])
    assert texts.norm(dim=-1).tolist() == pytest.approx([1, 1])
    assert not any(parameter.requires_grad for parameter in scorer.parameters())


def test_irnet_gets_its_trunk_and_says_what_it_lacks() -> None:
    net = new_irnet(seed=1)
    state, card = load_embedded(embedded_folder("irn_trunk"))
    assert all(torch.equal(net.trunk.state_dict()[name], state[name]) for name in state)
    assert card["scores"]["objectness_accuracy"] > 0.9
    with pytest.raises(ValueError, match="unknown backbone"):
        new_irnet("resnet18")
    with pytest.raises(ValueError, match="local file"):
        new_irnet("resnet50")
    with pytest.raises(ValueError, match="has none"):
        pretrained_clip("ViT-B-32")


def test_the_training_script_of_the_backbone_runs_and_goes_on_from_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(irn_backbone, "BATCH", 48)  # so many scenes have every look
    lines: list[str] = []
    irn_backbone.train(tmp_path / "first", minutes=0.0, log=lines.append)
    scores = irn_backbone.train(tmp_path / "second", minutes=0.0, seed=1, start=tmp_path / "first", log=lines.append)
    assert 0 <= scores["objectness_accuracy"] <= 1
    card = read_card(tmp_path / "second")
    assert [run["seed"] for run in card["runs"]] == [0, 1]
    assert card["runs"][1]["first_scene"] >= card["runs"][0]["first_scene"] + card["runs"][0]["scenes"]


def test_the_judge_finds_objects_behind_masks_and_sees_nothing_in_nothing() -> None:
    scorer, clip = load_scorer()[0], load_clip("embedded/clip_judge")
    assert clip_scorer.masked_choice(clip, scenes=6) > 0.5  # five objects a scene
    picture = draw_picture(0)
    image_3HW = normalise(to_tensor(picture.image_HW3))[None]
    texts_NE = clip.encode_texts([one.text for thing in picture.things for one in thing.sentences[:1]])
    masks_N1HW = torch.stack([torch.from_numpy(picture.labels_HW == 1 + at) for at in range(len(texts_NE))])[:, None]
    images_N3HW = image_3HW.expand(len(texts_NE), -1, -1, -1)
    with torch.inference_mode():
        seen_NE = scorer.embed_masked(images_N3HW, masks_N1HW.float())
        empty_NE = scorer.embed_masked(images_N3HW, torch.zeros(masks_N1HW.shape))
    assert (texts_NE * seen_NE).sum(1).mean() > (texts_NE * empty_NE).sum(1).mean() + 0.2
