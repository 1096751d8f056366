"""Swin transformer backbone of any size, parameter names as in Microsoft's published checkpoints (S+S+C spec 4.1).

Maps stay channels-last. Shapes: B images, H x W tokens, C channels, N tokens of a window, h heads, G windows of a map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PUBLISHED_WIDTH = 96
"""`embed_dim` of the smallest published Swin; the embedded ones are narrower, and keep their last bit."""


@dataclass(frozen=True, kw_only=True)
class SwinConfig:
    """Sizes of a Swin backbone; the width doubles after every stage but the last."""

    embed_dim: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 12
    patch: int = 4
    mlp_ratio: int = 4
    drop_path: float = 0.3
    """Stochastic depth rate of the last block; those of the blocks rise linearly from 0."""

    def __post_init__(self) -> None:
        """Refuse widths that the heads do not divide."""
        if len(self.depths) != len(self.heads):
            raise ValueError(f"depths {self.depths} and heads {self.heads} must name the same number of stages")
        for width, heads in zip(self.widths, self.heads, strict=True):
            if width % heads:
                raise ValueError(f"{heads} heads do not divide a width of {width}; choose another embed_dim or heads")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dim * 2**stage for stage in range(len(self.depths)))

    @property
    def fused_attention(self) -> bool:
        """Whether attention without gradients is one kernel, equal but for rounding: at the published widths."""
        return self.embed_dim >= PUBLISHED_WIDTH


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch per sample in training mode and rescales the kept ones."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """The branch, whole samples zeroed with probability `rate`; the first axis is the samples'."""
        if not self.training or self.rate == 0.0:
            return branch
        keep = 1.0 - self.rate
        kept = torch.rand((branch.shape[0],) + (1,) * (branch.ndim - 1), device=branch.device) < keep
        return branch * (kept / keep).to(branch.dtype)


def relative_position_index(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens, (N, N), in a window of N = window x window tokens."""
    cells = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    offsets = cells[:, None] - cells[None] + window - 1
    return offsets[..., 0] * (2 * window - 1) + offsets[..., 1]


@lru_cache(maxsize=64)
def shift_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """Additive attention mask (G, N, N): -100 between tokens of a shifted window that come from different regions.

    `height` and `width` are those of the padded map; the mask depends on sizes alone and is cached.
    """
    with torch.inference_mode(False):
        regions = torch.zeros(1, height, width, 1, device=device)
        slices = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
        for number, (rows, columns) in enumerate(product(slices, slices)):
            regions[:, rows, columns] = number
        regions_GN = to_windows(regions, window).squeeze(-1)
        return torch.where(regions_GN[:, None] == regions_GN[:, :, None], 0.0, -100.0)


def to_windows(x_BHWC: Tensor, window: int) -> Tensor:
    """Partition a map into windows (B * G, N, C), row by row."""
    batch, height, width, channels = x_BHWC.shape
    split = x_BHWC.view(batch, height // window, window, width // window, window, channels)
    return split.transpose(2, 3).reshape(-1, window * window, channels)


def from_windows(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Inverse of `to_windows`: a map (B, height, width, C)."""
    channels = windows.shape[-1]
    split = windows.view(-1, height // window, width // window, window, window, channels)
    return split.transpose(2, 3).reshape(-1, height, width, channels)


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learnt relative position bias."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: int, *, fused: bool = False) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window), persistent=False)

    def forward(self, windows: Tensor, mask_GNN: Tensor | None) -> Tensor:
        """Self-attention within each of the (B * G, N, C) windows; `mask_GNN` is added to the scores."""
        rows, tokens, width = windows.shape
        query, key, value = self.qkv(windows).view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        # with a gradient of the bias torch has no fused kernel on a CPU, and its fallback is slower than ours
        fused = self.fused and not torch.is_grad_enabled()
        mixed = self.mix_fused(query, key, value, mask_GNN) if fused else self.mix(query, key, value, mask_GNN)
        return self.proj(mixed.transpose(1, 2).reshape(rows, tokens, width))

    def mix(self, query: Tensor, key: Tensor, value: Tensor, mask_GNN: Tensor | None) -> Tensor:
        """Attention (B * G, h, N, C / h) of queries, keys and values of that shape."""
        scores = (query * self.scale) @ key.transpose(-1, -2) + self.position_bias()
        if mask_GNN is not None:
            scores = (scores.unflatten(0, (-1, len(mask_GNN))) + mask_GNN[:, None]).flatten(0, 1)
        return scores.softmax(-1).to(value.dtype) @ value

    def mix_fused(self, query: Tensor, key: Tensor, value: Tensor, mask_GNN: Tensor | None) -> Tensor:
        """As `mix`, in one kernel that holds no scores; equal but for rounding."""
        bias_GNN = self.position_bias()  # G heads, or heads of windows
        if mask_GNN is not None:
            bias_GNN = (mask_GNN[:, None] + bias_GNN).flatten(0, 1)
        windows = len(bias_GNN) // self.heads
        queries, keys, values = (part.unflatten(0, (-1, windows)).flatten(1, 2) for part in (query, key, value))
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias_GNN[None].to(query.dtype))
        return mixed.reshape(query.shape)

    def position_bias(self) -> Tensor:
        """Bias (h, N, N) of every pair of tokens."""
        return self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)


class Mlp(nn.Module):
    """MLP: Linear, exact GELU, Linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to (..., width)."""
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Pre-norm block: window attention and MLP, both residual; windows are shifted by `shift`, also on small maps."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        window: int,
        shift: int,
        mlp_ratio: int = 4,
        drop_path: float = 0.0,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, fused=fused)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, mlp_ratio * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """One block on a map of any size, (B, H, W, C) to the same shape."""
        x_BHWC = x_BHWC + self.drop_path(self.attend(self.norm1(x_BHWC)))
        return x_BHWC + self.drop_path(self.mlp(self.norm2(x_BHWC)))

    def attend(self, x_BHWC: Tensor) -> Tensor:
        """Window attention (B, H, W, C): pad right and bottom, shift, attend, undo both.

        Padding consists of zeros after the norm and takes part as keys.
        """
        _, height, width, _ = x_BHWC.shape
        padded = F.pad(x_BHWC, (0, 0, 0, -width % self.window, 0, -height % self.window))
        rows, columns = padded.shape[1:3]
        mask = None
        if self.shift:
            padded = padded.roll((-self.shift, -self.shift), (1, 2))
            mask = shift_mask(rows, columns, self.window, self.shift, padded.device)
        attended = from_windows(self.attn(to_windows(padded, self.window), mask), self.window, rows, columns)
        if self.shift:
            attended = attended.roll((self.shift, self.shift), (1, 2))
        return attended[:, :height, :width]


class PatchMerging(nn.Module):
    """Patch merging: halves both sides and doubles the width; odd sides are zero-padded."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """(B, H, W, C) to (B, ceil(H / 2), ceil(W / 2), 2C), neighbours in the order r0c0, r1c0, r0c1, r1c1."""
        x_BHWC = F.pad(x_BHWC, (0, 0, 0, x_BHWC.shape[2] % 2, 0, x_BHWC.shape[1] % 2))
        parts = [x_BHWC[:, row::2, column::2] for column, row in product((0, 1), (0, 1))]
        return self.reduction(self.norm(torch.cat(parts, -1)))


class PatchEmbed(nn.Module):
    """Patch embedding: a strided convolution and a LayerNorm."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, images_B3HW: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, ceil(H / patch), ceil(W / patch), C), zero-padded right and bottom."""
        patch = self.proj.stride[0]
        height, width = images_B3HW.shape[-2:]
        padded = F.pad(images_B3HW, (0, -width % patch, 0, -height % patch))
        return self.norm(self.proj(padded).permute(0, 2, 3, 1))


class SwinStage(nn.Module):
    """The blocks of one stage and the patch merging after it (none after the last)."""

    def __init__(self, config: SwinConfig, stage: int, drop_paths: Sequence[float]) -> None:
        super().__init__()
        width, heads, window = config.widths[stage], config.heads[stage], config.window
        self.blocks = nn.ModuleList(
            SwinBlock(
                width,
                heads,
                window=window,
                shift=number % 2 * (window // 2),
                mlp_ratio=config.mlp_ratio,
                drop_path=rate,
                fused=config.fused_attention,
            )
            for number, rate in enumerate(drop_paths)
        )
        self.downsample = PatchMerging(width) if stage + 1 < len(config.depths) else nn.Identity()

    def forward(self, x_BHWC: Tensor) -> Tensor:
        """All blocks, without the patch merging, since a fusion may come between."""
        for block in self.blocks:
            x_BHWC = block(x_BHWC)
        return x_BHWC


class Swin(nn.Module):
    """Swin transformer: patch embedding and stages, without absolute positions, final norm and classifier."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config.embed_dim, config.patch)
        blocks = sum(config.depths)
        rates = [config.drop_path * number / max(blocks - 1, 1) for number in range(blocks)]
        starts = [sum(config.depths[:stage]) for stage in range(len(config.depths))]
        self.layers = nn.ModuleList(
            SwinStage(config, stage, rates[start : start + config.depths[stage]]) for stage, start in enumerate(starts)
        )
        initialise(self)

    @property
    def stages(self) -> list[SwinStage]:
        """The stages; `layers` is their published name."""
        return cast(list[SwinStage], list(self.layers))

    def forward(self, images_B3HW: Tensor) -> list[Tensor]:
        """Outputs (B, H, W, C) of every stage, before patch merging."""
        x_BHWC = self.patch_embed(images_B3HW)
        outputs: list[Tensor] = []
        for stage in self.stages:
            outputs.append(stage(x_BHWC))
            x_BHWC = stage.downsample(outputs[-1])
        return outputs


def _truncated_normal(weight: Tensor) -> None:
    """Truncated normal with std 0.02."""
    nn.init.trunc_normal_(weight, std=0.02)


def initialise(module: nn.Module, init_weight: Callable[[Tensor], object] = _truncated_normal) -> None:
    """Initialise linear layers by `init_weight` with bias 0 and bias tables at std 0.02; convolutions stay torch's."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            init_weight(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, WindowAttention):
            _truncated_normal(part.relative_position_bias_table)
