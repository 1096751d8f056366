"""Inference with a trained segmenter: masks of one image's expressions.

Shapes: S expressions, T word pieces, h x w pixels at the model's size, H x W at the image's own size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ops.meres.model import Meres
from ops.segmenters.lavt import Lavt
from ops.segmenters.lavt_decoder import upsample

Segmenter = Lavt | Meres
"""A referring segmenter with LAVT's interface."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Foreground masks of one image's expressions, bool on the CPU.

    Both are the arg-max of background and foreground (a tie is background) of the logits at a quarter of the model's
    size, upsampled bilinearly with aligned corners.
    """

    model_size_Shw: Tensor
    """At the model's square size, at which the papers evaluate."""
    original_size_SHW: Tensor
    """At the image's own height and width."""
    confidence_S: Tensor
    """Mean foreground probability of the pixels of the mask at the model's size; NaN where it has none."""


@torch.inference_mode()
def predict(
    model: Segmenter,
    image_3hw: Tensor,
    *,
    token_ids_ST: Tensor,
    token_mask_ST: Tensor,
    original_size: tuple[int, int],
    bf16: bool = False,
    expressions_at_once: int = 32,
) -> Prediction:
    """Segment the referent of each expression of one image.

    `original_size` is (height, width) of the image before it was resized to a square; the other arguments are those of
    `quarter_logits`.
    """
    at_model_size, at_original_size, sure = [], [], []
    for quarter_S2hw in quarter_logits(
        model,
        image_3hw,
        token_ids_ST=token_ids_ST,
        token_mask_ST=token_mask_ST,
        bf16=bf16,
        expressions_at_once=expressions_at_once,
    ):
        logits_S2hw = upsample(quarter_S2hw, image_3hw.shape[-2:])
        at_model_size.append(foreground_masks(logits_S2hw))
        sure.append(mean_inside(logits_S2hw.softmax(1)[:, 1].cpu(), at_model_size[-1]))
        at_original_size.append(foreground_masks(upsample(quarter_S2hw, original_size)))
    return Prediction(
        model_size_Shw=torch.cat(at_model_size),
        original_size_SHW=torch.cat(at_original_size),
        confidence_S=torch.cat(sure),
    )


def mean_inside(values_Shw: Tensor, masks_Shw: Tensor) -> Tensor:
    """Mean of values (S,) over the pixels of each mask; NaN for an empty one."""
    return (values_Shw * masks_Shw).sum((-2, -1)) / masks_Shw.sum((-2, -1))


@torch.inference_mode()
def quarter_logits(
    model: Segmenter,
    image_3hw: Tensor,
    *,
    token_ids_ST: Tensor,
    token_mask_ST: Tensor,
    bf16: bool = False,
    expressions_at_once: int = 32,
) -> Iterator[Tensor]:
    """Logits (S', 2, h / 4, w / 4) in float32 of S' of an image's expressions at a time.

    Layers that are not conditioned on the expression run once for each S' of them.

    Args:
        model: is switched to eval mode.
        image_3hw: uint8 RGB, resized to the model's square size.
        token_ids_ST: word pieces of all expressions.
        token_mask_ST: 1 on real word pieces.
        bf16: compute in bfloat16 autocast.
        expressions_at_once: S' at most; bounds the memory, and changes results by rounding only.
    """
    model.eval()
    image_13hw = image_3hw[None].to(model.device)
    for ids_ST, mask_ST in zip(
        token_ids_ST.to(model.device).split(expressions_at_once),
        token_mask_ST.to(model.device).split(expressions_at_once),
        strict=True,
    ):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            language_SLT = model.encode(ids_ST, mask_ST)
            image_of_S = torch.zeros(len(ids_ST), dtype=torch.long, device=model.device)
            quarter = model.vision.quarter_logits(image_13hw, language_SLT, mask_ST[:, None], image_of_B=image_of_S)
        yield quarter.float()


def foreground_masks(logits_B2HW: Tensor) -> Tensor:
    """Foreground masks (B, H, W), bool on the CPU: where the foreground logit exceeds that of the background."""
    return (logits_B2HW[:, 1] > logits_B2HW[:, 0]).cpu()


def foreground_probabilities(quarter_S2hw: Tensor, size: tuple[int, int]) -> Tensor:
    """Foreground probabilities (S, H, W) at a size, of logits upsampled as in `predict`."""
    return upsample(quarter_S2hw, size).softmax(1)[:, 1]
