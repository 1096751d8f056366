"""Pixel-word attention module (PWAM) and language gate of LAVT (S+S+C spec 4.2).

The 1x1 convolutions of the paper are linear layers here, since maps are channels-last.
Shapes: B samples, P pixels (H * W), C channels, T word pieces, L width of the language features, h heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.backbones.swin import initialise


def instance_norm(x_BPC: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Instance norm over pixels, (B, P, C) float32: biased variance, no parameters, the same in train and eval mode."""
    x_BPC = x_BPC.float()
    centred_BPC = x_BPC - x_BPC.mean(1, keepdim=True)
    variance_B1C = centred_BPC.square().mean(1, keepdim=True)
    return centred_BPC * torch.rsqrt(variance_B1C + eps)


class PixelWordAttention(nn.Module):
    """PWAM: cross-attention of pixels (queries) to words (keys, values), multiplied into the pixels' features.

    The biases of `query` and `output` have no effect (an instance norm follows) but exist in published checkpoints.
    """

    def __init__(self, width: int, language_width: int, *, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.visual = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(language_width, width)
        self.value = nn.Linear(language_width, width)
        self.output = nn.Linear(width, width)
        self.joint = nn.Linear(width, width)

    def forward(self, visual_BPC: Tensor, language_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """Fused features F (B, P, C); `mask_BT` is 1 on real word pieces."""
        attended_BPC = self.attend(visual_BPC, language_BTL, mask_BT)
        return F.gelu(self.joint(F.gelu(self.visual(visual_BPC)) * attended_BPC))

    def attend(self, visual_BPC: Tensor, language_BTL: Tensor, mask_BT: Tensor) -> Tensor:
        """L' (B, P, C): attention of every pixel over the words, projected and instance-normalised."""
        words_BT1 = mask_BT[..., None].to(language_BTL.dtype)
        query = self.split(self.queries(visual_BPC))
        key, value = self.split(self.key(language_BTL) * words_BT1), self.split(self.value(language_BTL) * words_BT1)
        # scaled by the full width, also with several heads
        scores = query @ key.transpose(-1, -2) * visual_BPC.shape[-1] ** -0.5
        scores = scores.float() + (1e4 * mask_BT.float() - 1e4)[:, None, None]
        mixed = scores.softmax(-1).to(value.dtype) @ value
        return instance_norm(self.output(mixed.transpose(1, 2).flatten(2)))

    def queries(self, visual_BPC: Tensor) -> Tensor:
        """Q (B, P, C): instance-normalised queries of the pixels."""
        return instance_norm(self.query(visual_BPC))

    def split(self, x_BNC: Tensor) -> Tensor:
        """Channels by head: (B, N, C) to (B, h, N, C / h)."""
        batch, length, _ = x_BNC.shape
        return x_BNC.view(batch, length, self.heads, -1).transpose(1, 2)


class LanguageGate(nn.Module):
    """Language gate G = tanh(W2 relu(W1 F)), both without bias: how much of F enters the next stage of the backbone.

    Initialised at std 0.02 like every linear layer of the backbone: two zero matrices would never get a gradient.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width, bias=False)
        self.outer = nn.Linear(width, width, bias=False)
        initialise(self)

    def forward(self, visual: Tensor, fused: Tensor) -> Tensor:
        """E = V + G * F, of the shape of both."""
        return visual + torch.tanh(self.outer(F.relu(self.inner(fused)))) * fused
