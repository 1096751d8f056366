"""Masks for the sentences of an image from a trained segmenter.

Shapes: S sentences, T word pieces, h x w pixels at the model's size, H x W at the image's own size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.meres.model import Meres
from ops.segmenters.lavt import Lavt
from ops.segmenters.lavt_decoder import upsample

Segmenter = Lavt | Meres
"""Any network that is trained here and called alike."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Foreground masks of every sentence of one image, bool on the CPU.

    Both come from the logits at a quarter of the model's size, enlarged bilinearly with aligned corners and then
    compared (arg-max of background and foreground; a tie is background).
    """

    model_size_Shw: Tensor
    """Arg-max at the model's square size: what the papers score."""
    original_size_SHW: Tensor
    """Arg-max of the logits enlarged to the image's own height and width."""


@torch.inference_mode()
def predict(
    model: Segmenter,
    image_3hw: Tensor,
    *,
    token_ids_ST: Tensor,
    token_mask_ST: Tensor,
    original_size: tuple[int, int],
    bf16: bool = False,
    sentences_at_once: int = 32,
) -> Prediction:
    """Segment what each sentence of one image refers to.

    `original_size` is (height, width) of the image before it was squashed; the rest is as in `quarter_logits`.
    """
    at_model_size, at_original_size = [], []
    for quarter_S2hw in quarter_logits(
        model,
        image_3hw,
        token_ids_ST=token_ids_ST,
        token_mask_ST=token_mask_ST,
        bf16=bf16,
        sentences_at_once=sentences_at_once,
    ):
        at_model_size.append(foreground(upsample(quarter_S2hw, image_3hw.shape[-2:])))
        at_original_size.append(foreground(upsample(quarter_S2hw, original_size)))
    return Prediction(model_size_Shw=torch.cat(at_model_size), original_size_SHW=torch.cat(at_original_size))


@torch.inference_mode()
def quarter_logits(
    model: Segmenter,
    image_3hw: Tensor,
    *,
    token_ids_ST: Tensor,
    token_mask_ST: Tensor,
    bf16: bool = False,
    sentences_at_once: int = 32,
) -> Iterator[Tensor]:
    """Logits (S', 2, h / 4, w / 4) in float32, for so many sentences of one image at a time.

    What of a network hears no language runs once per chunk of sentences.

    Args:
        model: is switched to eval mode.
        image_3hw: uint8 RGB, squashed to the model's square size.
        token_ids_ST: word pieces of all sentences.
        token_mask_ST: 1 on real word pieces.
        bf16: compute in bfloat16 autocast.
        sentences_at_once: bounds the memory; the masks hardly depend on it (rounding).
    """
    model.eval()
    image_13hw = image_3hw[None].to(model.device)
    for ids_ST, mask_ST in zip(
        token_ids_ST.to(model.device).split(sentences_at_once),
        token_mask_ST.to(model.device).split(sentences_at_once),
        strict=True,
    ):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            language_SLT = model.encode(ids_ST, mask_ST)
            image_of_S = torch.zeros(len(ids_ST), dtype=torch.long, device=model.device)
            quarter = model.vision.quarter_logits(image_13hw, language_SLT, mask_ST[:, None], image_of_B=image_of_S)
        yield quarter.float()


def foreground(logits_B2HW: Tensor) -> Tensor:
    """(B, H, W) bool on the CPU: where the foreground logit is the larger one."""
    return (logits_B2HW[:, 1] > logits_B2HW[:, 0]).cpu()


def chances(quarter_S2hw: Tensor, size: tuple[int, int]) -> Tensor:
    """(S, H, W) probabilities of the foreground at a size, from logits enlarged as `predict` does."""
    return upsample(quarter_S2hw, size).softmax(1)[:, 1]
