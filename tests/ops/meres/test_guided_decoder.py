"""The decoder: LAVT's when nothing guides it, and deaf to padding."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ops.meres.attention import Attention
from ops.meres.config import SWIN_B_480, MeresConfig
from ops.meres.guided_decoder import GuidanceAttention, GuidedDecoder
from ops.segmenters.lavt_decoder import MaskDecoder
from ops.segmenters.pwam import instance_norm

WIDTHS, SIZES = [2, 4, 8, 16], [(12, 19), (6, 10), (3, 5), (2, 3)]
SMALL = MeresConfig(embed_dim=2, heads=(1, 1, 1, 1), decoder_width=8, language_width=8, token_heads=2, decoder_heads=2)


@pytest.fixture
def maps() -> list[Tensor]:
    return [torch.randn(2, width, *size) for width, size in zip(WIDTHS, SIZES, strict=True)]


@pytest.fixture
def decoder() -> GuidedDecoder:
    torch.manual_seed(0)
    return GuidedDecoder(SMALL).eval()


def test_it_equals_lavts_decoder_when_the_attention_says_nothing(maps: list[Tensor], decoder: GuidedDecoder) -> None:
    plain = MaskDecoder(WIDTHS, 8).eval()
    state = decoder.state_dict()
    plain.load_state_dict({name: value for name, value in state.items() if not name.startswith("looks")})
    guidance = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    assert not torch.allclose(decoder(maps, *guidance), plain(maps))
    for look in decoder.looks:
        nn.init.zeros_(look.get_parameter("attention.output.weight"))
    torch.testing.assert_close(decoder(maps, *guidance), plain(maps))
    assert plain(maps).shape == (2, 2, 12, 19)


@pytest.mark.parametrize("stage", range(4))
def test_every_stage_listens_to_the_guidance(maps: list[Tensor], decoder: GuidedDecoder, stage: int) -> None:
    for number, look in enumerate(decoder.looks):
        if number != stage:
            nn.init.zeros_(look.get_parameter("attention.output.weight"))
    mask = torch.ones(2, 5, dtype=torch.bool)
    one, other = (decoder(maps, torch.randn(2, 5, 8), mask) for _ in range(2))
    assert not torch.equal(one, other)


def test_padding_does_not_matter(maps: list[Tensor], decoder: GuidedDecoder) -> None:
    tokens, mask = torch.randn(2, 5, 8), torch.tensor([[True, True, False, True, False], [True] * 5])
    noisy = torch.where(mask[..., None], tokens, torch.randn(2, 5, 8))
    torch.testing.assert_close(decoder(maps, noisy, mask), decoder(maps, tokens, mask))
    short = decoder([one[:1] for one in maps], tokens[:1, [0, 1, 3]], torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(decoder(maps, tokens, mask)[:1], short)


def test_pixels_keep_their_places_and_no_pixel_is_special() -> None:
    torch.manual_seed(0)
    look = GuidanceAttention(8, 6, heads=2, normalised_queries=True)
    x, tokens, mask = torch.randn(1, 8, 3, 4), torch.randn(1, 5, 6), torch.ones(1, 5, dtype=torch.bool)
    whole = look(x, tokens, mask)
    torch.testing.assert_close(look(x.flip(2, 3), tokens, mask), whole.flip(2, 3))
    assert not torch.allclose(whole, whole.flip(2, 3))


def test_what_all_pixels_share_does_not_say_where_they_look() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 6, heads=2, normalised_queries=True)
    x, tokens = torch.randn(1, 12, 8), torch.randn(1, 5, 6)
    torch.testing.assert_close(
        attention(x + 3 * torch.randn(8), tokens, tokens, None), attention(x, tokens, tokens, None)
    )
    assert not torch.allclose(attention(x, tokens, tokens, None)[:, :1], attention(x[:, :1], tokens, tokens, None))


@pytest.mark.parametrize("width", [48, 512])
def test_attention_of_every_width_starts_with_logits_of_the_same_size(width: int) -> None:
    torch.manual_seed(0)
    look = GuidanceAttention(width, 128, heads=8, normalised_queries=True)
    pixels, tokens = nn.functional.layer_norm(torch.randn(200, width), (width,)), torch.randn(30, 128)
    query, key = instance_norm(look.attention.query(pixels)[None])[0], look.attention.key(tokens)
    logits = query.unflatten(1, (8, -1)).transpose(0, 1) @ key.unflatten(1, (8, -1)).permute(1, 2, 0)
    assert 0.5 < (logits / (width / 8) ** 0.5).std().item() < 2


def test_convolutions_dominate_at_full_size() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        decoder = GuidedDecoder(SWIN_B_480).eval()
        maps = [torch.empty(1, 128 * 2**n, 120 // 2**n, 120 // 2**n) for n in range(4)]
        decoder(maps, torch.empty(1, 42, 768), torch.ones(1, 42, dtype=torch.bool))
    macs = {name: sum(count.values()) / 2e9 for name, count in counter.get_flop_counts().items()}
    convolutions = macs["GuidedDecoder"] - sum(macs[f"GuidedDecoder.looks.{stage}"] for stage in range(4))
    assert convolutions == pytest.approx(106.2, abs=0.1)
