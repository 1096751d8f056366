"""SAM from segment_anything: masks for boxes, in boxes, or for everything in an image (S+S+C specs 2.6, 2.10, 3.6).

The embedded model is built from the package's own classes, only smaller; the published ones come from the package's
registry and a local checkpoint. Both run through the same `Segmenter`.

Shapes: N boxes, H x W pixels of the image as given. Every mask comes back at that resolution.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.utils.transforms import ResizeLongestSide

from ops.refusal import Refused
from ops.ssc.detections import isolated_window, point_grid, window_of
from resources.embedded.cards import load_embedded
from resources.models.refs import EMBEDDED, ModelRef
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


@dataclass(frozen=True, kw_only=True)
class EverythingSettings:
    """How SAM searches where nothing is prompted; the defaults are those of `SamAutomaticMaskGenerator`."""

    points_per_side: int = 32
    """Of the whole image, in `Segmenter.automatic`."""
    points_per_box_side: int = 8
    """In `Segmenter.inside`; each box costs an encoding and this many points squared."""
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95


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


@dataclass
class Segmenter:
    """A Sam with its prompts in pixels of the original image.

    Attributes:
        sam: the model, in evaluation mode, on its device.
        everything: settings of `automatic`.
        passes: image encodings so far, what a run pays for.
    """

    sam: Sam
    everything: EverythingSettings = field(default_factory=EverythingSettings)
    passes: int = 0

    def segment(
        self, image_HW3: npt.NDArray[np.uint8], boxes_N4: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Three masks for every box: one encoding of the image, one call of the decoder.

        Args:
            image_HW3: RGB, uint8.
            boxes_N4: x0, y0, x1, y1 in pixels; N may be 0, which costs nothing.

        Returns:
            masks_N3HW (logits at the original size > 0) and scores_N3, the IoU that the model predicts of each.

        Raises:
            ValueError: the image is not HW3 uint8, or the boxes are not N x 4.
        """
        self._require_image(image_HW3)
        boxes_N4 = np.asarray(boxes_N4, dtype=np.float32)
        if boxes_N4.ndim != 2 or boxes_N4.shape[1] != 4:
            raise ValueError(f"boxes must be N x 4 (x0, y0, x1, y1), not {boxes_N4.shape}")
        if len(boxes_N4) == 0:
            return np.zeros((0, 3, *image_HW3.shape[:2]), dtype=bool), np.zeros((0, 3), dtype=np.float32)
        predictor = SamPredictor(self.sam)
        predictor.transform = _AtLeastOnePixel(self.sam.image_encoder.img_size)
        predictor.set_image(image_HW3)
        self.passes += 1
        boxes = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes_N4), image_HW3.shape[:2])
        masks_N3HW, scores_N3, _ = predictor.predict_torch(
            point_coords=None, point_labels=None, boxes=boxes.to(self.sam.device), multimask_output=True
        )
        return masks_N3HW.cpu().numpy(), scores_N3.float().cpu().numpy()

    def automatic(self, image_HW3: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Masks of everything in the image, by the package's `SamAutomaticMaskGenerator` (spec 3.6, "SAM + Select").

        Returns:
            masks_NHW and scores_N (predicted IoU), best first; N may be 0.

        Raises:
            ValueError: the image is not HW3 uint8.
        """
        return self._generate(image_HW3, points_per_side=self.everything.points_per_side)

    def inside(
        self, image_HW3: npt.NDArray[np.uint8], boxes_N4: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """The best of the automatic masks that SAM finds in each box when the rest of the image is blank (spec 2.10).

        The crop keeps its place and scale, on the colour of its own border: enlarged to SAM's input, small objects look
        like nothing it was trained on.

        Args:
            image_HW3: RGB, uint8.
            boxes_N4: x0, y0, x1, y1 in pixels.

        Returns:
            masks_NHW, none of which leaves its box, and scores_N (predicted IoU). Where SAM finds nothing, the mask is
            empty and its score 0.

        Raises:
            ValueError: the image is not HW3 uint8.
        """
        height, width = image_HW3.shape[:2]
        masks_NHW, scores_N = np.zeros((len(boxes_N4), height, width), dtype=bool), np.zeros(len(boxes_N4), np.float32)
        side = self.everything.points_per_box_side
        for row, box in enumerate(boxes_N4):
            place = window_of(box, height=height, width=width)
            grid = point_grid(place, side=side, height=height, width=width)
            found_MHW, scores_M = self._generate(
                isolated_window(image_HW3, place), points_per_side=None, point_grids=[grid]
            )
            best = next((index for index, mask_HW in enumerate(found_MHW) if mask_HW[place].any()), None)
            if best is not None:
                masks_NHW[row][place], scores_N[row] = found_MHW[best][place], scores_M[best]
        return masks_NHW, scores_N

    def _generate(
        self, image_HW3: npt.NDArray[np.uint8], **points: Any
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        self._require_image(image_HW3)
        self.passes += 1
        thresholds = {name: getattr(self.everything, name) for name in ("pred_iou_thresh", "stability_score_thresh")}
        generator = SamAutomaticMaskGenerator(self.sam, **thresholds, **points)
        generator.predictor.transform = _AtLeastOnePixel(self.sam.image_encoder.img_size)
        records = generator.generate(image_HW3)
        records.sort(key=lambda record: -record["predicted_iou"])
        masks_NHW = np.zeros((len(records), *image_HW3.shape[:2]), dtype=bool)
        for mask_HW, record in zip(masks_NHW, records, strict=True):
            mask_HW[:] = record["segmentation"]
        return masks_NHW, np.array([record["predicted_iou"] for record in records], dtype=np.float32)

    def _require_image(self, image_HW3: npt.NDArray[np.uint8]) -> None:
        if image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.dtype != np.uint8:
            raise ValueError(f"an RGB image, H x W x 3 uint8, is expected, not {image_HW3.shape} {image_HW3.dtype}")


def load_segmenter(
    name: str = EMBEDDED,
    *,
    checkpoint: Path | None = None,
    device: torch.device | str = "cpu",
    random_weights: bool = False,
) -> Segmenter:
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
        return Segmenter(sam.to(device), everything=EMBEDDED_EVERYTHING)
    if name not in FULL_SIZES:
        raise Refused(f"unknown segmenter {name!r}: choose 'embedded' or one of {FULL_SIZES}")
    if checkpoint is None and not random_weights:
        raise Refused(f"{name} needs its checkpoint, a local file such as sam_{name}_*.pth: set its path")
    weights = read_torch(checkpoint) if checkpoint else {}  # a wrong file is found before a large network is built
    sam = sam_model_registry[name]()
    if checkpoint is not None:
        load_strictly(sam, weights, source=checkpoint)
    return Segmenter(sam.to(device).eval())
