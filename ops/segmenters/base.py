"""Base class of referring segmenters: a language encoder, and a vision network conditioned on its hidden states.

Shapes: B samples, I images, H x W pixels, T tokens, L width of the language features.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ops.backbones.language import LanguageEncoder
from ops.backbones.swin import SwinConfig


@dataclass(frozen=True, kw_only=True)
class ReferringConfig:
    """Sizes of Swin, of the language encoder and of their inputs; the defaults are those of LAVT's paper."""

    embed_dim: int = 128
    """Width of Swin's first stage."""
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 12
    drop_path: float = 0.3
    language_width: int = 768
    image_size: int = 480
    """Side of the square that images are resized to, in pixels; the aspect ratio is not kept."""
    max_tokens: int = 20
    freeze_backbone: bool = False
    """Whether Swin keeps its pretrained weights [O: MERES spec 10]; it then has no stochastic depth either."""

    @property
    def swin(self) -> SwinConfig:
        """Sizes of the backbone."""
        return SwinConfig(
            embed_dim=self.embed_dim,
            depths=self.depths,
            heads=self.heads,
            window=self.window,
            drop_path=self.drop_path,
        )


class ReferringSegmenter(nn.Module):
    """A vision network and a language encoder, which stays in eval mode (no dropout) also in training.

    So do the authors of LAVT (S+S+C spec 4.4); an expression then always has the same features. Subclasses decide which
    parameters of the encoder are trained.
    """

    def __init__(self, config: Any, vision: Any, language: LanguageEncoder) -> None:
        """Compose a segmenter.

        Args:
            config: a `ReferringConfig`; its `language_width` must be that of the encoder.
            vision: the vision network, a module whose backbone is its attribute `swin`.
            language: the encoder; its network is registered under its name, the prefix of its parameters.

        Raises:
            ValueError: the encoder has another width.
        """
        super().__init__()
        if language.width != config.language_width:
            raise ValueError(
                f"this {language.name} is {language.width} wide, the config expects "
                f"language_width={config.language_width}"
            )
        self.config = config
        self.vision = vision
        self.language = language
        self.add_module(language.name, language.model)
        language.model.eval()
        if config.freeze_backbone:
            vision.swin.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the vision network; the language encoder and a frozen backbone stay in eval mode."""
        super().train(mode)
        self.language.model.eval()
        if self.config.freeze_backbone:
            self.vision.swin.eval()
        return self

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next(self.vision.parameters()).device

    def encode(self, token_ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Hidden states (B, L, T), that of the whole expression first, see `ops.backbones.language`."""
        return self.language.states(token_ids_BT, mask_BT).transpose(1, 2)

    def forward(
        self, images_I3HW: Tensor, token_ids_BT: Tensor, mask_BT: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """Output of the vision network at the size of the images: its first two channels are logits (B, 2, H, W)."""
        language_BLT = self.encode(token_ids_BT, mask_BT)
        return self.vision(images_I3HW, language_BLT, mask_BT[:, None], image_of_B=image_of_B)
