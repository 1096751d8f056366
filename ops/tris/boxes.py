"""Box proposals around the contours of a mask, for Acc_box on ReferIt (TRIS spec 6, as in WWbL with its quirks).

Shapes: H x W pixels, N contours, X boxes.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou, nms

NMS_IOU = 0.05
CONFIDENCE_SHARE = 0.5
"""Proposals have more than this share of the highest confidence."""

HIT_IOU = 0.5
NO_CONTOUR = (0.0, 0.0, 1.0, 1.0, 0.0)


def proposals(mask_HW: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Boxes of the mask's contours, those of holes included, (X, 5): x1, y1, x2, y2 (exclusive), share of foreground.

    NMS takes boxes (x, y, width, height) for corners: a quirk of the published numbers. A mask without a contour, or
    one that covers the image, gives a single box of one pixel.
    """
    contours = (
        [] if mask_HW.all() else cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    )
    if not contours:
        return np.array([NO_CONTOUR])
    xywh_N4 = np.array([cv2.boundingRect(contour) for contour in contours], dtype=np.float64)
    share_N = np.array([mask_HW[y : y + h, x : x + w].mean() for x, y, w, h in xywh_N4.astype(int)])
    kept = nms(torch.from_numpy(xywh_N4), torch.from_numpy(share_N), NMS_IOU).numpy()
    kept = kept[share_N[kept] > CONFIDENCE_SHARE * share_N[kept].max()]
    corners_X4 = np.concatenate([xywh_N4[kept, :2], xywh_N4[kept, :2] + xywh_N4[kept, 2:]], 1)
    return np.concatenate([corners_X4, share_N[kept, None]], 1)


def box_hit(mask_HW: NDArray[np.bool_], box: NDArray[np.float64]) -> bool:
    """Whether any proposal has an IoU above one half with the box x1, y1, x2, y2."""
    boxes_X4 = torch.from_numpy(proposals(mask_HW)[:, :4])
    return bool((box_iou(boxes_X4, torch.from_numpy(np.asarray(box, np.float64))[None]) > HIT_IOU).any())
