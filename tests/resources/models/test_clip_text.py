"""CLIP's text tower out of embedded and published checkpoints, its tokenizer, and segmenters that hear it."""

import json
from pathlib import Path

import open_clip
import pytest
import torch

from ops.backbones.language import attention_mask
from ops.evaluation.flop_count import parameters
from ops.meres.model import Meres
from ops.segmenters.lavt import Lavt
from resources.models import clip_text
from resources.models.clip import load_clip
from resources.models.clip_text import ClipTokenizer, embedded_sizes, load_clip_text, new_clip_text, sizes_of
from resources.models.referring import architecture_of, build, segmenter_from, tokenizer_from
from resources.models.refs import ModelRef
from resources.models.swin_bert import Tokenizer

SAID = ["the red dog on the left", "man " * 30, ""]


def test_the_embedded_tower_speaks_as_the_whole_embedded_clip() -> None:
    text, tokenizer = load_clip_text()
    ids, mask = tokenizer.encode(SAID)
    whole = load_clip()
    with torch.no_grad():
        states = text.model.eval() and text.states(ids, mask)
        expected = whole.model.encode_text(torch.nn.functional.pad(ids, (0, 4)))
        torch.testing.assert_close(states[:, 0] @ whole.model.text_projection, expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(ids[0], whole.tokenizer(SAID)[0, :20])
    assert sizes_of(text) == embedded_sizes(ModelRef("clip_vit").path())


@pytest.mark.parametrize("words", [["red", "dog", "man"], []], ids=["words", "byte pairs"])
def test_a_cut_sentence_keeps_its_end(words: list[str]) -> None:
    tokenizer = ClipTokenizer(words)
    ids, mask = tokenizer.encode([*SAID, "red dog"])
    assert ids.shape == mask.shape == (4, 20)
    end = ids.max()
    assert (ids == end).sum(1).tolist() == [1, 1, 1, 1]
    assert ids.argmax(1).tolist() == [7, 19, 1, 3]
    assert mask.sum(1).tolist() == [7, 19, 1, 3]  # the end and the words
    assert (ids[:, 0] == ids[0, 0]).all()


def test_openais_ids_are_those_of_open_clip() -> None:
    ids, _ = ClipTokenizer([]).encode(SAID)
    theirs = open_clip.get_tokenizer("ViT-L-14-336-quickgelu")(SAID)
    assert torch.equal(ids[[0, 2]], theirs[[0, 2], :20])
    assert ids[1, -1] == theirs.max()


def test_full_size_has_the_text_tower_of_vit_l_14() -> None:
    with torch.device("meta"):
        tower = new_clip_text(clip_text.published_sizes())
    layer = 4 * 768 * 768 + 4 * 768 + 2 * 4 * 768 * 768 + 5 * 768 + 4 * 768
    assert parameters(tower.model) == 49_408 * 768 + 77 * 768 + 12 * layer + 2 * 768 == 123_060_480
    assert sizes_of(tower) == clip_text.published_sizes()
    assert tower.width == 768


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, open_clip.CLIP]:
    """A small CLIP in OpenAI's layout: half precision, both towers, extras."""
    torch.manual_seed(0)
    text = {"context_length": 24, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2}
    vision = {"image_size": 8, "patch_size": 8, "width": 8, "layers": 1, "head_width": 8}
    clip = open_clip.CLIP(6, vision, text, quick_gelu=True).half().float().eval()
    state = {key: value.half() for key, value in clip.state_dict().items()}
    torch.save({**state, "context_length": torch.tensor(24)}, tmp_path / "ViT-L-14-336px.pt")
    monkeypatch.setattr(clip_text, "published_sizes", lambda: {**text, "quick_gelu": True})
    return tmp_path / "ViT-L-14-336px.pt", clip


def test_a_published_file_gives_its_text_tower(published: tuple[Path, open_clip.CLIP]) -> None:
    path, clip = published
    text, tokenizer = load_clip_text(path)
    ids, mask = tokenizer.encode(SAID)
    with torch.no_grad():
        found = text.states(ids, mask)[:, 0] @ clip.text_projection
        torch.testing.assert_close(found, clip.encode_text(torch.nn.functional.pad(ids, (0, 4))))
    assert {one.dtype for one in text.model.parameters()} == {torch.float32}


def test_a_file_with_other_keys_is_refused(published: tuple[Path, open_clip.CLIP]) -> None:
    path, _ = published
    state = torch.load(path, weights_only=True)
    state["ln_last.weight"] = state.pop("ln_final.weight")
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"ln_final\.weight.*ln_last\.weight"):
        load_clip_text(path)


@pytest.mark.parametrize("kind", [Lavt, Meres])
def test_a_segmenter_with_clip_comes_back_from_its_card(kind: type[Lavt | Meres]) -> None:
    model, tokenizer = build(kind, "embedded", text="clip", switches={"freeze_backbone": True}, seed=1)
    card = json.loads(json.dumps({"architecture": architecture_of(model), **tokenizer.card()}))
    again = segmenter_from(card["architecture"])
    again.load_state_dict(model.state_dict())
    assert again.config == model.config
    assert (again.config.max_tokens, again.config.freeze_backbone) == (20, True)
    assert architecture_of(again) == architecture_of(model)
    ids, mask = tokenizer_from(card).encode(SAID)
    assert torch.equal(ids, tokenizer.encode(SAID)[0])
    assert torch.equal(mask, attention_mask(ids))
    images = torch.zeros(1, 3, 112, 112, dtype=torch.uint8)
    with torch.no_grad():
        found, expected = (
            one.eval()(images, ids, mask, image_of_B=torch.zeros(3, dtype=torch.long)) for one in (again, model)
        )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", [Lavt, Meres])
def test_cards_of_earlier_trainings_mean_bert_and_a_trunk_that_learnt(kind: type[Lavt | Meres]) -> None:
    model, tokenizer = build(kind, "embedded")
    card = json.loads(json.dumps({"architecture": architecture_of(model), **tokenizer.card()}))
    family = "lavt" if kind is Lavt else "meres"
    assert set(card) == {"architecture", "vocabulary", "max_tokens"}
    assert set(card["architecture"]) == {family, "bert"}
    assert not card["architecture"][family].pop("freeze_backbone")  # earlier ones do not say
    again = segmenter_from(card["architecture"])
    assert isinstance(again, kind)
    again.load_state_dict(model.state_dict())
    assert any(name.startswith("bert.encoder.layer.0.") for name in model.state_dict())
    assert isinstance(tokenizer_from(card), Tokenizer)


def test_random_weights_are_none_of_the_pretrained_ones() -> None:
    model, tokenizer = build(Lavt, "embedded", text="clip", random_weights=True)
    pretrained = load_clip_text()[0].model.state_dict()
    found = model.language.model.state_dict()
    assert found.keys() == pretrained.keys()
    assert not torch.equal(found["token_embedding.weight"], pretrained["token_embedding.weight"])
    assert tokenizer.max_tokens == model.config.max_tokens == 20


def test_full_size_asks_for_the_file_of_clip() -> None:
    with pytest.raises(ValueError, match=r"ViT-L-14-336px\.pt"):
        build(Meres, "swin_b", text="clip")
    with pytest.raises(ValueError, match="brings its own backbones"):
        build(Meres, "embedded", text="clip", words=Path("ViT-L-14-336px.pt"))
