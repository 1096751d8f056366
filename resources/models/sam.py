"""SAM from segment_anything, by which the papers' masks are made (S+S+C specs 2.6, 2.10, 3.6).

The embedded model is built from the package's own classes, only smaller; the published ones come from the package's
registry and a local checkpoint. Both run through the same `PackageSam`.

Shapes: N boxes, H x W pixels of the image as given. Every mask comes back at that resolution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.image_encoder import get_rel_pos
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional

from ops.refusal import Refused
from resources.embedded.cards import load_embedded
from resources.models.refs import EMBEDDED, ModelRef
from resources.models.segmentation import (
    BOXES_AT_ONCE,
    Boxes,
    EverythingSettings,
    Image,
    Masks,
    MaskSearch,
    no_masks,
    require_boxes,
    require_image,
)
from resources.models.weights import building, load_strictly, read_torch

FULL_SIZES = ("vit_h", "vit_l", "vit_b")
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, kw_only=True)
class SamShape:
    """The numbers that make a small Sam; the defaults are those of the embedded model."""

    image_size: int = 160
    patch_size: int = 8
    encoder_width: int = 96
    encoder_depth: int = 4
    encoder_heads: int = 4
    window: int = 5
    global_blocks: tuple[int, ...] = (1, 3)
    prompt_width: int = 64
    decoder_depth: int = 2
    decoder_heads: int = 4
    decoder_mlp: int = 128
    mask_channels: int = 16
    iou_hidden: int = 64

    @classmethod
    def from_card(cls, architecture: Mapping[str, Any]) -> "SamShape":
        """Read back what `dataclasses.asdict` wrote into a card."""
        return cls(**{**architecture, "global_blocks": tuple(architecture["global_blocks"])})


EMBEDDED_EVERYTHING = EverythingSettings(
    points_per_side=12, points_per_box_side=4, pred_iou_thresh=0.6, stability_score_thresh=0.7
)
"""Scaled to an image of 160 pixels and to the logits of a small decoder."""


def build_small_sam(shape: SamShape) -> Sam:
    """A Sam of the package's own classes in the given shape, with random weights, in evaluation mode."""
    grid = shape.image_size // shape.patch_size
    sam = Sam(
        image_encoder=ImageEncoderViT(
            img_size=shape.image_size,
            patch_size=shape.patch_size,
            embed_dim=shape.encoder_width,
            depth=shape.encoder_depth,
            num_heads=shape.encoder_heads,
            mlp_ratio=4,
            out_chans=shape.prompt_width,
            use_rel_pos=False,
            window_size=shape.window,
            global_attn_indexes=shape.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=shape.prompt_width,
            image_embedding_size=(grid, grid),
            input_image_size=(shape.image_size, shape.image_size),
            mask_in_chans=shape.mask_channels,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=shape.prompt_width,
            transformer=TwoWayTransformer(
                depth=shape.decoder_depth,
                embedding_dim=shape.prompt_width,
                mlp_dim=shape.decoder_mlp,
                num_heads=shape.decoder_heads,
            ),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=shape.iou_hidden,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    )
    # The package leaves the position embedding at zero, since its checkpoints fill it.
    torch.nn.init.trunc_normal_(sam.image_encoder.pos_embed, std=0.02)
    return sam.eval()


class _AtLeastOnePixel(ResizeLongestSide):
    """The package's resizing, by which the shorter side of a thin image would vanish."""

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        height, width = ResizeLongestSide.get_preprocess_shape(oldh, oldw, long_side_length)
        return max(height, 1), max(width, 1)


def fuse_attention(sam: Sam) -> None:
    """Let a published SAM attend by torch's fused kernels: the package keeps every score matrix in memory.

    At 1024 pixels a global block has 4096 tokens, whose scores take 1 GB in float32 with 16 heads. The embedded model
    stays as it was, to the last bit.
    """
    for block in sam.image_encoder.blocks:
        block.attn.forward = partial(_fused_attention, block.attn)


def _fused_attention(attention: Any, x_BHWD: Tensor) -> Tensor:
    """What `segment_anything`'s `Attention.forward` gives, within rounding."""
    count, height, width, _ = x_BHWD.shape
    qkv_3BKLD = attention.qkv(x_BHWD).reshape(count, height * width, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    queries, keys, values = qkv_3BKLD.unbind(0)
    bias = _relative_positions(attention, queries, (height, width)) if attention.use_rel_pos else None
    mixed_BKLD = functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=None if bias is None else bias.to(queries.dtype), scale=attention.scale
    )
    return attention.proj(mixed_BKLD.transpose(1, 2).reshape(count, height, width, -1))


def _relative_positions(attention: Any, queries_BKLD: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, K, L, L): what rows and columns between two tokens add to their score."""
    height, width = grid
    rows_HHD = get_rel_pos(height, height, attention.rel_pos_h)
    columns_WWD = get_rel_pos(width, width, attention.rel_pos_w)
    queries_BKHWD = queries_BKLD.unflatten(2, grid)
    by_row = torch.einsum("bkhwd,hgd->bkhwg", queries_BKHWD, rows_HHD)
    by_column = torch.einsum("bkhwd,wgd->bkhwg", queries_BKHWD, columns_WWD)
    return (by_row[..., :, None] + by_column[..., None, :]).flatten(4).flatten(2, 3)


@dataclass
class PackageSam(MaskSearch):
    """A Sam of segment_anything with its prompts in pixels of the original image.

    Attributes:
        sam: the model, in evaluation mode, on its device.
        everything: settings of `automatic`.
        boxes_at_once: prompts of one call of the decoder; 0: all.
        passes: image encodings so far, what a run pays for.
    """

    sam: Sam
    everything: EverythingSettings = field(default_factory=EverythingSettings)
    boxes_at_once: int = 0
    passes: int = 0

    def segment(self, image_HW3: Image, boxes_N4: Boxes) -> Masks:
        """As `Segmenter.segment`: one encoding of the image, one call of the decoder, three masks for every box."""
        require_image(image_HW3)
        boxes_N4 = require_boxes(boxes_N4)
        if len(boxes_N4) == 0:
            return no_masks(image_HW3)
        predictor = self._predictor()
        predictor.set_image(image_HW3)
        self.passes += 1
        return self._decode(predictor, boxes_N4)

    @torch.inference_mode()
    def segment_batch(self, images: Sequence[Image], boxes: Sequence[Boxes]) -> list[Masks]:
        """As `Segmenter.segment_batch`: one pass of the encoder for all images that have a box."""
        wanted = [row for row, boxes_N4 in enumerate(boxes) if len(boxes_N4)]
        if len(wanted) < 2:
            return [self.segment(image, boxes_N4) for image, boxes_N4 in zip(images, boxes, strict=True)]
        predictors = [self._prepared(images[row]) for row in wanted]
        inputs_B3SS = torch.cat([self.sam.preprocess(input_13HW) for _, input_13HW in predictors])
        self.passes += len(wanted)
        features_BDhw = self.sam.image_encoder(inputs_B3SS).split(1)
        found = {}
        for row, (predictor, _), features_1Dhw in zip(wanted, predictors, features_BDhw, strict=True):
            predictor.features, predictor.is_image_set = features_1Dhw, True
            found[row] = self._decode(predictor, require_boxes(boxes[row]))
        return [found.get(row) or no_masks(image) for row, image in enumerate(images)]

    def _predictor(self) -> SamPredictor:
        predictor = SamPredictor(self.sam)
        predictor.transform = _AtLeastOnePixel(self.sam.image_encoder.img_size)
        return predictor

    def _prepared(self, image_HW3: Image) -> tuple[SamPredictor, Tensor]:
        """A predictor that knows the sizes of an image, and the image as the encoder's longest side wants it."""
        require_image(image_HW3)
        predictor = self._predictor()
        resized_HW3 = predictor.transform.apply_image(image_HW3)
        predictor.original_size, predictor.input_size = image_HW3.shape[:2], resized_HW3.shape[:2]
        input_3HW = torch.as_tensor(resized_HW3, device=self.sam.device).permute(2, 0, 1).contiguous()
        return predictor, input_3HW[None]

    def _decode(self, predictor: SamPredictor, boxes_N4: Boxes) -> Masks:
        """Masks of boxes in the image that a predictor holds."""
        boxes = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes_N4), predictor.original_size)
        parts = [
            predictor.predict_torch(
                point_coords=None, point_labels=None, boxes=part.to(self.sam.device), multimask_output=True
            )
            for part in boxes.split(self.boxes_at_once or len(boxes))
        ]
        masks_N3HW = torch.cat([masks.cpu() for masks, _, _ in parts])
        return masks_N3HW.numpy(), torch.cat([scores.float().cpu() for _, scores, _ in parts]).numpy()

    def _generator(self, **settings: Any) -> SamAutomaticMaskGenerator:
        generator = SamAutomaticMaskGenerator(self.sam, **settings)
        generator.predictor = self._predictor()
        return generator


def load_segmenter(
    name: str = EMBEDDED,
    *,
    checkpoint: Path | None = None,
    device: torch.device | str = "cpu",
    random_weights: bool = False,
) -> PackageSam:
    """Load a segmenter for use.

    Args:
        name: `"embedded"`, or `"vit_h"`, `"vit_l"`, `"vit_b"` (the published models).
        checkpoint: the local file of a published model, e.g. `sam_vit_h_4b8939.pth`; the folder of an embedded one,
            None: the one that ships. Nothing is ever downloaded.
        device: where the model runs.
        random_weights: build a published model without its checkpoint; only for tests of shapes and speed.

    Raises:
        Refused: unknown name, no checkpoint for a published model, or one whose keys do not match exactly.
    """
    ref = ModelRef("segmenter", name)
    if ref.is_embedded:
        folder = checkpoint or ref.path()
        state, card = load_embedded(folder)
        with building(folder):
            sam = build_small_sam(SamShape.from_card(card["architecture"]))
        load_strictly(sam, state, source=folder)
        return PackageSam(sam.to(device), everything=EMBEDDED_EVERYTHING)
    if name not in FULL_SIZES:
        raise Refused(f"unknown segmenter {name!r}: choose 'embedded' or one of {FULL_SIZES}")
    if checkpoint is None and not random_weights:
        raise Refused(f"{name} needs its checkpoint, a local file such as sam_{name}_*.pth: set its path")
    weights = read_torch(checkpoint) if checkpoint else {}  # a wrong file is found before a large network is built
    sam = sam_model_registry[name]()
    if checkpoint is not None:
        load_strictly(sam, weights, source=checkpoint)
    fuse_attention(sam)
    return PackageSam(sam.to(device).eval(), boxes_at_once=BOXES_AT_ONCE)
