"""PRMS, positive response map selection: of a referent's maps, one per expression, keep the best one (TRIS spec 3).

It needs to know which expressions have the same referent: for pseudo-labels of a training set, not for tests.
Shapes: M expressions of one referent, T tokens, h x w pixels at the model's size, H x W at the image's own size.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ops.segmenters.lavt_decoder import upsample
from ops.tris.calibration import Scorer

EPSILON = 1e-5


@torch.inference_mode()
def agreements(scorer: Scorer, image_3hw: Tensor, maps_Mhw: Tensor, texts_ME: Tensor) -> NDArray[np.float64]:
    """Cosine similarity (M, M) of the image masked by map t with text m, its own text included.

    M masked images and M texts are encoded, not M * M.

    Args:
        scorer: the frozen CLIP of calibration.
        image_3hw: normalised, at the model's size.
        maps_Mhw: ReLU of the responses, neither bounded nor normalised, as `respond` gives them. (Their sigmoid, which
            training uses, can be passed as well; the paper's numbers are with ReLU.)
        texts_ME: the scorer's embeddings of the expressions.
    """
    masked_ME = scorer.embed_masked(image_3hw[None], maps_Mhw[:, None])
    return (masked_ME @ texts_ME.T).double().cpu().numpy()


def select(agreements_MM: NDArray[np.float64]) -> int:
    """Row with the largest sum, the first on a tie. Sums are exact, whatever the order of expressions.

    Raises:
        ValueError: there is no expression, or an agreement is not finite.
    """
    if agreements_MM.size == 0 or not np.isfinite(agreements_MM).all():
        raise ValueError("agreements are missing or not finite: check the response maps and the scorer's weights")
    return int(np.argmax([math.fsum(row) for row in agreements_MM]))


def normalised_map(map_hw: Tensor, size: tuple[int, int]) -> Tensor:
    """The selected map at the image's own size (bilinear, aligned corners), divided by its maximum + 1e-5.

    Returns:
        (H, W) float32 in [0, 1); all zero if the map is.
    """
    map_HW = upsample(map_hw[None, None].float(), size)[0, 0]
    return map_HW / (map_HW.max() + EPSILON)
