"""Multi-head attention with a mask per query, a transformer layer, 2-D sine positions (MERES spec 3.3, 4.5, 4.6).

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
    """Initialise new layers: linear ones Xavier uniform with bias 0, token layers as the identity [O].

    Xavier as in torch's `MultiheadAttention`: with Swin's and BERT's std of 0.02 attention logits shrink with the
    width, to almost 0 in a small network. The identity as in other networks with new layers after pretrained ones
    (Flamingo): BERT's features reach the decoder unchanged from the first step on.
    """
    swin.initialise(module, nn.init.xavier_uniform_)
    for part in module.modules():
        if isinstance(part, TokenLayer):
            nn.init.zeros_(part.attention.output.weight)
            nn.init.zeros_(part.mlp.fc2.weight)


class Attention(nn.Module):
    """Multi-head attention whose inner width is that of the queries.

    With `normalised_queries` each channel is instance-normalised over the queries of a sample: the component that they
    have in common drops out, so that attention depends on how they differ.
    """

    def __init__(self, width: int, context_width: int, *, heads: int, normalised_queries: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.normalised_queries = normalised_queries
        self.query = nn.Linear(width, width, bias=not normalised_queries)  # the norm would remove a bias
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x_BQD: Tensor, keys_BNC: Tensor, values_BNC: Tensor, keep_BQN: Tensor | None) -> Tensor:
        """Attention of every query over the values, (B, Q, D).

        `keep_BQN` is True on keys that a query attends to, in all heads; Q may be 1 for a mask of all queries. Every
        row must keep at least one key.
        """
        query, key = self.queries_and_keys(x_BQD, keys_BNC)
        mask = None if keep_BQN is None else keep_BQN[:, None]
        mixed = F.scaled_dot_product_attention(query, key, self._by_head(self.value(values_BNC)), attn_mask=mask)
        return self.output(mixed.transpose(1, 2).flatten(2))

    def queries_and_keys(self, x_BQD: Tensor, keys_BNC: Tensor) -> tuple[Tensor, Tensor]:
        """Projected queries (B, h, Q, D / h) and keys (B, h, N, D / h) of the scaled dot products."""
        query_BQD = self.query(x_BQD)
        if self.normalised_queries:
            query_BQD = instance_norm(query_BQD).to(query_BQD.dtype)
        return self._by_head(query_BQD), self._by_head(self.key(keys_BNC))

    def _by_head(self, x_BPD: Tensor) -> Tensor:
        return x_BPD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TokenLayer(nn.Module):
    """Pre-norm transformer layer on tokens: attention and an MLP of ratio 4, both residual.

    [P] attention, MLP and residuals of Eq. 8 and 9; [O] pre-norm, one MLP ratio for all, exact GELU.
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
            context: keys and values, both (B, N, D), normalised already; without it the layer is self-attention.
            keep_BQN: see `Attention`.
        """
        normed_BQD = self.norm1(x_BQD)
        keys, values = context or (normed_BQD, normed_BQD)
        x_BQD = x_BQD + self.dropout(self.attention(normed_BQD, keys, values, keep_BQN))
        return x_BQD + self.dropout(self.mlp(self.norm2(x_BQD)))


@lru_cache(maxsize=16)
def sine_positions(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """2-D sine positions (height * width, channels): of rows in the first half of the channels, of columns in the rest.

    A pixel's centre, as a share of the side times 2 pi, is divided by wavelengths that grow from 1 to 10,000 [O: as in
    DETR; CGFormer and ReLA add such positions too]. `channels` is a multiple of 4.
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


def unmask_empty_rows(keep: Tensor) -> Tensor:
    """The mask (..., N) with rows that keep nothing replaced by rows that keep everything [I: ReLA]."""
    return keep | ~keep.any(-1, keepdim=True)
