"""Attention with masks against torch's own, the token layer, and positions against their formula."""

import math

import pytest
import torch
from torch import Tensor, nn

from ops.meres.attention import Attention, TokenLayer, sine_positions, unmask_empty_rows


def reference(ours: Attention, width: int, context: int) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(width, ours.heads, kdim=context, vdim=context, batch_first=True)
    parts = (ours.query, ours.key, ours.value)
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    state = {name: part.weight for name, part in zip(names, parts, strict=True)}
    state["in_proj_bias"] = torch.cat([part.bias for part in parts])
    state |= {"out_proj.weight": ours.output.weight, "out_proj.bias": ours.output.bias}
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize("masked", [False, True])
def test_attention_agrees_with_torchs(masked: bool) -> None:
    torch.manual_seed(0)
    ours = Attention(8, 6, heads=4)
    nn.init.normal_(ours.query.bias)
    queries, keys, values = torch.randn(2, 5, 8), torch.randn(2, 7, 6), torch.randn(2, 7, 6)
    keep = unmask_empty_rows(torch.rand(2, 5, 7) > 0.6) if masked else None
    theirs = reference(ours, 8, 6)
    forbidden = None if keep is None else (~keep).repeat_interleave(4, 0)
    expected, _ = theirs(queries, keys, values, attn_mask=forbidden, need_weights=False)
    torch.testing.assert_close(ours(queries, keys, values, keep), expected)


def test_one_row_of_a_mask_may_serve_all_queries() -> None:
    attention = Attention(8, 6, heads=2)
    queries, context, keep = torch.randn(2, 5, 8), torch.randn(2, 7, 6), torch.rand(2, 1, 7) > 0.3
    keep[..., 0] = True
    expected = attention(queries, context, context, keep.expand(-1, 5, -1))
    torch.testing.assert_close(attention(queries, context, context, keep), expected)


def test_a_layer_adds_attention_and_mlp_of_the_normalised_tokens() -> None:
    layer = TokenLayer(8, heads=2)
    tokens, keys, values = torch.randn(2, 3, 8), torch.randn(2, 4, 8), torch.randn(2, 4, 8)
    expected = tokens + layer.attention(layer.norm1(tokens), keys, values, None)
    expected = expected + layer.mlp(layer.norm2(expected))
    torch.testing.assert_close(layer(tokens, (keys, values)), expected)
    normed = layer.norm1(tokens)
    torch.testing.assert_close(layer(tokens), layer(tokens, (normed, normed)))


def test_dropout_acts_on_both_branches_in_training_only() -> None:
    layer = TokenLayer(8, heads=2, dropout=0.999999)
    tokens = torch.randn(2, 3, 8)
    assert torch.equal(layer.train()(tokens), tokens)
    assert not torch.allclose(layer.eval()(tokens), tokens)


def plain_positions(height: int, width: int, channels: int) -> Tensor:
    quarter = channels // 4
    rows = []
    for row in range(height):
        for column in range(width):
            code: list[float] = []
            for place, side in ((row, height), (column, width)):
                angles = [2 * math.pi * (place + 0.5) / side / 10_000 ** (n / quarter) for n in range(quarter)]
                code += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            rows.append(code)
    return torch.tensor(rows)


@pytest.mark.parametrize("size", [(3, 4), (5, 2), (15, 15)])
def test_positions_are_sines_of_rows_then_of_columns(size: tuple[int, int]) -> None:
    found = sine_positions(*size, 16, torch.device("cpu"))
    torch.testing.assert_close(found, plain_positions(*size, 16))
    assert len(found.unique(dim=0)) == size[0] * size[1]


def test_rows_that_keep_nothing_keep_everything() -> None:
    keep = torch.tensor([[False, False], [True, False]])
    assert unmask_empty_rows(keep).tolist() == [[True, True], [True, False]]
