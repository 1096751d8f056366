"""Attention maps of MERES and features of its tokens and pixels, for figures.

Recorded by hooks in a plain forward pass. Shapes: B samples, T linguistic tokens of an expression without padding, R of
its visual expressions, h x w pixels of the map that words look at (N of them), H x W of the finest map, D token width,
Q queries, K keys, C channels, P points.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ops.meres.attention import Attention
from ops.meres.config import MeresConfig
from ops.meres.model import Meres


@dataclass(frozen=True, kw_only=True)
class AttentionMaps:
    """Attention and features of an expression in an image, float32 on the CPU. Attention is the mean over heads."""

    words_Thw: Tensor
    """Attention of every linguistic token to the pixels in the last enhancement layer; sums to 1 (spec 3.3)."""
    visual_Rhw: Tensor
    """Attention of every visual expression to the pixels that it keeps; sums to 1 (Eq. 8)."""
    share_HW: Tensor
    """Share of visual expressions, not words, in the attention of each pixel of the decoder's last stage (spec 5)."""
    words_TD: Tensor
    """Linguistic tokens of the guidance."""
    visual_RD: Tensor
    """Visual expressions of the guidance."""
    pixels_ND: Tensor
    """Pixels projected to the tokens' width (V, spec 4.1)."""


def has_attention_maps(config: MeresConfig) -> bool:
    """Whether a model has both kinds of tokens, refines visual expressions, and looks at both in its last stage."""
    return config.guidance == "le_enh+ve" and config.refine and 1 in config.looking_stages


@torch.inference_mode()
def attention_maps(model: Meres, image_3SS: Tensor, token_ids_T: Tensor, token_mask_T: Tensor) -> AttentionMaps:
    """Attention maps of one expression in one image.

    Args:
        model: is switched to eval mode.
        image_3SS: uint8 RGB, resized to the model's square size.
        token_ids_T: of the expression.
        token_mask_T: 1 on unmasked tokens; only these are returned.

    Raises:
        ValueError: the model has none, see `has_attention_maps`.
    """
    if not has_attention_maps(model.config):
        raise ValueError(
            "this MERES has no words beside refined visual expressions in its last stage: "
            "take guidance 'le_enh+ve', refine and looking_stages with 1"
        )
    model.eval()
    guide, decoder = model.vision.guide, model.vision.decoder
    attentions: dict[str, Any] = {
        "words": guide.enhancement.layers[-1].attention,  # type: ignore[union-attr]
        "visual": guide.extractor.refinement.attention,  # type: ignore[union-attr]
        "decoder": decoder.looks[-1].attention,
    }
    recorded = {"guide": guide, "values": guide.values, "maps": decoder, **attentions}
    ids_1T, mask_1T = (tensor_T[None].to(model.device) for tensor_T in (token_ids_T, token_mask_T))
    with recorded_calls(recorded) as calls:
        model(image_3SS[None].to(model.device), ids_1T, mask_1T)
    weights = {name: attention_weights(layer, *calls[name][0])[0].float().cpu() for name, layer in attentions.items()}
    sizes = [map_1Chw.shape[-2:] for map_1Chw in calls["maps"][0][0]]
    finest, seen = sizes[0], sizes[model.config.word_map]
    guidance, words = calls["guide"][1], len(token_ids_T)
    tokens_GD, mask_G = guidance.tokens_BGD[0].float().cpu(), guidance.mask_BG[0].cpu()
    words_T, visual_R = mask_G[:words], mask_G[words:]
    return AttentionMaps(
        words_Thw=weights["words"][words_T].unflatten(1, seen),
        visual_Rhw=weights["visual"][visual_R].unflatten(1, seen),
        share_HW=weights["decoder"][:, words:].sum(1).unflatten(0, finest),
        words_TD=tokens_GD[:words][words_T],
        visual_RD=tokens_GD[words:][visual_R],
        pixels_ND=calls["values"][1][0].float().cpu(),
    )


@contextmanager
def recorded_calls(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[tuple[Any, ...], Any]]]:
    """Name -> (inputs, output) of the last call of each module within this context, by forward hooks."""
    calls: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def recorder(name: str) -> Any:
        return lambda _, inputs, output: calls.update({name: (inputs, output)})

    hooks = [module.register_forward_hook(recorder(name)) for name, module in modules.items()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def attention_weights(
    attention: Attention, x_BQD: Tensor, keys_BKC: Tensor, _: Tensor, keep_BQK: Tensor | None = None
) -> Tensor:
    """Attention weights (B, Q, K), the mean over heads; arguments as in a call of `attention`."""
    query, key = attention.queries_and_keys(x_BQD, keys_BKC)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if keep_BQK is not None:
        scores = scores.masked_fill(~keep_BQK[:, None], -torch.inf)
    return scores.softmax(-1).mean(1)


def principal_plane(points_PD: Tensor) -> Tensor:
    """Coordinates (P, 2) on the first two principal components; the largest of each in absolute value is positive."""
    centred_PD = points_PD.double() - points_PD.double().mean(0)
    left, sizes, _ = torch.linalg.svd(centred_PD, full_matrices=False)
    components_P2 = left[:, :2] * sizes[:2]
    largest_2 = components_P2.gather(0, components_P2.abs().argmax(0, keepdim=True))[0]
    return (components_P2 * largest_2.sign()).float()
