"""Response model, TRIS Step 1: responses of the cells of images to texts (spec 2.1-2.4, paper Eq. 1-6).

Shapes: B images, N texts, D channels of the encoders, C channels of the common space, h x w cells, P = h * w,
H x W pixels, T tokens, M (image, expression) pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.backbones.clip_text import text_features
from ops.images import normalise
from ops.tris.decoder import upsample_unaligned
from ops.tris.image_towers import Tower, coarsest_alone, maps_of, widths_of, without_images
from ops.tris.parameter_groups import optimizer_groups
from ops.tris.prompt import BilateralPrompt
from ops.tris.tokens import MAX_TOKENS

if TYPE_CHECKING:
    from open_clip import CLIP


@dataclass(frozen=True, kw_only=True)
class ResponseConfig:
    """Sizes and switches of Step 1; the defaults are the paper's."""

    width: int = 1024
    """C; the paper also tries 128 to 2048."""
    language_to_vision: bool = True
    vision_to_language: bool = True
    """The two directions of the bilateral prompt (paper Table 3)."""
    learn_tau: bool = False
    """The paper's temperature is learnt; in the authors' code it stays at 1 / 0.07 (spec 2.4)."""
    image_size: int = 320
    """Side of the square that images are resized to, in pixels."""
    max_tokens: int = MAX_TOKENS


class ResponseHead(nn.Module):
    """Projections to the common space, normalisation, bilateral prompt, scaled dot products."""

    def __init__(self, visual_width: int, text_width: int, config: ResponseConfig) -> None:
        super().__init__()
        self.visual = nn.Conv2d(visual_width, config.width, 1)
        self.text = nn.Linear(text_width, config.width)
        self.prompt = BilateralPrompt(
            config.width,
            language_to_vision=config.language_to_vision,
            vision_to_language=config.vision_to_language,
        )
        self.tau = nn.Parameter(torch.tensor(math.log(1 / 0.07)), requires_grad=config.learn_tau)

    def forward(self, map_BDhw: Tensor, texts: Tensor, among_BN: Tensor | None = None) -> Tensor:
        """Responses (B, N, h, w), scaled by exp(tau) and not clamped.

        Args:
            map_BDhw: the coarsest map of the images.
            texts: features (N, D) that every image is compared with, or (B, N, D) for each image its own.
            among_BN: texts that the pixels of an image look at, see `BilateralPrompt`.
        """
        pixels_BChw, texts_BNC = self.embed(map_BDhw, texts)
        pixels_BChw, texts_BNC = self.prompt(pixels_BChw, texts_BNC, among_BN)
        return self.tau.exp() * torch.einsum("bnc,bchw->bnhw", texts_BNC.expand(len(pixels_BChw), -1, -1), pixels_BChw)

    def embed(self, map_BDhw: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings V (B, C, h, w) and L (B or 1, N, C), both of unit length over channels."""
        pixels_BChw, texts_BNC = self.visual(map_BDhw), self.text(texts if texts.ndim == 3 else texts[None])
        return pixels_BChw / pixels_BChw.norm(dim=1, keepdim=True), texts_BNC / texts_BNC.norm(dim=-1, keepdim=True)


class ResponseModel(nn.Module):
    """CLIP's ResNet and text tower, both trained, under a `ResponseHead`."""

    def __init__(self, config: ResponseConfig, clip: CLIP, tower: Tower | None = None) -> None:
        """`clip` becomes part of the model, whose head has its widths; a `tower` takes the place of its ResNet."""
        super().__init__()
        self.config = config
        self.clip, self.tower = clip, tower
        self.head = ResponseHead(widths_of(clip, tower)[-1], clip.text_projection.shape[1], config)
        if tower is not None:
            without_images(clip)
            coarsest_alone(tower)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.head.tau.device

    def encode_images(self, images_B3HW: Tensor) -> Tensor:
        """c4 (B, D, h, w) of uint8 RGB images or of normalised floats (spec 1.4)."""
        if not images_B3HW.is_floating_point():
            images_B3HW = normalise(images_B3HW)
        return maps_of(self.clip, self.tower, images_B3HW)[-1]

    def encode_texts(self, ids_NT: Tensor) -> Tensor:
        """Text features (N, D)."""
        return text_features(self.clip, ids_NT)

    def forward(
        self,
        images_B3HW: Tensor,
        ids_NT: Tensor,
        among_BN: Tensor | None = None,
        gather: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Responses (B, N, h, w) of every image to every text.

        By the bilateral prompt they depend on all texts (spec 2.3), or on those of `among_BN`: for training. For
        evaluation see `respond`. Where several processes share a batch, `gather` makes the features of the whole
        batch's N texts of those that are encoded here.
        """
        texts_ND = self.encode_texts(ids_NT)
        return self.head(self.encode_images(images_B3HW), gather(texts_ND) if gather else texts_ND, among_BN)

    def optimizer_groups(self, *, weight_decay: float = 0.01, pretrained_rate: float = 0.1) -> list[dict[str, Any]]:
        """CLIP and head, see `parameter_groups.optimizer_groups`; a fixed temperature is left out."""
        return optimizer_groups(
            self.clip,
            self.head.parameters(),
            tower=self.tower,
            weight_decay=weight_decay,
            pretrained_rate=pretrained_rate,
        )


def own_responses(response_BNhw: Tensor, own_B: Tensor | None = None) -> Tensor:
    """Each image's response to its own text, by default the diagonal: (B, 1, h, w)."""
    rows_B = torch.arange(len(response_BNhw), device=response_BNhw.device)
    return response_BNhw[rows_B, rows_B if own_B is None else own_B][:, None]


@torch.inference_mode()
def coarse_responses(model: ResponseModel, images_I3HW: Tensor, ids_MT: Tensor, *, image_of_M: Tensor) -> Tensor:
    """Responses of (image, expression) pairs at the size of the coarsest map, before upsampling and ReLU.

    The head has one text at a time, as in the authors' evaluation: further texts would change the response. The
    encoders have no such context, so that each image and each expression is encoded once.

    Args:
        model: is switched to eval mode.
        images_I3HW: uint8 RGB, resized to the model's square size, or normalised floats.
        ids_MT: tokens of each pair's expression.
        image_of_M: row of each pair's image.

    Returns:
        (M, h, w) on the model's device.
    """
    model.eval()
    maps_IDhw = model.encode_images(images_I3HW.to(model.device))
    texts_MD = model.encode_texts(ids_MT.to(model.device))
    return model.head(maps_IDhw[image_of_M.to(model.device)], texts_MD[:, None])[:, 0]


def upsampled_responses(response_Mhw: Tensor, size: Sequence[int]) -> Tensor:
    """Response maps (M, H, W) at the model's size: upsampled, then ReLU; neither bounded nor normalised."""
    return F.relu(upsample_unaligned(response_Mhw[:, None], size))[:, 0]


def respond(model: ResponseModel, images_I3HW: Tensor, ids_MT: Tensor, *, image_of_M: Tensor) -> Tensor:
    """Response maps (M, H, W) at the size of the images; arguments as in `coarse_responses`."""
    return upsampled_responses(
        coarse_responses(model, images_I3HW, ids_MT, image_of_M=image_of_M), images_I3HW.shape[-2:]
    )
