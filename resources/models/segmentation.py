"""A segmenter as stages ask it: masks for boxes, in boxes, or for everything in an image (S+S+C specs 2.6, 2.10, 3.6).

Shapes: N boxes, H x W pixels of the image as given. Every mask comes back at that resolution.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator

from ops.ssc.detections import isolated_window, point_grid, window_of

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Boxes = NDArray[np.float32]
"""(N, 4): x0, y0, x1, y1 in pixels."""
Masks = tuple[NDArray[np.bool_], NDArray[np.float32]]
"""Masks and, of each, the IoU that the model predicts."""
BOXES_AT_ONCE = 32
"""Prompts of one call of a published decoder; masks at SAM's 1024 pixels take 12 MB each."""


@dataclass(frozen=True, kw_only=True)
class EverythingSettings:
    """How SAM searches where nothing is prompted; the defaults are those of `SamAutomaticMaskGenerator`."""

    points_per_side: int = 32
    """Of the whole image, in `Segmenter.automatic`."""
    points_per_box_side: int = 8
    """In `Segmenter.inside`; each box costs an encoding and this many points squared."""
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95


class Segmenter(Protocol):
    """Finds masks by boxes and without."""

    passes: int
    """Image encodings so far, what a run pays for."""

    def segment(self, image_HW3: Image, boxes_N4: Boxes) -> Masks:
        """Three masks for every box.

        Args:
            image_HW3: RGB, uint8.
            boxes_N4: x0, y0, x1, y1 in pixels; N may be 0, which costs nothing.

        Returns:
            masks_N3HW (logits at the original size > 0) and scores_N3.

        Raises:
            Refused: the image cannot be served.
            ValueError: the image is not HW3 uint8, or the boxes are not N x 4.
        """

    def segment_batch(self, images: Sequence[Image], boxes: Sequence[Boxes]) -> list[Masks]:
        """The same for several images."""

    def automatic(self, image_HW3: Image) -> Masks:
        """Masks of everything in the image, see `MaskSearch`."""

    def inside(self, image_HW3: Image, boxes_N4: Boxes) -> Masks:
        """The best mask in each box when the rest of the image is blank, see `MaskSearch`."""


class MaskSearch(ABC):
    """Masks without prompts, by segment_anything's `SamAutomaticMaskGenerator` over any SAM."""

    everything: EverythingSettings
    passes: int

    def automatic(self, image_HW3: Image) -> Masks:
        """Masks of everything in the image (spec 3.6, "SAM + Select").

        Returns:
            masks_NHW and scores_N (predicted IoU), best first; N may be 0.

        Raises:
            ValueError: the image is not HW3 uint8.
        """
        return self._generate(image_HW3, points_per_side=self.everything.points_per_side)

    def inside(self, image_HW3: Image, boxes_N4: Boxes) -> Masks:
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

    @abstractmethod
    def _generator(self, **settings: Any) -> SamAutomaticMaskGenerator:
        """The package's generator over this model; one call of it encodes an image once."""

    def _generate(self, image_HW3: Image, **points: Any) -> Masks:
        require_image(image_HW3)
        self.passes += 1
        thresholds = {name: getattr(self.everything, name) for name in ("pred_iou_thresh", "stability_score_thresh")}
        records = self._generator(**thresholds, **points).generate(image_HW3)
        records.sort(key=lambda record: -record["predicted_iou"])
        masks_NHW = np.zeros((len(records), *image_HW3.shape[:2]), dtype=bool)
        for mask_HW, record in zip(masks_NHW, records, strict=True):
            mask_HW[:] = record["segmentation"]
        return masks_NHW, np.array([record["predicted_iou"] for record in records], dtype=np.float32)


def no_masks(image_HW3: Image) -> Masks:
    """What no boxes give."""
    return np.zeros((0, 3, *image_HW3.shape[:2]), dtype=bool), np.zeros((0, 3), dtype=np.float32)


def require_image(image_HW3: Image) -> None:
    """Raise `ValueError` for anything but an RGB image."""
    if image_HW3.ndim != 3 or image_HW3.shape[2] != 3 or image_HW3.dtype != np.uint8:
        raise ValueError(f"an RGB image, H x W x 3 uint8, is expected, not {image_HW3.shape} {image_HW3.dtype}")


def require_boxes(boxes_N4: Boxes) -> Boxes:
    """Boxes as float32; raises `ValueError` if they are not N x 4."""
    boxes_N4 = np.asarray(boxes_N4, dtype=np.float32)
    if boxes_N4.ndim != 2 or boxes_N4.shape[1] != 4:
        raise ValueError(f"boxes must be N x 4 (x0, y0, x1, y1), not {boxes_N4.shape}")
    return boxes_N4
