"""Bilateral prompt: attention between pixels and texts in both directions (TRIS spec 2.3, paper Eq. 3-5).

Each direction is a single-head attention and has its own switch (the ablation of paper Table 3). The softmax axes and
the pairing follow the authors' code, since the paper's formulas and shapes disagree with each other.
Shapes: B images, N texts (or 1 in place of B where all images share the texts), C channels, H x W cells, P = H * W.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHARE = 0.1
"""Alpha and beta: weight of a prompt that is added (spec 2.3)."""


class InstanceNorm(nn.InstanceNorm2d):
    """Affine instance norm, which uses each image's own statistics also in eval mode.

    On CPUs torch 2.11 computes wrong gradients of a single image where those that reach it lie channels last, as the
    convolutions' do; here they are laid out anew.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=True)

    def forward(self, map_BCHW: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        normed_BCHW = super().forward(map_BCHW)
        if self.training and normed_BCHW.requires_grad:
            normed_BCHW.register_hook(Tensor.contiguous)
        return normed_BCHW


def pixel_layer(width: int) -> nn.Sequential:
    """1x1 convolution and instance norm."""
    return nn.Sequential(nn.Conv2d(width, width, 1), InstanceNorm(width))


class LanguageToVision(nn.Module):
    """V': attention of pixels (queries) to texts (keys, values).

    With a single text the attention is 1 everywhere, the result is constant over the image and the instance norm
    removes it: V' is then the norm's bias, for every image and text.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = pixel_layer(width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = pixel_layer(width)

    def attention(self, pixels_BCHW: Tensor, texts_BNC: Tensor, among_BN: Tensor | None = None) -> Tensor:
        """A_v, (B, P, N): softmax over texts, or over those of each image where `among_BN` is True."""
        query_BPC = F.relu(self.query(pixels_BCHW)).flatten(2).mT
        key_BCN = F.relu(self.key(texts_BNC)).mT
        logits_BPN = query_BPC @ key_BCN * key_BCN.shape[1] ** -0.5
        if among_BN is not None:
            logits_BPN = logits_BPN.masked_fill(~among_BN[:, None], -torch.inf)
        return logits_BPN.softmax(-1)

    def forward(self, pixels_BCHW: Tensor, texts_BNC: Tensor, among_BN: Tensor | None = None) -> Tensor:
        """V', (B, C, H, W); `among_BN` as in `attention`."""
        mixed_BPC = self.attention(pixels_BCHW, texts_BNC, among_BN) @ F.relu(self.value(texts_BNC))
        return self.output(mixed_BPC.mT.reshape(pixels_BCHW.shape))


class VisionToLanguage(nn.Module):
    """L': attention of texts (queries) to pixels (keys, values)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = pixel_layer(width)
        self.value = pixel_layer(width)
        self.output = nn.Linear(width, width)

    def attention(self, pixels_BCHW: Tensor, texts_BNC: Tensor) -> Tensor:
        """A_t, (B, N, P): softmax over pixels."""
        query_BNC = F.relu(self.query(texts_BNC))
        key_BCP = F.relu(self.key(pixels_BCHW)).flatten(2)
        return (query_BNC @ key_BCP * key_BCP.shape[1] ** -0.5).softmax(-1)

    def forward(self, pixels_BCHW: Tensor, texts_BNC: Tensor) -> Tensor:
        """L', (B, N, C)."""
        value_BPC = F.relu(self.value(pixels_BCHW)).flatten(2).mT
        return self.output(self.attention(pixels_BCHW, texts_BNC) @ value_BPC)


class BilateralPrompt(nn.Module):
    """Adds 0.1 V' to pixels and 0.1 L' to texts; a direction that is switched off has no parameters."""

    def __init__(self, width: int, *, language_to_vision: bool = True, vision_to_language: bool = True) -> None:
        super().__init__()
        self.to_vision = LanguageToVision(width) if language_to_vision else None
        self.to_language = VisionToLanguage(width) if vision_to_language else None

    def forward(self, pixels_BCHW: Tensor, texts_BNC: Tensor, among_BN: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Prompted pixels (B, C, H, W) and texts (B, N, C); not of unit length.

        `among_BN` is True on the texts that an image's pixels look at; None: all. A text looks at pixels alone.
        """
        prompted_BCHW, prompted_BNC = pixels_BCHW, texts_BNC
        if self.to_vision is not None:
            prompted_BCHW = pixels_BCHW + SHARE * self.to_vision(pixels_BCHW, texts_BNC, among_BN)
        if self.to_language is not None:
            prompted_BNC = texts_BNC + SHARE * self.to_language(pixels_BCHW, texts_BNC)
        return prompted_BCHW, prompted_BNC
