"""Attention with a mask per query, the transformer layer built on it, and 2-D positions (MERES spec 3.3, 4.5, 4.6).

Shapes: B samples, Q queries, N keys, D width of the queries, h heads.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.backbones import swin
from ops.backbones.swin import Mlp
from ops.segmenters.pwam import instance_norm


def initialise(module: nn.Module) -> None:
    """The start of everything new: linear layers Xavier uniform, their biases 0, token layers the identity [C].

    Xavier as in torch's own `MultiheadAttention`: with Swin's and BERT's std of 0.02 logits of attention shrink with
    the width, to almost nothing in a small one. The identity as in other networks that put new layers behind
    pretrained ones (Flamingo): what BERT knows has to reach the decoder from the first step on.
    """
    swin.initialise(module, nn.init.xavier_uniform_)
    for part in module.modules():
        if isinstance(part, TokenLayer):
            nn.init.zeros_(part.attention.output.weight)
            nn.init.zeros_(part.mlp.fc2.weight)


class Attention(nn.Module):
    """Multi-head attention whose inner width is that of the queries.

    `contrasted` queries are instance-normalised: each channel over all queries of a sample, so that what they share
    drops out and what tells them apart decides where they look.
    """

    def __init__(self, width: int, context_width: int, *, heads: int, contrasted: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.contrasted = contrasted
        self.query = nn.Linear(width, width, bias=not contrasted)  # the norm would take a bias away
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x_BQD: Tensor, keys_BNC: Tensor, values_BNC: Tensor, keep_BQN: Tensor | None) -> Tensor:
        """Gather values for every query, (B, Q, D).

        `keep_BQN` is True where a query may look and holds for all heads; Q may be 1 for a mask that all queries share.
        Every row must keep something.
        """
        query, key = self.compared(x_BQD, keys_BNC)
        mask = None if keep_BQN is None else keep_BQN[:, None]
        mixed = F.scaled_dot_product_attention(query, key, self._by_head(self.value(values_BNC)), attn_mask=mask)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def compared(self, x_BQD: Tensor, keys_BNC: Tensor) -> tuple[Tensor, Tensor]:
        """What a softmax over scaled products compares: queries (B, h, Q, D / h) and keys (B, h, N, D / h)."""
        query_BQD = self.query(x_BQD)
        if self.contrasted:
            query_BQD = instance_norm(query_BQD).to(query_BQD.dtype)
        return self._by_head(query_BQD), self._by_head(self.key(keys_BNC))

    def _by_head(self, x_BPD: Tensor) -> Tensor:
        return x_BPD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TokenLayer(nn.Module):
    """Pre-norm transformer layer on tokens: attention and an MLP of ratio 4, both residual.

    [P] attention, MLP and residuals of Eq. 8 and 9; [C] pre-norm, one MLP ratio for all, exact GELU.
    """

    def __init__(self, width: int, *, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, width, heads=heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_BQD: Tensor, context: tuple[Tensor, Tensor] | None = None, keep_BQN: Tensor | None = None
    ) -> Tensor:
        """One layer, (B, Q, D).

        Args:
            x_BQD: the tokens.
            context: keys and values, both (B, N, D), normalised already; without it the tokens look at each other.
            keep_BQN: see `Attention`.
        """
        normed_BQD = self.norm1(x_BQD)
        keys, values = context or (normed_BQD, normed_BQD)
        x_BQD = x_BQD + self.dropout(self.attention(normed_BQD, keys, values, keep_BQN))
        return x_BQD + self.dropout(self.mlp(self.norm2(x_BQD)))


@lru_cache(maxsize=16)
def sine_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """(height * width, channels): sines and cosines of the row in the first half, of the column in the second.

    A pixel's centre, as a share of the side times 2 pi, is divided by wavelengths that grow from 1 to 10,000 [C: as
    DETR does; CGFormer and ReLA add such positions too]. `channels` is a multiple of 4.
    """
    with torch.inference_mode(False):
        quarter = channels // 4
        wavelengths = 10_000 ** (torch.arange(quarter, device=device) / quarter)
        halves = []
        for length in (height, width):
            angles = 2 * math.pi * (torch.arange(length, device=device) + 0.5)[:, None] / length / wavelengths
            halves.append(torch.cat([angles.sin(), angles.cos()], -1))
        rows, columns = halves[0][:, None].expand(-1, width, -1), halves[1].expand(height, -1, -1)
        return torch.cat([rows, columns], -1).flatten(0, 1)


def never_empty(keep: Tensor) -> Tensor:
    """The same mask, but rows that keep nothing keep everything [I: ReLA]."""
    return keep | ~keep.any(-1, keepdim=True)
