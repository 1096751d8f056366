"""Visual expressions and guidance: what reaches them, what cannot, and how many tokens each switch gives."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ops.meres.adaptive_selection import keep_mask, masked_pool, pool_weights, similarity
from ops.meres.config import SWIN_B_480, MeresConfig
from ops.meres.guidance import GuidanceEncoder, LanguageEnhancement
from ops.meres.visual_expressions import VisualExpressionExtractor
from tests.ops.meres.models import MASK, TINY, awake

PIXELS, CHANNELS = 20, TINY.swin.widths[-1]
WORDS = MASK.bool()


def seen(seed: int = 0) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {
        "pixels_BNC": torch.randn(2, PIXELS, CHANNELS, generator=rng),
        "values_BND": torch.randn(2, PIXELS, 16, generator=rng),
        "positions_ND": torch.randn(PIXELS, 16, generator=rng),
        "tokens_BTD": torch.randn(2, 6, 16, generator=rng),
        "mask_BT": WORDS,
    }


def extractor(**changes: Any) -> VisualExpressionExtractor:
    torch.manual_seed(0)
    return VisualExpressionExtractor(replace(TINY, **changes))


def test_only_the_kept_pixels_of_a_token_reach_it_before_tokens_are_related() -> None:
    module, given = extractor(), seen()
    scores = similarity(module.joint_tokens(given["tokens_BTD"]), module.joint_pixels(given["pixels_BNC"]))
    keep = keep_mask(scores, select="topk", percent=30)
    values, positions = given["values_BND"], given["positions_ND"]
    before = module.pool(scores, values, positions)
    for token in range(6):
        noise = torch.randn_like(values) * ~keep[:, token, :, None]
        torch.testing.assert_close(module.pool(scores, values + noise, positions)[:, token], before[:, token])
        noise = torch.randn_like(values) * keep[:, token, :, None]
        changed = module.pool(scores, values + noise, positions)[:, token]
        assert not torch.isclose(changed, before[:, token]).any(-1).all()


def test_refinement_adds_a_masked_look_at_the_same_pixels() -> None:
    module, given = extractor(relate=False), seen()
    assert module.refinement is not None
    assert module.value_norm is not None
    scores = similarity(module.joint_tokens(given["tokens_BTD"]), module.joint_pixels(given["pixels_BNC"]))
    keep = keep_mask(scores, select="topk", percent=30)
    pooled = masked_pool(pool_weights(scores, keep), given["values_BND"], keep)
    values = module.value_norm(given["values_BND"])
    layer = module.refinement
    looked = layer.attention(layer.norm1(pooled), values + given["positions_ND"], values, keep)
    expected = pooled + looked + layer.mlp(layer.norm2(pooled + looked))
    torch.testing.assert_close(module(**given).tokens_BRD, expected)


def test_without_refinement_the_pooled_pixels_are_the_tokens() -> None:
    module, given = extractor(refine=False, relate=False), seen()
    scores = similarity(module.joint_tokens(given["tokens_BTD"]), module.joint_pixels(given["pixels_BNC"]))
    keep = keep_mask(scores, select="topk", percent=30)
    expected = masked_pool(pool_weights(scores, keep), given["values_BND"], keep)
    torch.testing.assert_close(module(**given).tokens_BRD, expected)


def test_the_mask_of_the_normalisation_alone_can_be_removed() -> None:
    masked, unmasked, given = extractor(refine=False), extractor(refine=False, norm_mask=False), seen()
    unmasked.load_state_dict(masked.state_dict())
    none = extractor(refine=False, select="none")
    none.load_state_dict(masked.state_dict())
    assert not torch.allclose(masked(**given).tokens_BRD, unmasked(**given).tokens_BRD)
    torch.testing.assert_close(unmasked(**given).tokens_BRD, none(**given).tokens_BRD)
    refined, everything = extractor(norm_mask=False), extractor(select="none")
    everything.load_state_dict(refined.state_dict())
    assert not torch.allclose(refined(**given).tokens_BRD, everything(**given).tokens_BRD)  # Eq. 8 keeps its mask


def test_related_tokens_hear_each_other_but_no_padding() -> None:
    module, given = extractor(), seen()
    before = module(**given).tokens_BRD
    noisy = given["tokens_BTD"].clone()
    noisy[0, 4:] = torch.randn(2, 16)
    after = module(**{**given, "tokens_BTD": noisy}).tokens_BRD
    torch.testing.assert_close(after[0, :4], before[0, :4])
    noisy[0, 3] = torch.randn(16)
    assert not torch.isclose(module(**{**given, "tokens_BTD": noisy}).tokens_BRD[0, 0], before[0, 0]).all()


def test_scaling_as_the_paper_writes_shrinks_the_pooled_token() -> None:
    mean, paper, given = extractor(refine=False, relate=False), extractor(refine=False, relate=False), seen()
    paper.config = replace(paper.config, pool_scale="paper")
    torch.testing.assert_close(mean(**given).tokens_BRD, paper(**given).tokens_BRD * 6)


@pytest.mark.parametrize(("cues", "rows"), [("both", [0, 6]), ("global", [0, 1]), ("local", [1, 6])])
def test_cues_say_which_tokens_become_visual_expressions(cues: Any, rows: list[int]) -> None:
    module, all_of_them, given = extractor(cues=cues, relate=False), extractor(relate=False), seen()
    found, expected = module(**given), all_of_them(**given)
    torch.testing.assert_close(found.tokens_BRD, expected.tokens_BRD[:, slice(*rows)])
    assert torch.equal(found.mask_BR, WORDS[:, slice(*rows)])
    torch.testing.assert_close(found.relevance_BN, expected.relevance_BN)


def test_relevance_is_the_similarity_of_the_first_token() -> None:
    module, given = extractor(), seen()
    token = module.joint_tokens(given["tokens_BTD"][:, 0])[:, None]
    expected = nn.functional.cosine_similarity(token, module.joint_pixels(given["pixels_BNC"]), dim=-1)
    torch.testing.assert_close(module(**given).relevance_BN, expected)


def test_words_unlike_every_pixel_give_no_nan_with_sigmoid_selection() -> None:
    module, given = extractor(select="sigmoid"), seen()
    nn.init.zeros_(module.joint_tokens.weight)
    nn.init.zeros_(module.joint_pixels.weight)
    nn.init.ones_(module.joint_tokens.bias)
    nn.init.constant_(module.joint_pixels.bias, -1.0)
    found = module(**given)
    assert found.relevance_BN.max() < 0
    found.tokens_BRD.sum().backward()
    assert found.tokens_BRD.isfinite().all()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in module.parameters())


def test_a_sentence_without_any_local_word_gives_no_nan() -> None:
    module, given = extractor(cues="local"), seen()
    alone = module(**{**given, "mask_BT": torch.tensor([[True] + [False] * 5, [True] * 6])}).tokens_BRD
    torch.testing.assert_close(alone, module(**{**given, "mask_BT": torch.ones(2, 6).bool()}).tokens_BRD)
    assert alone.isfinite().all()


def guidance_of(config: MeresConfig, side: int = 3, tokens: int = 6) -> Any:
    torch.manual_seed(0)
    language = torch.randn(2, tokens, config.language_width)
    mask = torch.ones(2, tokens, dtype=torch.bool)
    mask[0, 4:] = False
    return awake(GuidanceEncoder(config))([torch.randn(2, config.swin.widths[-1], side, side)], language, mask)


@pytest.mark.parametrize(
    ("changes", "count", "real"),
    [
        ({"guidance": "le"}, 6, 4),
        ({"guidance": "le_enh"}, 6, 4),
        ({"guidance": "ve"}, 6, 4),
        ({"guidance": "ve", "cues": "global"}, 1, 1),
        ({"guidance": "le_enh+pixels"}, 6 + 9, 4 + 9),
        ({"guidance": "le_enh+ve"}, 12, 8),
        ({"cues": "global"}, 7, 5),
        ({"cues": "local"}, 11, 7),
    ],
)
def test_every_kind_of_guidance_has_its_tokens(changes: dict[str, Any], count: int, real: int) -> None:
    found = guidance_of(replace(TINY, **changes))
    assert found.tokens_BGD.shape == (2, count, 16)
    assert found.mask_BG.sum(1).tolist() == [real, count]
    assert (found.relevance_BN is not None) == ("ve" in str(changes.get("guidance", "ve")))


def test_guidance_at_full_size() -> None:
    with torch.no_grad():
        found = guidance_of(SWIN_B_480, side=15, tokens=21)
    assert found.tokens_BGD.shape == (2, 42, 768)
    assert found.relevance_BN.shape == (2, 225)


def test_raw_language_does_not_depend_on_the_picture() -> None:
    torch.manual_seed(0)
    guide, language = GuidanceEncoder(replace(TINY, guidance="le")), torch.randn(2, 6, 16)
    one, other = (guide([torch.randn(2, CHANNELS, 3, 3)], language, WORDS) for _ in range(2))
    assert torch.equal(one.tokens_BGD, other.tokens_BGD)
    torch.testing.assert_close(one.tokens_BGD, nn.functional.layer_norm(language, (16,)))


def test_new_layers_start_as_the_identity() -> None:
    torch.manual_seed(0)
    guide, language = GuidanceEncoder(replace(TINY, guidance="le_enh")), torch.randn(2, 6, 16)
    assert guide.enhancement is not None
    raw = nn.functional.layer_norm(language, (16,))
    fresh = guide([torch.randn(2, CHANNELS, 3, 3)], language, WORDS).tokens_BGD
    torch.testing.assert_close(fresh, raw)
    (fresh * torch.randn_like(fresh)).sum().backward()
    for name, one in guide.enhancement.named_parameters(prefix="enhancement"):
        if name.endswith(("output.weight", "fc2.weight")):
            assert one.grad is not None
            assert one.grad.any(), f"{name} never wakes up"


def test_enhancement_may_look_at_finer_maps_first() -> None:
    torch.manual_seed(0)
    guide = awake(GuidanceEncoder(replace(TINY, guidance="le_enh", enhancement_layers=3, enhancement_levels="finer")))
    maps = [torch.randn(2, width, 12 // 2**n, 12 // 2**n) for n, width in enumerate(TINY.swin.widths)]
    language = torch.randn(2, 6, 16)
    before = guide(maps, language, WORDS).tokens_BGD
    for number, matters in enumerate((False, True, True, True)):
        others = [torch.randn_like(one) if n == number else one for n, one in enumerate(maps)]
        assert torch.equal(guide(others, language, WORDS).tokens_BGD, before) != matters


def test_without_positions_enhancement_does_not_know_where_pixels_are() -> None:
    torch.manual_seed(0)
    guide = awake(GuidanceEncoder(replace(TINY, guidance="le_enh", positions="none")))
    coarse, language = torch.randn(2, CHANNELS, 3, 3), torch.randn(2, 6, 16)
    one, other = (guide([part], language, WORDS).tokens_BGD for part in (coarse, coarse.flip(-1)))
    torch.testing.assert_close(one, other)


def test_enhancement_knows_where_pixels_are() -> None:
    torch.manual_seed(0)
    guide, language = awake(GuidanceEncoder(replace(TINY, guidance="le_enh"))), torch.randn(2, 6, 16)
    coarse = torch.randn(2, CHANNELS, 3, 3)
    one, other = (guide([part], language, WORDS).tokens_BGD for part in (coarse, coarse.flip(-1)))
    assert not torch.allclose(one, other)


def test_enhancement_adds_positions_to_keys_and_never_to_values() -> None:
    torch.manual_seed(0)
    enhancement, given = LanguageEnhancement(TINY), seen()
    tokens, values, positions = (given[name] for name in ("tokens_BTD", "values_BND", "positions_ND"))
    expected = tokens
    for layer in enhancement.layers:
        expected = layer(expected, (values + positions, values))
    torch.testing.assert_close(enhancement(tokens, [(values + positions, values)] * 2), expected)
    assert len(enhancement.layers) == 2


@pytest.mark.parametrize("width", [32, 128])
def test_new_layers_keep_the_size_of_what_they_read(width: int) -> None:
    torch.manual_seed(0)
    guide = GuidanceEncoder(replace(TINY, language_width=width, joint_width=width))
    for name in ("enhancement.layers.0.attention.query", "extractor.joint_tokens"):
        assert guide.get_parameter(f"{name}.weight").std().item() == pytest.approx(width**-0.5, rel=0.05)
        assert not guide.get_parameter(f"{name}.bias").any()
    assert guide.types is not None
    assert guide.types.std().item() == pytest.approx(0.02, rel=0.2)


def test_kinds_of_tokens_are_told_apart_by_a_learnt_vector() -> None:
    torch.manual_seed(0)
    guide = GuidanceEncoder(TINY)
    assert guide.types is not None
    given = ([torch.randn(2, CHANNELS, 3, 3)], torch.randn(2, 6, 16), WORDS)
    before = guide(*given).tokens_BGD
    with torch.no_grad():
        guide.types[1] += 1.0
    moved = guide(*given).tokens_BGD - before
    torch.testing.assert_close(moved, torch.cat([torch.zeros(2, 6, 16), torch.ones(2, 6, 16)], 1))
