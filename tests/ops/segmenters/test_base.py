"""LAVT and MERES with CLIP's text tower, and with a frozen trunk: what is heard, what learns, what stays."""

import copy
from typing import Any

import pytest
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor

from ops.backbones.language import ClipText, attention_mask
from ops.meres.attention_maps import attention_maps, recorded_calls
from ops.meres.config import MeresConfig
from ops.meres.contrastive_loss import MeresLoss
from ops.meres.model import Meres
from ops.meres.model import optimizer_groups as meres_groups
from ops.segmenters.lavt import Lavt, LavtConfig
from ops.segmenters.lavt import optimizer_groups as lavt_groups
from ops.segmenters.training import SegmenterPlan, adamw, first_candidate, train
from ops.training.dataset import ReferentDataset, TrainingReferent
from ops.training.train_state import State
from tests.ops.meres.models import TINY as TINY_MERES
from tests.ops.meres.models import pictures
from tests.ops.segmenters.test_lavt import TINY as TINY_LAVT
from tests.ops.training.tiny import assert_same, restored, stored

WORDS = torch.tensor([[2, 5, 6, 29, 0, 0], [2, 7, 3, 11, 4, 29]])
"""With start (2) and end (29)."""
PLAN = SegmenterPlan(epochs=2, batch_size=2, lr=1e-3, checkpoint_every_steps=1)
FAMILIES = ("lavt", "meres")


def new_model(family: str, **changes: Any) -> Lavt | Meres:
    torch.manual_seed(0)
    text = ClipText(TextTransformer(context_length=8, vocab_size=30, width=16, heads=2, layers=2, output_dim=None))
    if family == "lavt":
        return Lavt(LavtConfig(**{**vars(TINY_LAVT), "image_size": 80, **changes}), text)
    return Meres(MeresConfig(**{**vars(TINY_MERES), **changes}), text)


def data() -> ReferentDataset:
    masks = torch.zeros(4, 1, 80, 80, dtype=torch.bool)
    masks[:, :, 10:50, 20:60] = True
    referents = [
        TrainingReferent(image=image, candidates=(0,), token_ids_ST=WORDS, token_mask_ST=attention_mask(WORDS))
        for image in range(4)
    ]
    return ReferentDataset(pictures(4), list(masks), referents)


def fit(model: Lavt | Meres, plan: SegmenterPlan = PLAN, **options: Any) -> list[float]:
    lavt = isinstance(model, Lavt)
    terms = {"loss": first_candidate if lavt else MeresLoss(), "groups": lavt_groups if lavt else meres_groups}
    return train(model, data(), plan, **{**terms, **options}).loss


@pytest.mark.parametrize("family", FAMILIES)
def test_what_follows_the_end_does_not_matter(family: str) -> None:
    model = new_model(family).eval()
    others = torch.where(torch.arange(6) > WORDS.argmax(1, keepdim=True), 13, WORDS)
    with torch.no_grad():
        expected = model(pictures(), WORDS, attention_mask(WORDS))
        torch.testing.assert_close(model(pictures(), others, attention_mask(WORDS)), expected)
        others[0, 2] = 9
        assert not torch.allclose(model(pictures(), others, attention_mask(WORDS)), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_of_a_training_hear_sentences_to_their_end(family: str) -> None:
    some = data()
    batch = some.batch([(0, 0), (1, 0)])
    assert batch.token_ids_BT.tolist() == [[2, 5, 6, 29]] * 2
    batch = some.batch([(0, 0), (1, 1)])
    model = new_model(family).eval()
    with torch.no_grad():
        expected = model.language.states(WORDS, attention_mask(WORDS))[:, 0]
        found = model.language.states(batch.token_ids_BT, batch.token_mask_BT)[:, 0]
    torch.testing.assert_close(found, expected)


def relevance(model: Any, ids: Tensor) -> Tensor:
    with torch.no_grad(), recorded_calls({"guide": model.vision.guide}) as calls:
        model(pictures(), ids, attention_mask(ids))
    return torch.as_tensor(calls["guide"][1].relevance_BN)


def test_the_whole_sentence_of_meres_is_the_end_of_the_text() -> None:
    model: Any = new_model("meres", guidance="ve", cues="global").eval()
    with torch.no_grad(), recorded_calls({"guide": model.vision.guide}) as calls:
        model(pictures(), WORDS, attention_mask(WORDS))
    tokens_BTL, mask_BT = calls["guide"][0][1:3]
    with torch.no_grad():
        pooled_BL = model.language.model(WORDS_IN_FULL)  # open_clip's own pooling; the tower projects nothing
    torch.testing.assert_close(tokens_BTL[:, 0], pooled_BL)
    assert mask_BT.sum(1).tolist() == [3, 5]  # the end and two or four words, without the start
    before = relevance(model, WORDS)
    model.language.model.token_embedding.weight.data[29] += 1.0  # only the end changes
    assert not torch.allclose(relevance(model, WORDS), before)


WORDS_IN_FULL = torch.nn.functional.pad(WORDS, (0, 2))


def test_a_sentence_of_clip_has_one_token_a_word_and_one_more_where_meres_looks() -> None:
    model: Any = new_model("meres")
    found = attention_maps(model, pictures(1)[0], WORDS[0], attention_mask(WORDS)[0])
    assert found.words_Thw.shape == found.visual_Rhw.shape == (3, 3, 3)
    assert len(found.words_TD) == len(found.visual_RD) == 3


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_that_learns_gets_a_gradient_and_is_in_one_group(family: str, freeze: bool) -> None:
    model = new_model(family, freeze_backbone=freeze).train()
    model(pictures(), WORDS, attention_mask(WORDS)).square().sum().backward()
    learning = {name: one for name, one in model.named_parameters() if one.requires_grad}
    assert [name for name, one in learning.items() if one.grad is None] == []
    frozen = [name for name, one in model.vision.swin.named_parameters() if not one.requires_grad]
    assert len(frozen) == (len(list(model.vision.swin.parameters())) if freeze else 0)
    groups = lavt_groups(model) if isinstance(model, Lavt) else meres_groups(model)
    grouped = {id(one) for group in groups for one in group["params"]}
    assert {id(one) for one in learning.values()} <= grouped
    assert grouped.isdisjoint(id(one) for one in model.vision.swin.parameters()) == freeze


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_trunk_stays_and_drops_no_path_while_the_rest_learns(family: str) -> None:
    model = new_model(family, freeze_backbone=True, drop_path=0.5)
    before = copy.deepcopy(model.state_dict())
    fit(model)
    trunk = "vision.backbone.swin." if family == "lavt" else "vision.swin."
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in after if name.startswith(trunk))
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert any(name.startswith("clip.transformer") for name in moved)
    assert not {"clip.token_embedding.weight", "clip.positional_embedding"} & moved
    model.train()
    assert not any(part.training for part in model.vision.swin.modules())
    assert not any(part.training for part in model.language.model.modules())
    assert model.vision.decoder.training


@pytest.mark.parametrize("family", FAMILIES)
def test_a_killed_training_with_clip_ends_with_the_same_bits(family: str) -> None:
    undisturbed, killed, again = (new_model(family, drop_path=0.3) for _ in range(3))
    losses = fit(undisturbed)
    states: list[bytes] = []

    def keep(state: State) -> None:
        states.append(stored(state))
        if state["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(killed, save=keep)
    assert fit(again, resume=restored(states[-1])) == losses
    assert_same(again.state_dict(), undisturbed.state_dict())


def test_an_encoder_of_another_width_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="this clip is 16 wide"):
        new_model("meres", language_width=32)


def test_clip_is_pretrained_and_learns_at_its_share_of_the_rate() -> None:
    for family in FAMILIES:
        model = new_model(family)
        groups = lavt_groups if family == "lavt" else meres_groups
        optimizer = adamw(model, SegmenterPlan(epochs=1, batch_size=1, pretrained_rate=0.1), groups=groups)
        clip = {id(one) for one in model.language.model.parameters()}
        rates = {group["rate"] for group in optimizer.param_groups for one in group["params"] if id(one) in clip}
        assert rates == {0.1}
