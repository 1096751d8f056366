"""SAM, SAM-HQ, SAM 2 and EdgeTAM of transformers: the adapter of `Segmenter`.

An image is encoded once and its encoding prompted as often as wanted; images of any sizes are encoded together, since
each network has one input size. A mask of SAM-HQ is the sum of SAM's and of its finer one. Searching without prompts
is that of segment_anything, over the same encoding.

Shapes: B images, N prompts, H x W pixels of the original image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator
from torch import Tensor
from transformers import EdgeTamModel, Sam2Model, SamHQModel, SamModel

from resources.models.hub_kinds import EDGETAM, SAM, SAM_2, SAM_HQ, demand_served
from resources.models.pretrained_folder import demand_wide, read_image_processor, read_pretrained
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

CLASSES: Mapping[tuple[str, ...], Any] = {SAM: SamModel, SAM_HQ: SamHQModel, SAM_2: Sam2Model, EDGETAM: EdgeTamModel}
"""Values of `model_type` -> transformers' class."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """An image as the network sees it."""

    features: Mapping[str, Any]
    """Arguments of the network that stand for the image."""
    shape: tuple[int, int]
    """H, W of the original image."""
    inside: tuple[int, int]
    """Height and width of the image within the network's input."""

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the input for one of the original, along x and y."""
        return self.inside[1] / self.shape[1], self.inside[0] / self.shape[0]


@dataclass
class HubSam(MaskSearch):
    """A SAM in transformers' layout, with its prompts in pixels of the original image.

    Attributes:
        model: the network, in evaluation mode, on its device.
        processor: brings images to its input and masks back.
        everything: settings of `automatic`.
        passes: image encodings so far.
    """

    model: Any
    processor: Any
    everything: EverythingSettings = field(default_factory=EverythingSettings)
    passes: int = 0

    def segment(self, image_HW3: Image, boxes_N4: Boxes) -> Masks:
        """As `Segmenter.segment`."""
        return self.segment_batch([image_HW3], [boxes_N4])[0]

    def segment_batch(self, images: Sequence[Image], boxes: Sequence[Boxes]) -> list[Masks]:
        """As `Segmenter.segment_batch`; images without a box are not encoded."""
        asked = [require_boxes(boxes_N4) for boxes_N4 in boxes]
        wanted = [row for row, boxes_N4 in enumerate(asked) if len(boxes_N4)]
        encoded = dict(zip(wanted, self.encode([images[row] for row in wanted]), strict=True))
        self.passes += len(wanted)
        return [
            self.decode(encoded[row], boxes_N4) if row in encoded else no_masks(images[row])
            for row, boxes_N4 in enumerate(asked)
        ]

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """Encode images of any sizes in one pass.

        Raises:
            Refused: one is too narrow.
        """
        for image in images:
            require_image(image)
            demand_wide(image)
        if not images:
            return []
        prepared = self.processor(images=list(images), return_tensors="pt")
        inputs_B3HW = prepared["pixel_values"].to(self.model.device)
        whole = [inputs_B3HW.shape[-2:]] * len(images)
        inside = [(int(height), int(width)) for height, width in prepared.get("reshaped_input_sizes", whole)]
        features = _features(self.model, inputs_B3HW)
        return [
            Encoded(
                features={name: _row(value, row) for name, value in features.items()},
                shape=image.shape[:2],
                inside=inside[row],
            )
            for row, image in enumerate(images)
        ]

    @torch.inference_mode()
    def decode(self, image: Encoded, boxes_N4: Boxes) -> Masks:
        """masks_N3HW and scores_N3 of boxes in pixels of an encoded image."""
        parts = [
            self._prompted(image, input_boxes=scaled(torch.from_numpy(part), image).reshape(1, -1, 4))
            for part in np.split(boxes_N4, range(BOXES_AT_ONCE, len(boxes_N4), BOXES_AT_ONCE))
        ]
        masks_N3HW = np.concatenate([(logits_N3HW > 0).cpu().numpy() for logits_N3HW, _ in parts])
        return masks_N3HW, np.concatenate([scores_N3.float().cpu().numpy() for _, scores_N3 in parts])

    def _prompted(self, image: Encoded, **prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, 3, H, W) and predicted IoU (N, 3) of prompts in pixels of the network's input."""
        device = self.model.device
        on_device = {name: value.to(device) for name, value in prompts.items()}
        output = self.model(**image.features, **on_device, multimask_output=True)
        (logits_N3HW,) = self.processor.post_process_masks(
            [output.pred_masks[0].float()], [image.shape], reshaped_input_sizes=[image.inside], binarize=False
        )
        return logits_N3HW, output.iou_scores[0]

    def _generator(self, **settings: Any) -> SamAutomaticMaskGenerator:
        stand_in = SimpleNamespace(image_encoder=SimpleNamespace(img_size=0))
        generator = SamAutomaticMaskGenerator(stand_in, **settings)
        generator.predictor = PointPredictor(self)
        return generator


class PointPredictor:
    """What `SamAutomaticMaskGenerator` calls of a `SamPredictor`; points stay in pixels of the original image."""

    device = "cpu"
    model = SimpleNamespace(mask_threshold=0.0)

    def __init__(self, sam: HubSam) -> None:
        self.sam = sam
        self.transform = self
        self.encoded: Encoded | None = None

    def set_image(self, image_HW3: Image) -> None:
        """Encode an image."""
        (self.encoded,) = self.sam.encode([image_HW3])

    def reset_image(self) -> None:
        """Forget it."""
        self.encoded = None

    def apply_coords(self, points_N2: NDArray[np.float64], _: tuple[int, int]) -> NDArray[np.float64]:
        """The points as they are."""
        return points_N2

    @torch.inference_mode()
    def predict_torch(
        self, points_N12: Tensor, labels_N1: Tensor, *, multimask_output: bool, return_logits: bool
    ) -> tuple[Tensor, Tensor, None]:
        """Logits (N, 3, H, W) and predicted IoU (N, 3) of points."""
        assert self.encoded is not None
        assert multimask_output
        assert return_logits
        points_1N12 = scaled(points_N12.float(), self.encoded)[None]
        logits_N3HW, scores_N3 = self.sam._prompted(
            self.encoded, input_points=points_1N12, input_labels=labels_N1[None]
        )
        return logits_N3HW.cpu(), scores_N3.float().cpu(), None


def scaled(places: Tensor, image: Encoded) -> Tensor:
    """Places (..., 2 or 4) in pixels of the original image as pixels of the network's input."""
    return places * torch.tensor(image.scale * (places.shape[-1] // 2), dtype=torch.float32)


def load_hub_sam(folder: Path, *, device: torch.device | str = "cpu") -> HubSam:
    """Read a SAM from a folder in transformers' layout.

    Raises:
        Refused: it is none, or one of its files does not belong; see `read_pretrained`.
    """
    kind = demand_served("segmenter", folder)
    types, network = next(pair for pair in CLASSES.items() if kind in pair[0])
    return HubSam(read_pretrained(network, folder, types=types, device=device), read_image_processor(folder))


def _features(model: Any, inputs_B3HW: Tensor) -> dict[str, Any]:
    """What stands for images in the network's next calls."""
    found = model.get_image_embeddings(inputs_B3HW)
    if isinstance(model, SamHQModel):
        return {"image_embeddings": found[0], "intermediate_embeddings": found[1], "hq_token_only": False}
    return {"image_embeddings": found}


def _row(value: Any, row: int) -> Any:
    """The part of one image in features of several."""
    if isinstance(value, Tensor):
        return value[row : row + 1]
    return [part[row : row + 1] for part in value] if isinstance(value, list | tuple) else value
