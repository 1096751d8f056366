"""CLIP's towers: the four maps, without the attention pool, and features of short sentences."""

import pytest
import torch

from ops.backbones.clip_text import text_features, token_features
from ops.backbones.resnet_maps import image_maps
from tests.ops.tris import tiny


def test_the_last_map_is_what_the_attention_pool_would_get() -> None:
    clip, seen = tiny.clip(tiny.RESNET), []
    clip.visual.attnpool.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pictures = tiny.images(2, side=64)
    maps = image_maps(clip, pictures)
    assert not seen
    clip.encode_image(pictures)
    assert torch.equal(maps[-1], seen[0])


def test_maps_have_strides_of_4_8_16_and_32_at_any_size() -> None:
    maps = image_maps(tiny.clip(tiny.RESNET), torch.zeros(1, 3, 96, 128))
    assert [tuple(one.shape) for one in maps] == [(1, 32, 24, 32), (1, 64, 12, 16), (1, 128, 6, 8), (1, 256, 3, 4)]


def test_sentence_features_are_open_clips() -> None:
    clip = tiny.clip(tiny.RESNET)
    short = tiny.ids(5)
    long = torch.cat([short, torch.zeros(5, tiny.CONTEXT - short.shape[1], dtype=torch.long)], 1)
    torch.testing.assert_close(text_features(clip, short), clip.encode_text(long))


def test_words_do_not_hear_what_follows() -> None:
    clip, one = tiny.clip(tiny.RESNET), tiny.ids(6)[5:]
    other = one.clone()
    other[0, 3] = 1 + other[0, 3] % 40
    first, second = token_features(clip, one), token_features(clip, other)
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert not torch.allclose(first[:, 3], second[:, 3])


def test_sentences_without_an_end_all_mean_the_same() -> None:
    clip, rows = tiny.clip(tiny.RESNET), torch.randint(1, 40, (3, 8))
    rows[:, 0] = tiny.START
    features = text_features(clip, rows)
    torch.testing.assert_close(features, features[:1].expand(3, -1))


def test_more_tokens_than_positions_are_refused() -> None:
    with pytest.raises(ValueError, match="cut the expressions"):
        token_features(tiny.clip(tiny.RESNET), torch.zeros(1, tiny.CONTEXT + 1, dtype=torch.long))
