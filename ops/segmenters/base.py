"""What every segmenter shares: words go through a language encoder, and the vision half hears its states.

Shapes: B samples, I images, H x W pixels, T tokens, L width of the language features.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ops.backbones.language import LanguageEncoder
from ops.backbones.swin import SwinConfig


@dataclass(frozen=True, kw_only=True)
class HearingConfig:
    """The sizes of Swin, the language encoder and their inputs; the defaults are those of LAVT's paper."""

    embed_dim: int = 128
    """Width of Swin's first stage."""
    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 12
    drop_path: float = 0.3
    language_width: int = 768
    image_size: int = 480
    """Side of the square that images are squashed to, in pixels."""
    max_tokens: int = 20
    freeze_backbone: bool = False
    """Whether Swin stays as it was pretrained [C: MERES spec 10]; it then drops no path either."""

    @property
    def swin(self) -> SwinConfig:
        """The trunk's share of the sizes."""
        return SwinConfig(
            embed_dim=self.embed_dim,
            depths=self.depths,
            heads=self.heads,
            window=self.window,
            drop_path=self.drop_path,
        )


class HearingSegmenter(nn.Module):
    """A vision half and its language encoder, which stays in eval mode (no dropout) even while it is trained.

    That is the authors' way with LAVT (S+S+C spec 4.4); a sentence then always has the same features. Whoever extends
    it decides which parameters of the encoder learn.
    """

    def __init__(self, config: Any, vision: Any, language: LanguageEncoder) -> None:
        """Join the halves.

        Args:
            config: a `HearingConfig`, with the `language_width` that the encoder must have.
            vision: the vision half, a module that has its trunk as `swin`.
            language: the encoder; its network is registered under its name, by which saved weights tell it.

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
        """Switch the vision half; the language encoder and a frozen trunk never leave eval mode."""
        super().train(mode)
        self.language.model.eval()
        if self.config.freeze_backbone:
            self.vision.swin.eval()
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.vision.parameters()).device

    def encode(self, token_ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """States of the tokens (B, L, T), the sentence's own first, see `ops.backbones.language`."""
        return self.language.states(token_ids_BT, mask_BT).transpose(1, 2)

    def forward(
        self, images_I3HW: Tensor, token_ids_BT: Tensor, mask_BT: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """What the vision half gives, logits (B, 2, H, W) at least, at the size of the images."""
        language_BLT = self.encode(token_ids_BT, mask_BT)
        return self.vision(images_I3HW, language_BLT, mask_BT[:, None], image_of_B=image_of_B)
