"""What both steps of TRIS train on in a test, and their networks; light to import, for other processes."""

import torch

from ops.training.dataset import ReferentDataset, TrainingReferent
from ops.tris.calibration import Scorer
from ops.tris.losses import LossWeights
from ops.tris.negatives import NegativePool
from ops.tris.response import ResponseConfig, ResponseModel
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter
from ops.tris.training import Calibration, TrisPlan
from tests.ops.tris import tiny

SIDE = 64
PLAN = TrisPlan(epochs=2, batch_size=3, lr=1e-3, pretrained_rate=0.5, checkpoint_every_steps=1)
WEIGHTS = LossWeights(negatives=2)
IMAGE_OF = (0, 0, 1, 2, 2, 2, 3)
"""Seven objects on four images."""


def some_data() -> ReferentDataset:
    """A square for each object, in a colour of its own on its image."""
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 3, SIDE, SIDE), generator=rng, dtype=torch.uint8)
    masks = [torch.zeros(3, SIDE, SIDE, dtype=torch.bool) for _ in images]
    referents = []
    for number, image in enumerate(IMAGE_OF):
        row = IMAGE_OF[:number].count(image)
        left = 20 * row
        masks[image][row, 10:50, left : left + 20] = True
        images[image, row % 3, 10:50, left : left + 20] = 255
        ids = tiny.ids(2 + number % 2, seed=number)
        referents.append(TrainingReferent(image=image, candidates=(row,), token_ids_ST=ids, token_mask_ST=ids * 0 + 1))
    return ReferentDataset(images, masks, referents)


def calibration_of(data: ReferentDataset) -> Calibration:
    """By a CLIP of random weights; the words of an expression are the numbers of its tokens."""
    scorer = Scorer(tiny.clip(tiny.VIT))
    words = [[" ".join(map(str, row.tolist())) for row in one.token_ids_ST] for one in data.referents]
    texts = [scorer.embed_texts(one.token_ids_ST) for one in data.referents]
    return Calibration(scorer=scorer, pool=NegativePool(IMAGE_OF, words), texts=texts)


def response_model() -> ResponseModel:
    """Step 1's network, the same at every call."""
    torch.manual_seed(5)
    return ResponseModel(ResponseConfig(width=16, image_size=SIDE), tiny.clip(tiny.RESNET))


def segmenter() -> TrisSegmenter:
    """Step 2's, the same at every call."""
    torch.manual_seed(5)
    config = SegmenterConfig(laterals=(8, 8, 16, 16), finest=8, image_size=SIDE)
    return TrisSegmenter(config, tiny.clip(tiny.RESNET))
