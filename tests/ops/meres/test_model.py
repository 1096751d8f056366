"""The whole of MERES, small: every switch learns with all its parameters, and what cannot matter does not."""

import copy
from itertools import product
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ops.images import normalise
from ops.meres.config import MeresConfig
from ops.meres.contrastive_loss import sample_binary_cross_entropy
from ops.meres.model import Meres, in_blocks, optimizer_groups
from ops.segmenters.lavt import FusedSwin, LavtConfig
from ops.segmenters.prediction import predict
from tests.ops.meres.models import MASK, TINY, pictures, tiny_meres, words

GUIDANCES = [{"guidance": name} for name in ("le", "le_enh", "ve", "le_enh+pixels", "le_enh+ve")]
SWITCHES: list[dict[str, Any]] = [
    *GUIDANCES,
    {"guidance": "ve", "cues": "global"},
    {"select": "none"},
    {"select": "sigmoid"},
    {"cues": "global"},
    {"cues": "local"},
    {"refine": False},
    {"relate": False},
    {"refine": False, "relate": False},
    {"contrastive": False},
    {"norm_mask": False},
    {"pool_scale": "paper"},
    {"pool_temperature": "learnt"},
    {"contrast_at": "cells"},
    {"selected_percent": 10},
    {"enhancement_layers": 1},
    {"enhancement_layers": 3},
    {"enhancement_layers": 3, "enhancement_levels": "finer"},
    {"enhancement_levels": "finer", "guidance": "le_enh"},
    {"word_stride": 16},
    {"word_stride": 8, "guidance": "ve", "contrast_at": "cells"},
    {"word_stride": 8, "guidance": "le_enh+pixels"},
    {"word_stride": 16, "enhancement_layers": 3, "enhancement_levels": "finer"},
    {"positions": "none"},
    {"early_fusion": "pwam"},
    {"looking_stages": (1, 3)},
    {"contrasted_queries": False},
]


@pytest.fixture(scope="module")
def tiny() -> Meres:
    return tiny_meres().eval()


@pytest.mark.parametrize("changes", SWITCHES, ids=str)
def test_every_switch_trains_all_of_its_parameters(changes: dict[str, Any]) -> None:
    model = tiny_meres(**changes).train()
    maps = model(pictures(), words(), MASK)
    maps.square().sum().backward()
    learning = {name: one.grad for name, one in model.named_parameters() if one.requires_grad}
    assert [name for name, grad in learning.items() if grad is None] == []
    assert all(grad is not None and grad.isfinite().all() for grad in learning.values())
    contrasts = model.config.contrasts
    assert maps.shape == (2, 3 if contrasts else 2, 80, 80)
    tau = learning.get("vision.temperature.log_tau")
    assert contrasts == (tau is not None)
    assert tau is None or tau.abs() > 0


@pytest.mark.parametrize("changes", GUIDANCES[:2] + GUIDANCES[3:4], ids=str)
def test_without_visual_expressions_nothing_is_contrasted(changes: dict[str, Any]) -> None:
    assert tiny_meres(**changes).vision.temperature is None


@pytest.mark.parametrize("changes", [*GUIDANCES, {"cues": "local"}, {"select": "sigmoid"}], ids=str)
def test_padding_words_do_not_matter(changes: dict[str, Any]) -> None:
    model, images, ids = tiny_meres(**changes).eval(), pictures(), words()
    with torch.no_grad():
        expected = model(images, ids, MASK)
        others = torch.where(MASK.bool(), ids, (ids + 11) % 30)
        torch.testing.assert_close(model(images, others, MASK), expected)
        torch.testing.assert_close(model(images[:1], ids[:1, :4], MASK[:1, :4]), expected[:1], atol=1e-5, rtol=1e-4)
        others[0, 2] = (others[0, 2] + 1) % 30
        assert not torch.allclose(model(images, others, MASK), expected)


def test_one_image_with_two_sentences_equals_the_image_given_twice(tiny: Meres) -> None:
    images, ids = pictures(1), words()
    with torch.no_grad():
        shared = tiny(images, ids, MASK, image_of_B=torch.tensor([0, 0]))
        torch.testing.assert_close(shared, tiny(images[[0, 0]], ids, MASK))


def test_a_trunk_that_hears_the_sentence_is_lavts_trunk() -> None:
    model, images, language = tiny_meres(early_fusion="pwam").eval(), pictures(), torch.randn(2, 6, 16)
    shared = {name: getattr(TINY, name) for name in ("embed_dim", "depths", "heads", "window", "drop_path")}
    lavt = FusedSwin(LavtConfig(**shared, language_width=16)).eval()
    parts = {name for name in model.vision.state_dict() if name.startswith(("swin.", "fusions.", "gates.", "output"))}
    lavt.load_state_dict({name: model.vision.state_dict()[name] for name in parts}, strict=False)
    with torch.no_grad():
        expected = lavt(normalise(images), language, MASK, None)
        found = model.vision.features(images, language, MASK)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)
        twice = model.vision.features(images[:1], language, MASK, image_of_B=torch.tensor([0, 0]))
        torch.testing.assert_close(twice[3][:1], found[3][:1])
        assert not torch.allclose(twice[3][0], twice[3][1])


def test_a_stage_that_does_not_look_has_no_attention(tiny: Meres) -> None:
    some = tiny_meres(looking_stages=(1, 3))
    fewer = {name for name, _ in tiny.named_parameters()} - {name for name, _ in some.named_parameters()}
    assert {name.rpartition(".looks.")[2].partition(".")[0] for name in fewer} == {"0", "2"}
    for stages in ((), (0,), (1, 5)):
        with pytest.raises(ValueError, match="name some of the stages 1 to 4"):
            tiny_meres(looking_stages=stages)


def test_the_trunk_sees_each_image_once_and_hears_no_language(tiny: Meres) -> None:
    seen: list[int] = []
    hook = tiny.vision.swin.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    with torch.no_grad():
        tiny(pictures(1), words(), MASK, image_of_B=torch.tensor([0, 0]))
    hook.remove()
    assert seen == [1]


@pytest.mark.parametrize("size", [(48, 48), (44, 60), (33, 50), (12, 20)])
def test_maps_have_the_size_of_the_images(tiny: Meres, size: tuple[int, int]) -> None:
    with torch.no_grad():
        maps = tiny(torch.randn(2, 3, *size), words(), MASK)
    assert maps.shape == (2, 3, *size)
    assert maps.dtype == torch.float32
    assert maps.isfinite().all()


def test_the_third_map_is_the_similarity_of_sentence_and_pixels_over_tau(tiny: Meres) -> None:
    model = tiny_meres().eval()
    assert model.vision.temperature is not None
    with torch.no_grad():
        warm = model(pictures(), words(), MASK)
        model.vision.temperature.log_tau.fill_(-1.0)
        cold = model(pictures(), words(), MASK)
    assert torch.equal(warm[:, :2], cold[:, :2])
    assert warm[:, 2].abs().max() <= 1
    torch.testing.assert_close(cold[:, 2], warm[:, 2] * torch.tensor(1.0).exp())


def test_pooling_may_share_the_temperature(tiny: Meres) -> None:
    model = tiny_meres(pool_temperature="learnt").eval()
    assert model.vision.temperature is not None
    with torch.no_grad():
        torch.testing.assert_close(model(pictures(), words(), MASK), tiny(pictures(), words(), MASK))  # it starts at 1
        model.vision.temperature.log_tau.fill_(-2.0)
        sharp = model(pictures(), words(), MASK)
        tiny_sharp = copy.deepcopy(tiny)
        tiny_sharp.load_state_dict(model.state_dict())
        assert not torch.allclose(sharp[:, :2], tiny_sharp(pictures(), words(), MASK)[:, :2])


@pytest.mark.parametrize("size", [96, 80])
def test_cells_are_contrasted_with_the_share_that_the_mask_covers(size: int) -> None:
    rng = torch.Generator().manual_seed(0)
    relevance, mask = torch.randn(2, 1, 3, 3, generator=rng), torch.rand(2, size, size, generator=rng) > 0.7
    found = sample_binary_cross_entropy(in_blocks(relevance, (size, size), side=32)[:, 0], mask)
    costs = torch.zeros(2)
    for row, column in product(range(3), range(3)):
        part = mask[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32].flatten(1).float()
        cost = F.binary_cross_entropy_with_logits(relevance[:, 0, row, column], part.mean(1), reduction="none")
        costs += cost * part.shape[1] / size**2  # the last cells of 80 see 16 pixels a side
    torch.testing.assert_close(found, costs)


def test_autocast_hardly_changes_the_maps() -> None:
    model = tiny_meres(select="none").eval()  # of two pixels that are nearly as similar, another may be kept
    with torch.no_grad():
        expected = model(pictures(), words(), MASK)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(pictures(), words(), MASK)
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.05 * expected.std()


def test_bert_learns_in_eval_mode_but_for_its_embeddings(tiny: Meres) -> None:
    assert tiny.train().vision.training
    assert not any(part.training for part in tiny.language.model.modules())
    tiny.eval()
    frozen = {name.split(".")[0] for name, one in tiny.language.model.named_parameters() if not one.requires_grad}
    assert frozen == {"embeddings"}
    assert all(one.requires_grad for one in tiny.language.model.encoder.parameters())


def test_prediction_takes_it_like_lavt(tiny: Meres) -> None:
    ids, mask = torch.randint(1, 30, (5, 6)), torch.ones(5, 6, dtype=torch.long)
    options: dict[str, Any] = {"token_ids_ST": ids, "token_mask_ST": mask, "original_size": (21, 40)}
    called: Any = tiny
    found = predict(called, pictures(1)[0], **options)
    assert found.model_size_Shw.shape == (5, 80, 80)
    assert found.original_size_SHW.shape == (5, 21, 40)
    with torch.no_grad():
        maps = tiny(pictures(1).expand(5, -1, -1, -1), ids, mask)
    assert (found.model_size_Shw != (maps[:, 1] > maps[:, 0])).float().mean() < 1e-3


def test_every_learning_parameter_is_in_one_group_and_tau_in_its_own() -> None:
    model = tiny_meres()
    groups = {group["name"]: group for group in optimizer_groups(model, pretrained_rate=0.1)}
    grouped = [id(one) for group in groups.values() for one in group["params"]]
    assert sorted(grouped) == sorted(id(one) for one in model.parameters() if one.requires_grad)
    assert model.vision.temperature is not None
    assert [one is model.vision.temperature.log_tau for one in groups["temperature"]["params"]] == [True]
    name_of = {id(one): name for name, one in model.named_parameters()}
    for name, group in groups.items():
        parts = [name_of[id(one)] for one in group["params"]]
        assert {part.startswith(("vision.swin", "bert")) for part in parts} == {name.startswith("pretrained")}
        assert group["rate"] == (0.1 if name.startswith("pretrained") else 1.0)
        bare = {"norm" in part.lower() or part.endswith(("bias", "bias_table", "log_tau")) for part in parts}
        assert bare == {group["weight_decay"] == 0.0}


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"language_width": 24}, "language_width"),
        ({"token_heads": 3}, "heads"),
        ({"decoder_heads": 3}, "heads"),
        ({"heads": (3, 2, 2, 4)}, "heads"),
        ({"selected_percent": 0}, "1 to 100"),
        ({"enhancement_layers": 0}, "take 1 to 4"),
        ({"language_width": 18}, "multiple of 4"),
        ({"pool_temperature": "learnt", "contrastive": False}, "needs the contrastive loss"),
        ({"word_stride": 8, "enhancement_layers": 3, "enhancement_levels": "finer"}, "take at most 2 layers"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        tiny_meres(**change)


def test_a_quarter_of_the_size_has_the_two_channels_of_the_mask(tiny: Meres) -> None:
    language = torch.randn(2, 16, 6)
    with torch.no_grad():
        assert tiny.vision.quarter_logits(pictures(), language, MASK[:, None]).shape == (2, 2, 20, 20)


def test_defaults_are_the_papers_full_model() -> None:
    config = MeresConfig()
    assert (config.guidance, config.select, config.selected_percent, config.cues) == ("le_enh+ve", "topk", 30, "both")
    assert config.refine
    assert config.relate
    assert config.contrasts
    assert config.norm_mask


def test_uint8_images_are_normalised_with_imagenets_statistics(tiny: Meres) -> None:
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images = pictures()
    with torch.no_grad():
        expected = tiny((images / 255 - mean) / std, words(), MASK)
        torch.testing.assert_close(tiny(images, words(), MASK), expected)


def test_every_map_is_normalised_over_its_channels(tiny: Meres) -> None:
    with torch.no_grad():
        maps = tiny.vision.features(pictures(), torch.empty(2, 6, 16), MASK)
    assert [one.shape[1] for one in maps] == [8, 16, 32, 64]
    for one in maps:
        torch.testing.assert_close(one.mean(1), torch.zeros_like(one[:, 0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("stride", "cells"), [(32, 9), (16, 25), (8, 100)])
def test_words_look_at_the_map_of_their_stride_and_at_no_other(stride: int, cells: int) -> None:
    model = tiny_meres(word_stride=stride).eval()
    with torch.no_grad():
        maps = model.vision.features(pictures(), torch.empty(2, 6, 16), MASK)
        tokens, mask = torch.randn(2, 6, 16), MASK.bool()
        found = model.vision.guide(maps, tokens, mask)
        assert found.relevance_BN is not None
        assert found.relevance_BN.shape == (2, cells)
        (seen,) = (number for number, one in enumerate(maps) if one[0, 0].numel() == cells)
        for number in range(4):
            other = [one + (place == number) * torch.randn_like(one) for place, one in enumerate(maps)]
            same = torch.equal(model.vision.guide(other, tokens, mask).tokens_BGD, found.tokens_BGD)
            assert same == (number != seen)


def test_finer_cells_are_contrasted_as_wide_as_they_are() -> None:
    blocks = in_blocks(torch.arange(12.0).reshape(1, 1, 3, 4), (20, 30), side=8)
    assert blocks.shape == (1, 1, 20, 30)
    assert blocks[0, 0, 7, 7] == 0
    assert blocks[0, 0, 8, 24] == 7
