"""What MERES looks at while it segments: its attention between tokens and pixels, and where both lie (for pictures).

The network runs as ever; hooks note what its layers are given. Shapes: B samples, T linguistic tokens of a sentence
without padding, R of its visual expressions, h x w pixels of the coarsest map (N of them), H x W of the finest, D token
width, Q queries, K keys, C channels, P points.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ops.meres.attention import Attention
from ops.meres.model import Meres


@dataclass(frozen=True, kw_only=True)
class Looks:
    """A sentence before one picture, float32 on the CPU. Attention is the mean over heads."""

    words_Thw: Tensor
    """Attention of every linguistic token to the pixels in the last enhancement layer, sums to 1 (spec 3.3)."""
    visual_Rhw: Tensor
    """Attention of every visual expression to the pixels that it keeps, sums to 1 (Eq. 8)."""
    share_HW: Tensor
    """Share of a pixel's attention in the decoder's last stage that visual expressions get, not words (spec 5)."""
    words_TD: Tensor
    """Linguistic tokens as the decoder gets them."""
    visual_RD: Tensor
    """Visual expressions as the decoder gets them."""
    pixels_ND: Tensor
    """The pixels in the tokens' space (V, spec 4.1)."""


@torch.inference_mode()
def look(model: Meres, image_3SS: Tensor, token_ids_T: Tensor, token_mask_T: Tensor) -> Looks:
    """Let one sentence pass and note where it looks.

    Args:
        model: is switched to eval mode.
        image_3SS: uint8 RGB, squashed to the model's square size.
        token_ids_T: of the sentence.
        token_mask_T: 1 on tokens that are heard; only these come back.

    Raises:
        ValueError: the model has not both kinds of tokens, or does not refine visual expressions.
    """
    if model.config.guidance != "le_enh+ve" or not model.config.refine or 1 not in model.config.looking_stages:
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
    watched = {"guide": guide, "values": guide.values, "maps": decoder, **attentions}
    ids_1T, mask_1T = (one[None].to(model.device) for one in (token_ids_T, token_mask_T))
    with noted(watched) as calls:
        model(image_3SS[None].to(model.device), ids_1T, mask_1T)
    weights = {name: attention_weights(one, *calls[name][0])[0].float().cpu() for name, one in attentions.items()}
    finest, *_, coarsest = (one.shape[-2:] for one in calls["maps"][0][0])
    guidance, words = calls["guide"][1], len(token_ids_T)
    tokens_GD, heard_G = guidance.tokens_BGD[0].float().cpu(), guidance.mask_BG[0].cpu()
    words_T, visual_R = heard_G[:words], heard_G[words:]
    return Looks(
        words_Thw=weights["words"][words_T].unflatten(1, coarsest),
        visual_Rhw=weights["visual"][visual_R].unflatten(1, coarsest),
        share_HW=weights["decoder"][:, words:].sum(1).unflatten(0, finest),
        words_TD=tokens_GD[:words][words_T],
        visual_RD=tokens_GD[words:][visual_R],
        pixels_ND=calls["values"][1][0].float().cpu(),
    )


@contextmanager
def noted(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[tuple[Any, ...], Any]]]:
    """Name -> what a module was given and what it gave, the last time that it was called in this context."""
    calls: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def note(name: str) -> Any:
        return lambda _, given, gave: calls.update({name: (given, gave)})

    hooks = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def attention_weights(
    attention: Attention, x_BQD: Tensor, keys_BKC: Tensor, _: Tensor, keep_BQK: Tensor | None = None
) -> Tensor:
    """Mean over heads of the weights (B, Q, K) by which `attention` gathers values; arguments as it is called with."""
    query, key = attention.compared(x_BQD, keys_BKC)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if keep_BQK is not None:
        scores = scores.masked_fill(~keep_BQK[:, None], -torch.inf)
    return scores.softmax(-1).mean(1)


def principal_plane(points_PD: Tensor) -> Tensor:
    """The points' coordinates (P, 2) along the two directions in which they differ most; the farthest is positive."""
    centred_PD = points_PD.double() - points_PD.double().mean(0)
    left, sizes, _ = torch.linalg.svd(centred_PD, full_matrices=False)
    found_P2 = left[:, :2] * sizes[:2]
    farthest_2 = found_P2.gather(0, found_P2.abs().argmax(0, keepdim=True))[0]
    return (found_P2 * farthest_2.sign()).float()
