"""Similarity of prompted images and expressions, from CLIP's embeddings of both (S+S+C spec 3.2).

Shapes: N candidates, S expressions of one referent, D embedding width.
"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize


def mean_similarity(texts_SD: Tensor, images_ND: Tensor) -> list[float]:
    """Score of each prompted image: mean over the referent's expressions of 100 * cosine similarity (spec 3.2).

    Pass one expression for a choice by it alone (paper Eq. 1). Equal images get exactly equal scores.
    """
    texts_SD = normalize(texts_SD.double(), dim=-1)
    images_ND = normalize(images_ND.double(), dim=-1)
    return [100 * float((image_D * texts_SD).sum(-1).mean()) for image_D in images_ND]


def sentence_similarities(texts_SD: Tensor, images_ND: Tensor) -> NDArray[np.float64]:
    """100 * cosine similarity (S, N) of each of the referent's expressions with each prompted image."""
    texts_SD = normalize(texts_SD.double(), dim=-1)
    images_ND = normalize(images_ND.double(), dim=-1)
    return np.array([[100 * float((image_D * text_D).sum()) for image_D in images_ND] for text_D in texts_SD])
