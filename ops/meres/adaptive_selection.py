"""Adaptive selection of each token's pixels, and masked pooling over them (MERES Eq. 1, 2, 4-7; spec 4.2-4.4).

Functions without parameters. Shapes: B samples, T tokens, N pixels, E joint width, D token width, K selected pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.meres.attention import unmask_empty_rows
from ops.meres.config import PoolScale, Select


def similarity(tokens_BTE: Tensor, pixels_BNE: Tensor) -> Tensor:
    """S: cosine similarity of every token with every pixel, (B, T, N) in [-1, 1], float32 also in autocast (Eq. 1) [P].

    Norms below 1e-6 count as 1e-6 [O].
    """
    with torch.autocast(tokens_BTE.device.type, enabled=False):
        tokens, pixels = (F.normalize(part.float(), dim=-1, eps=1e-6) for part in (tokens_BTE, pixels_BNE))
        return tokens @ pixels.transpose(1, 2)


def kept_count(pixels: int, percent: int) -> int:
    """K: a percentage of the pixels, rounded down, at least one [P: a ratio] [O: the rounding]."""
    return max(1, pixels * percent // 100)


def keep_mask(similarity_BTN: Tensor, *, select: Select, percent: int) -> Tensor:
    """Selection mask (B, T, N), True on the pixels that each token keeps; no gradient, no empty row (Eq. 2, 4, 5).

    Args:
        similarity_BTN: cosines.
        select: "topk" keeps the K most similar, any of equals [P]; "sigmoid" those with sigmoid(S / tau) > 0.5, that
            is S > 0 for every tau, or all where none is (Table 4a) [O]; "none" all.
        percent: K as a share of N, for "topk".
    """
    scores = similarity_BTN.detach()
    if select == "none":
        return torch.ones_like(scores, dtype=torch.bool)
    if select == "sigmoid":
        return unmask_empty_rows(scores > 0)
    best = scores.topk(kept_count(scores.shape[-1], percent), sorted=False).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, best, True)


def pool_weights(similarity_BTN: Tensor, keep_BTN: Tensor, *, norm_mask: bool = True) -> Tensor:
    """W (B, T, N): softmax over the kept pixels (Eq. 6) [P], or over all pixels without `norm_mask` (Table 4f).

    The softmax runs over pixels: over tokens, a pixel that no token keeps would have no weights. There is no
    temperature [P], so that the weights of two pixels differ by a factor of at most e^2.
    """
    scores = similarity_BTN.masked_fill(~keep_BTN, -torch.inf) if norm_mask else similarity_BTN
    return scores.softmax(-1)


def masked_pool(weights_BTN: Tensor, values_BND: Tensor, keep_BTN: Tensor, *, scale: PoolScale = "mean") -> Tensor:
    """F_a (B, T, D): weighted mean of the values of each token's pixels (Eq. 7).

    A matrix product instead of the paper's values repeated for every token, weighted and summed. `scale` "paper"
    divides by K, the number of pixels that the token keeps.
    """
    pooled_BTD = weights_BTN @ values_BND
    return pooled_BTD / keep_BTN.sum(-1, keepdim=True) if scale == "paper" else pooled_BTD
