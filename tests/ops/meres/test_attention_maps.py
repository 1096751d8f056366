"""Where MERES looks: noted weights are those that the layers use, and nothing of the network changes."""

import numpy as np
import pytest
import torch
from torch import nn

from ops.meres.adaptive_selection import kept_count
from ops.meres.attention import Attention, unmask_empty_rows
from ops.meres.attention_maps import attention_maps, attention_weights, principal_plane, recorded_calls
from tests.ops.meres.models import MASK, pictures, tiny_meres, words

ALL = torch.ones(4, dtype=torch.long)


@pytest.mark.parametrize("masked", [False, True])
def test_weights_are_those_of_torchs_attention(masked: bool) -> None:
    torch.manual_seed(0)
    ours, queries, context = Attention(8, 8, heads=4), torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    keep = unmask_empty_rows(torch.rand(2, 5, 7) > 0.6) if masked else None
    theirs = nn.MultiheadAttention(8, 4, batch_first=True)
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    forbidden = None if keep is None else (~keep).repeat_interleave(4, 0)
    _, expected = theirs(queries, context, context, attn_mask=forbidden)
    torch.testing.assert_close(attention_weights(ours, queries, context, context, keep), expected)


@pytest.mark.parametrize("normalised_queries", [False, True])
def test_weighted_values_are_what_the_layer_gives(normalised_queries: bool) -> None:
    torch.manual_seed(0)
    layer = Attention(8, 6, heads=1, normalised_queries=normalised_queries)
    queries, context = torch.randn(2, 5, 8), torch.randn(2, 7, 6)
    with torch.no_grad():
        mixed = attention_weights(layer, queries, context, context) @ layer.value(context)
        torch.testing.assert_close(layer.output(mixed), layer(queries, context, context, None))


def test_a_sentence_looks_at_the_whole_picture_and_its_visual_expressions_at_what_they_keep() -> None:
    model, image, ids = tiny_meres(), pictures(1)[0], words()[0, :4]
    found = attention_maps(model, image, ids, ALL)
    assert found.words_Thw.shape == found.visual_Rhw.shape == (4, 3, 3)
    for weights in (found.words_Thw, found.visual_Rhw):
        torch.testing.assert_close(weights.sum((1, 2)), torch.ones(4))
    assert (found.words_Thw > 0).all()
    assert ((found.visual_Rhw > 0).sum((1, 2)) == kept_count(9, model.config.selected_percent)).all()
    assert found.pixels_ND.shape == (9, found.words_TD.shape[1])
    assert found.share_HW.shape == (20, 20)
    assert ((found.share_HW > 0) & (found.share_HW < 1)).all()


def test_tokens_are_those_that_guide_the_decoder_and_padding_changes_nothing() -> None:
    model, image, ids = tiny_meres().eval(), pictures(1), words()[:1]
    found, mask = attention_maps(model, image[0], ids[0], MASK[0]), MASK[:1]
    with torch.no_grad(), recorded_calls({"guide": model.vision.guide}) as calls:
        model(image, ids, mask)
    guidance = calls["guide"][1]
    expected = guidance.tokens_BGD[guidance.mask_BG]
    torch.testing.assert_close(torch.cat([found.words_TD, found.visual_RD]), expected)
    unpadded = attention_maps(model, image[0], ids[0, :4], ALL)
    for name in ("words_Thw", "visual_Rhw", "share_HW", "words_TD", "visual_RD"):
        torch.testing.assert_close(getattr(found, name), getattr(unpadded, name), atol=1e-5, rtol=1e-4)


def test_one_cue_makes_one_visual_expression() -> None:
    assert attention_maps(tiny_meres(cues="global"), pictures(1)[0], words()[0, :4], ALL).visual_Rhw.shape == (1, 3, 3)


@pytest.mark.parametrize("changes", [{"guidance": "le_enh"}, {"guidance": "ve"}, {"refine": False}])
def test_a_model_without_both_kinds_of_tokens_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="le_enh\\+ve"):
        attention_maps(tiny_meres(**changes), pictures(1)[0], words()[0, :4], ALL)


def test_watching_leaves_no_hook_behind() -> None:
    module = nn.Identity()
    with recorded_calls({"one": module}) as calls:
        module(torch.ones(1))
    module(torch.zeros(1))
    assert calls["one"][1].item() == 1
    assert not module._forward_hooks


def test_a_plane_keeps_the_distances_of_points_that_lie_in_one() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    flat = torch.from_numpy(rng.normal(size=(9, 2)) * [3, 1])
    found = principal_plane(flat @ torch.from_numpy(axes.T) + 5).double()
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(flat, flat), atol=1e-5, rtol=1e-5)
    assert found[:, 0].std() > found[:, 1].std()
    assert (found.max(0).values >= -found.min(0).values).all()


def test_attention_has_the_cells_that_words_look_at() -> None:
    found = attention_maps(tiny_meres(word_stride=16), pictures(1)[0], words()[0, :4], ALL)
    assert found.words_Thw.shape == found.visual_Rhw.shape == (4, 5, 5)
    assert found.pixels_ND.shape[0] == 25
    assert ((found.visual_Rhw > 0).sum((1, 2)) == kept_count(25, 30)).all()
