"""Train the embedded CLIP that scores response maps in TRIS: the ViT that S+S has, gone on with masked images.

    python -m assets.pretraining.clip_scorer --start resources/embedded/clip_vit

Its folder and its name in the registry, `embedded/clip_judge`, stand in recipes and stay as they are.

TRIS hides pixels behind the mean colour, which the small ViT of S+S never saw. Here it sees whole scenes through masks,
sharp or as coarse as a response map, and each sentence must find its object's mask among those of the other objects,
among masks that show nothing or all but an object, and among those of the other scenes.

Shapes: B scenes, R objects of them, V views, E embedding width, L tokens, H x W pixels.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from assets.pretraining.clip import FIRST_HELD_OUT_SEED, VIT, Tower, train
from assets.pretraining.clip_views import Picture, draw_picture
from assets.pretraining.small_training import Budget, run_script
from ops.images import normalise, to_tensor
from ops.segmenters.lavt_decoder import upsample
from ops.tris.calibration import Scorer
from resources.models.clip import Clip, Tokenizer
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START

BUDGET = Budget(steps=400, scenes=3000, held_out=100)
SCENES = 8
GRIDS = (6, 8, 10)
"""Cells along a side of a coarse mask."""
AMPLITUDES = (0.5, 2.0)
"""Response maps are not bounded by one."""


def masked_loss(
    model: open_clip.CLIP, pictures: Sequence[Picture], tokenizer: Tokenizer, rng: np.random.Generator
) -> Tensor:
    """InfoNCE of objects seen through their masks and one sentence each, with wrong masks for the sentences."""
    chosen = [pictures[int(row)] for row in rng.integers(len(pictures), size=SCENES)]
    right_VE, wrong_VE, said = [], [], list[str]()
    for one in chosen:
        told = [(label, thing) for label, thing in enumerate(one.things, start=1) if thing.sentences]
        said += [thing.sentences[int(rng.integers(len(thing.sentences)))].text for _, thing in told]
        masks = [one.labels_HW == label for label, _ in told]
        right_VE.append(_seen(model, one, masks, rng))
        wrong_VE.append(_seen(model, one, _wrong(masks, rng), rng))
    ids_RL = tokenizer(said)
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        texts_RE = F.normalize(model.encode_text(ids_RL).float(), dim=-1)
    views_VE, own_R = torch.cat([*right_VE, *wrong_VE]), torch.arange(len(ids_RL))
    same_RR = (ids_RL[:, None] == ids_RL[None]).all(-1).fill_diagonal_(False)
    logits_RV = model.logit_scale.exp().clamp(max=100) * texts_RE @ views_VE.T
    square_RR = logits_RV[:, : len(ids_RL)].masked_fill(same_RR, -torch.inf)
    logits_RV = torch.cat([square_RR, logits_RV[:, len(ids_RL) :]], 1)
    return (F.cross_entropy(logits_RV, own_R) + F.cross_entropy(square_RR.T, own_R)) / 2


def _wrong(masks: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Nothing, and all but one object, twice. That more than the object is seen is not as wrong."""
    nothing, absent = np.zeros_like(masks[0]), rng.permutation(len(masks))[:2]
    return [nothing, *(~masks[int(one)] for one in absent)]


def _seen(model: open_clip.CLIP, one: Picture, masks: Sequence[np.ndarray], rng: np.random.Generator) -> Tensor:
    """(V, E) unit vectors of a scene through masks, half of them coarse."""
    masks_V1HW = torch.from_numpy(np.stack(masks)).float()[:, None]
    size = (masks_V1HW.shape[2], masks_V1HW.shape[3])
    if rng.random() < 0.5:
        cells = int(rng.choice(GRIDS))
        coarse = F.adaptive_avg_pool2d(masks_V1HW, cells)
        coarse = coarse / coarse.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
        masks_V1HW = F.interpolate(coarse, size, mode="bilinear")
    masks_V1HW = masks_V1HW * float(rng.uniform(*AMPLITUDES))
    side = model.visual.image_size
    square = (side, side) if isinstance(side, int) else (side[0], side[1])
    image_3HW = normalise(to_tensor(one.image_HW3))
    with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
        found_VE = model.visual(upsample(masks_V1HW, square) * upsample(image_3HW[None], square))
    return F.normalize(found_VE.float(), dim=-1)


def masked_choice(clip: Clip, scenes: int) -> float:
    """Share of sentences that find their object among all of their scene, each behind its own mask; held-out scenes."""
    scorer, hits = Scorer(clip.model), []
    for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + scenes):
        picture = draw_picture(seed)
        labels = range(1, 1 + len(picture.things))
        masks_V1HW = torch.from_numpy(np.stack([picture.labels_HW == label for label in labels])).float()[:, None]
        with torch.inference_mode():
            image_3HW = normalise(to_tensor(picture.image_HW3)).expand(len(masks_V1HW), -1, -1, -1)
            seen_VE = scorer.embed_masked(image_3HW, masks_V1HW)
        for place, thing in enumerate(picture.things):
            found = (clip.encode_texts([one.text for one in thing.sentences]) @ seen_VE.T).argmax(1)
            hits += (found == place).tolist()
    return float(np.mean(hits))


JUDGE = Tower(
    title="embedded CLIP with a ViT tower, used to masked pictures",
    script="clip_scorer",
    vision=VIT.vision,
    first_seed=PRETRAINING_SEEDS_START + 90_000_000,
    lesson=masked_loss,
    exams={"masked choice": masked_choice},
)

if __name__ == "__main__":
    run_script("clip_judge", partial(train, tower=JUDGE), BUDGET)
