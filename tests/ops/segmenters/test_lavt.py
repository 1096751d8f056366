"""LAVT of any size: the paper's counts, what flows where, and what cannot matter."""

from dataclasses import replace
from itertools import product
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

from ops.backbones.language import Bert
from ops.backbones.swin import DropPath, PatchMerging, Swin, SwinBlock, SwinConfig, relative_position_index, shift_mask
from ops.segmenters.lavt import EMBEDDED, SWIN_B_480, SWIN_T_384, Lavt, LavtConfig, LavtVision, optimizer_groups
from ops.segmenters.lavt_decoder import MaskDecoder
from ops.segmenters.prediction import predict
from ops.segmenters.pwam import LanguageGate, PixelWordAttention, instance_norm

TINY = LavtConfig(
    embed_dim=8,
    depths=(2, 1, 2, 1),
    heads=(1, 2, 2, 4),
    window=3,
    drop_path=0.0,
    decoder_width=8,
    language_width=16,
    image_size=48,
    max_tokens=6,
    trained_bert_layers=1,
)
BERT = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def tiny_lavt(config: LavtConfig = TINY) -> Lavt:
    torch.manual_seed(0)
    return Lavt(config, Bert(BertModel(BertConfig(**BERT), add_pooling_layer=False)))


def count(parameters: Any) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.fixture(scope="module")
def full_size() -> Lavt:
    with torch.device("meta"):
        return Lavt(SWIN_B_480, Bert(BertModel(BertConfig(), add_pooling_layer=False)))


@pytest.fixture(scope="module")
def tiny() -> Lavt:
    return tiny_lavt().eval()


@pytest.fixture
def words() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 16, 6, generator=torch.Generator().manual_seed(1)), torch.tensor(
        [[[1, 1, 1, 1, 0, 0]], [[1, 1, 1, 1, 1, 1]]]
    )


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (2, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_full_size_has_the_parameters_of_the_published_model(full_size: Lavt) -> None:
    backbone = full_size.vision.backbone
    parts: dict[str, nn.Module] = {
        "trunk": backbone.swin,
        "attention": backbone.fusions,
        "gates": backbone.gates,
        "norms": backbone.output_norms,
        "decoder": full_size.vision.decoder,
        "all": full_size.vision,
    }
    assert {name: count(part.parameters()) for name, part in parts.items()} == {
        "trunk": 86_876_536,
        "attention": 8_531_200,
        "gates": 2_785_280,
        "norms": 3_840,
        "decoder": 20_651_010,
        "all": 118_847_866,
    }
    assert [count(part.parameters()) for part in backbone.fusions] == [262_912, 656_896, 1_838_080, 5_773_312]


def test_full_size_is_optimised_in_the_published_groups(full_size: Lavt) -> None:
    groups = optimizer_groups(full_size)
    assert [count(group["params"]) for group in groups] == [258_296, 97_938_560, 20_651_010, 70_878_720]
    assert [len(group["params"]) for group in groups[:2]] == [136, 253]
    assert [group["weight_decay"] for group in groups] == [0.0, 0.01, 0.01, 0.01]


def test_only_the_first_layers_of_bert_learn(full_size: Lavt) -> None:
    learning = {name.split(".")[2] for name, one in full_size.language.model.named_parameters() if one.requires_grad}
    assert learning == {str(layer) for layer in range(10)}
    assert not any(one.requires_grad for one in full_size.language.model.embeddings.parameters())


def test_every_learning_parameter_is_in_one_group(full_size: Lavt) -> None:
    last_gate = {id(one) for one in full_size.vision.backbone.gates[-1].parameters()}  # counted, never moved
    grouped = [id(one) for group in optimizer_groups(full_size) for one in group["params"]]
    learning = {id(one) for one in full_size.parameters() if one.requires_grad}
    assert sorted(grouped) == sorted(learning | last_gate)


def test_bert_stays_in_eval_mode(tiny: Lavt) -> None:
    assert tiny.train().vision.training
    assert not any(part.training for part in tiny.language.model.modules())
    tiny.eval()


@pytest.mark.parametrize("size", [(32, 32), (44, 60), (33, 50), (12, 20)])
def test_logits_have_the_size_of_the_images(tiny: Lavt, words: tuple[Tensor, Tensor], size: tuple[int, int]) -> None:
    logits = tiny.vision(torch.randn(2, 3, *size), *words)
    assert logits.shape == (2, 2, *size)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_padding_words_do_not_matter(tiny: Lavt, images: Tensor, words: tuple[Tensor, Tensor]) -> None:
    language, mask = words
    noisy = language.clone()
    noisy[0, :, 4:] = 100.0
    torch.testing.assert_close(tiny.vision(images, noisy, mask), tiny.vision(images, language, mask))
    noisy[0, :, 3] = 100.0
    assert not torch.allclose(tiny.vision(images, noisy, mask), tiny.vision(images, language, mask))


def test_one_image_with_two_sentences_equals_the_image_given_twice(
    tiny: Lavt, images: Tensor, words: tuple[Tensor, Tensor]
) -> None:
    shared = tiny.vision(images[:1], *words, image_of_B=torch.tensor([0, 0]))
    torch.testing.assert_close(shared, tiny.vision(images[[0, 0]], *words))


def test_uint8_images_are_normalised_with_imagenets_statistics(
    tiny: Lavt, images: Tensor, words: tuple[Tensor, Tensor]
) -> None:
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(tiny.vision(images, *words), tiny.vision((images / 255 - mean) / std, *words))


def test_the_gated_sum_reaches_the_next_stage_and_not_its_own_map(images: Tensor, words: tuple[Tensor, Tensor]) -> None:
    model = tiny_lavt().eval().vision
    before = model.features(images, *words)
    nn.init.zeros_(model.get_parameter("backbone.gates.1.outer.weight"))
    after = model.features(images, *words)
    assert [torch.equal(one, other) for one, other in zip(before, after, strict=True)] == [True, True, False, False]


def test_all_but_the_last_gate_receive_gradients(images: Tensor) -> None:
    model = tiny_lavt().train()
    ids, mask = torch.randint(0, 30, (2, 6)), torch.ones(2, 6, dtype=torch.long)
    model(images, ids, mask).square().sum().backward()
    assert not [name for name, one in model.named_parameters() if one.requires_grad and one.grad is None]
    frozen = {name for name, one in model.vision.named_parameters() if not one.requires_grad}
    assert frozen == {f"backbone.gates.3.{half}.weight" for half in ("inner", "outer")}
    inert = ("query.bias", "output.bias")  # an instance norm follows them
    assert all(
        one.grad.abs().max() > 1e-9
        for name, one in model.named_parameters()
        if one.grad is not None and not name.endswith(inert)
    )


def test_initial_weights_are_the_papers() -> None:
    torch.manual_seed(0)
    vision = LavtVision(replace(TINY, embed_dim=64, heads=(2, 4, 8, 16)))
    stage, fusion, gate = (f"backbone.{name}.3." for name in ("swin.layers", "fusions", "gates"))
    normal = [f"{stage}blocks.0.mlp.fc1", f"{stage}blocks.0.attn.qkv", f"{gate}inner", f"{gate}outer"]
    for name in normal:
        assert vision.get_parameter(f"{name}.weight").std().item() == pytest.approx(0.02, rel=0.03)
    assert vision.get_parameter(f"{stage}blocks.0.attn.qkv.bias").eq(0).all()
    weight = vision.get_parameter(f"{fusion}joint.weight")
    bound = weight.shape[1] ** -0.5  # torch's default for a 1x1 convolution
    assert bound * 0.99 < weight.abs().max() <= bound
    assert vision.get_parameter(f"{fusion}joint.bias").abs().max() > 0


def test_drop_path_rates_rise_linearly_and_odd_blocks_shift(full_size: Lavt) -> None:
    blocks = [block for block in full_size.modules() if isinstance(block, SwinBlock)]
    assert np.allclose([block.drop_path.rate for block in blocks], np.linspace(0, 0.3, 24))
    assert [block.shift for block in blocks] == [0, 6] * 12


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = DropPath(0.3).train()(torch.ones(20_000, 2, 3))
    torch.testing.assert_close(dropped.unique(), torch.tensor([0.0, 1 / 0.7]))
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("window", [2, 3, 7])
def test_relative_position_index_counts_rows_and_columns(window: int) -> None:
    index = relative_position_index(window)
    cells = list(product(range(window), range(window)))
    for (one, (row, column)), (other, (below, right)) in product(enumerate(cells), enumerate(cells)):
        expected = (row - below + window - 1) * (2 * window - 1) + column - right + window - 1
        assert index[one, other] == expected


def test_tokens_of_different_regions_are_masked() -> None:
    height, width, window, shift = 8, 12, 4, 2
    mask = shift_mask(height, width, window, shift, torch.device("cpu"))
    region = np.add.outer(np.repeat([0, 3, 6], [4, 2, 2]), np.repeat([0, 1, 2], [8, 2, 2]))
    windows = region.reshape(2, 4, 3, 4).transpose(0, 2, 1, 3).reshape(6, 16)
    assert np.array_equal(mask.numpy(), np.where(windows[:, None] == windows[:, :, None], 0, -100))


@pytest.mark.parametrize("shift", [0, 3])
def test_attention_in_one_kernel_agrees_and_is_for_published_widths_without_gradients(shift: int) -> None:
    torch.manual_seed(0)
    block = SwinBlock(96, 3, window=7, shift=shift, fused=SWIN_T_384.swin.fused_attention).eval()
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    x_BHWC = torch.randn(2, 15, 22, 96)
    plain = block(x_BHWC)
    with patch("torch.nn.functional.scaled_dot_product_attention", wraps=F.scaled_dot_product_attention) as kernel:
        with torch.inference_mode():
            assert torch.allclose(block(x_BHWC), plain, atol=1e-5)
        assert kernel.call_count == 1
        assert torch.equal(block(x_BHWC), plain)
        assert kernel.call_count == 1
    assert not EMBEDDED.swin.fused_attention


@pytest.mark.parametrize("shift", [0, 1])
def test_a_block_with_window_attention_equals_plain_attention_inside_each_window(shift: int) -> None:
    torch.manual_seed(0)
    block = SwinBlock(4, 2, window=3, shift=shift).eval()
    nn.init.normal_(block.attn.relative_position_bias_table)
    x = torch.randn(1, 5, 7, 4)
    padded = torch.zeros(6, 9, 4)
    padded[:5, :7] = block.norm1(x[0])
    rolled = padded.roll((-shift, -shift), (0, 1))
    attended = torch.zeros(6, 9, 4)
    index = relative_position_index(3)
    for top, left in product(range(0, 6, 3), range(0, 9, 3)):
        tokens = rolled[top : top + 3, left : left + 3].reshape(9, 4)
        query, key, value = block.attn.qkv(tokens).view(9, 3, 2, 2).unbind(1)
        places = [
            ((row + shift) % 6 < shift, (column + shift) % 9 < shift)
            for row in range(top, top + 3)
            for column in range(left, left + 3)
        ]
        for head in range(2):
            scores = query[:, head] @ key[:, head].T * 2**-0.5 + block.attn.relative_position_bias_table[index, head]
            apart = torch.tensor([[one != other for other in places] for one in places]) if shift else torch.zeros(9, 9)
            mixed = (scores - 100 * apart.float()).softmax(-1) @ value[:, head]
            attended[top : top + 3, left : left + 3, 2 * head : 2 * head + 2] = mixed.view(3, 3, 2)
    back = block.attn.proj(attended.roll((shift, shift), (0, 1))[:5, :7])
    expected = x[0] + back
    expected = expected + block.mlp(block.norm2(expected))
    torch.testing.assert_close(block(x)[0], expected)


def test_patch_merging_joins_neighbours_in_the_published_order() -> None:
    merging = PatchMerging(1)
    merging.register_module("norm", nn.Identity())
    merging.register_module("reduction", nn.Identity())
    merged = merging(torch.arange(1.0, 7).view(1, 2, 3, 1))
    assert merged[0, 0].tolist() == [[1, 4, 2, 5], [3, 6, 0, 0]]


def test_instance_norm_agrees_with_torch() -> None:
    x = torch.randn(2, 30, 5) * 3 + 7
    expected = nn.functional.instance_norm(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(instance_norm(x), expected)


def test_attention_scale_takes_the_full_width_with_several_heads() -> None:
    torch.manual_seed(0)
    attention = PixelWordAttention(8, 6, heads=2).eval()
    visual, language, mask = torch.randn(1, 5, 8), torch.randn(1, 4, 6), torch.tensor([[1, 1, 1, 0]])
    query, key, value = attention.queries(visual)[0], attention.key(language)[0], attention.value(language)[0]
    heads = []
    for half in (slice(0, 4), slice(4, 8)):
        scores = query[:, half] @ key[:3, half].T * 8**-0.5
        heads.append(scores.softmax(-1) @ value[:3, half])
    expected = instance_norm(attention.output(torch.cat(heads, -1))[None])
    torch.testing.assert_close(attention.attend(visual, language, mask), expected)


def test_a_gate_at_zero_lets_the_trunk_through_unchanged() -> None:
    gate = LanguageGate(4)
    nn.init.zeros_(gate.outer.weight)
    visual = torch.randn(1, 3, 4)
    assert torch.equal(gate(visual, torch.randn(1, 3, 4)), visual)


def test_the_decoder_takes_maps_whose_sizes_are_no_multiples() -> None:
    decoder = MaskDecoder([2, 4, 8, 16], 8).eval()
    maps = [
        torch.randn(1, width, *size)
        for width, size in zip([2, 4, 8, 16], [(12, 19), (6, 10), (3, 5), (2, 3)], strict=True)
    ]
    assert decoder(maps).shape == (1, 2, 12, 19)


def test_gradients_of_a_shifted_padded_block_are_right() -> None:
    torch.manual_seed(0)
    block = SwinBlock(4, 2, window=2, shift=1, mlp_ratio=1).double()
    assert torch.autograd.gradcheck(block, torch.randn(1, 3, 3, 4, dtype=torch.double, requires_grad=True))


def test_prediction_gives_both_sizes_and_does_not_depend_on_chunks(tiny: Lavt, images: Tensor) -> None:
    ids, mask = torch.randint(0, 30, (5, 6)), torch.ones(5, 6, dtype=torch.long)
    options: dict[str, Any] = {"token_ids_ST": ids, "token_mask_ST": mask, "original_size": (21, 40)}
    found = predict(tiny, images[0], **options)
    assert found.model_size_Shw.shape == (5, 48, 48)
    assert found.original_size_SHW.shape == (5, 21, 40)
    assert found.original_size_SHW.dtype == torch.bool
    logits = tiny(images[:1].expand(5, -1, -1, -1), ids, mask)
    assert (found.model_size_Shw != (logits.argmax(1) == 1)).float().mean() < 1e-3
    chunked = predict(tiny, images[0], expressions_at_once=2, **options)
    assert (chunked.original_size_SHW != found.original_size_SHW).float().mean() < 1e-3


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"language_width": 24}, "language_width"),
        ({"trained_bert_layers": 3}, "2 layers"),
        ({"heads": (3, 2, 2, 4)}, "heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        tiny_lavt(replace(TINY, **change))


def test_swin_returns_the_map_of_every_stage() -> None:
    config = SwinConfig(embed_dim=8, depths=(1, 1), heads=(1, 2), window=3)
    assert [tuple(one.shape) for one in Swin(config)(torch.randn(1, 3, 18, 22))] == [(1, 5, 6, 8), (1, 3, 3, 16)]
