"""What every segmenter with a BERT shares: the words go through BERT, and the vision half hears its states.

Shapes: B samples, I images, H x W pixels, T word pieces, L width of the language features.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import BertModel

from ops.swin import SwinConfig


@dataclass(frozen=True, kw_only=True)
class HearingConfig:
    """The sizes of Swin, BERT and their inputs; the defaults are those of LAVT's paper."""

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
    """A vision half and its BERT, which stays in eval mode (no dropout) even while it is trained (S+S+C spec 4.4).

    Whoever extends it decides which parameters of BERT learn.
    """

    def __init__(self, config: Any, vision: nn.Module, bert: BertModel) -> None:
        """`config` has the `language_width` that BERT must have, and the model's `image_size`."""
        super().__init__()
        width = bert.config.hidden_size
        if width != config.language_width:
            raise ValueError(f"this BERT is {width} wide, the config expects language_width={config.language_width}")
        self.config = config
        self.vision = vision
        self.bert = bert
        bert.eval()

    def train(self, mode: bool = True) -> Self:
        """Switch the vision half; BERT never leaves eval mode."""
        super().train(mode)
        self.bert.eval()
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.vision.parameters()).device

    def encode(self, token_ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """BERT's last hidden states (B, L, T)."""
        states = self.bert(input_ids=token_ids_BT, attention_mask=mask_BT).last_hidden_state
        return states.transpose(1, 2)

    def forward(
        self, images_I3HW: Tensor, token_ids_BT: Tensor, mask_BT: Tensor, *, image_of_B: Tensor | None = None
    ) -> Tensor:
        """What the vision half gives, logits (B, 2, H, W) at least, at the size of the images."""
        language_BLT = self.encode(token_ids_BT, mask_BT)
        return self.vision(images_I3HW, language_BLT, mask_BT[:, None], image_of_B=image_of_B)
