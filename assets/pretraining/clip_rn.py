"""Train the embedded CLIP with a ResNet tower, which TRIS fine-tunes: the ViT's words, views and loss, and regions.

    python -m assets.pretraining.clip_rn

CLIP has seen so many pictures that the cells of its last map know what they show. The small one is told: in whole
scenes the cells of an object, through the attention pool's value path, should match the object's sentences.

Shapes: B scenes, R objects of them, L tokens, D embedding width, C channels, S pixels a side, h x w cells.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F

from assets.pretraining.clip import FIRST_HELD_OUT_SEED, Tower, train
from assets.pretraining.clip_views import Picture, Thing, draw_picture
from assets.pretraining.small_training import Budget, run_script
from ops.backbones.resnet_maps import image_maps
from ops.images import normalise, resize_image, to_tensor
from resources.models.clip import Clip, Tokenizer
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START

BUDGET = Budget(steps=1200, scenes=4000, held_out=100)
SCENES, SIDE = 12, 256
"""Whole scenes of a step, squashed to squares as TRIS does."""
NAME_SHARE = 0.3
"""How often an object is called by a word for its class alone."""


def region_loss(
    model: open_clip.CLIP, pictures: Sequence[Picture], tokenizer: Tokenizer, rng: np.random.Generator
) -> Tensor:
    """InfoNCE of objects and one sentence each; a scene's cells without objects are wrong for every sentence."""
    chosen = [pictures[int(row)] for row in rng.integers(len(pictures), size=SCENES)]
    images_B3SS = torch.stack([resize_image(to_tensor(one.image_HW3), height=SIDE, width=SIDE) for one in chosen])
    with torch.autocast("cpu", torch.bfloat16):
        cells_BChw = image_maps(model, normalise(images_B3SS))[-1]
        pooled_XC = torch.cat([*_object_means(chosen, cells_BChw), *_background_means(chosen, cells_BChw)])
        pool = model.visual.attnpool
        regions_XD = F.normalize(pool.c_proj(pool.v_proj(pooled_XC)).float(), dim=-1)
        ids_RL = tokenizer([_call(thing, rng) for one in chosen for thing in one.things])
        texts_RD = F.normalize(model.encode_text(ids_RL).float(), dim=-1)
    same_RR = (ids_RL[:, None] == ids_RL[None]).all(-1).fill_diagonal_(False)
    logits_RX = model.logit_scale.exp().clamp(max=100) * texts_RD @ regions_XD.T
    own_R, count = torch.arange(len(ids_RL)), len(ids_RL)
    logits_RX = torch.cat([logits_RX[:, :count].masked_fill(same_RR, -torch.inf), logits_RX[:, count:]], 1)
    return (F.cross_entropy(logits_RX, own_R) + F.cross_entropy(logits_RX[:, :count].T, own_R)) / 2


def _call(thing: Thing, rng: np.random.Generator) -> str:
    if not thing.sentences or rng.random() < NAME_SHARE:
        return f"a photo of a {thing.nouns[int(rng.integers(len(thing.nouns)))]}"
    return thing.sentences[int(rng.integers(len(thing.sentences)))].text


def _object_means(pictures: Sequence[Picture], cells_BChw: Tensor) -> list[Tensor]:
    """For each picture (objects, C): the mean of cells, weighted by the share of each that the object covers."""
    return [
        _means(np.stack([one.labels_HW == 1 + at for at in range(len(one.things))]), cells_Chw)
        for one, cells_Chw in zip(pictures, cells_BChw, strict=True)
    ]


def _background_means(pictures: Sequence[Picture], cells_BChw: Tensor) -> list[Tensor]:
    """For each picture (1, C)."""
    return [_means(one.labels_HW[None] == 0, cells_Chw) for one, cells_Chw in zip(pictures, cells_BChw, strict=True)]


def _means(masks_RHW: np.ndarray, cells_Chw: Tensor) -> Tensor:
    size = (cells_Chw.shape[1], cells_Chw.shape[2])
    shares_Rhw = F.adaptive_avg_pool2d(torch.from_numpy(masks_RHW).float(), size) + 1e-6  # an object may be hidden
    weights_Rhw = shares_Rhw / shares_Rhw.sum((1, 2), keepdim=True)
    return weights_Rhw.flatten(1) @ cells_Chw.flatten(1).T.float()


def pointing_accuracy(clip: Clip, scenes: int) -> float:
    """Share of sentences whose best cell has its centre in the object, on held-out scenes and without any training."""
    pool, hits = clip.model.visual.attnpool, []
    for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + scenes):
        picture = draw_picture(seed)
        image_3SS = resize_image(to_tensor(picture.image_HW3), height=SIDE, width=SIDE)
        with torch.inference_mode():
            cells_Chw = image_maps(clip.model, normalise(image_3SS)[None])[-1][0]
            cells_PD = pool.c_proj(pool.v_proj(cells_Chw.flatten(1).T))
        for label, thing in enumerate(picture.things, start=1):
            places = F.normalize(cells_PD, dim=-1) @ clip.encode_texts([one.text for one in thing.sentences]).T
            centres = [_centre(int(place), cells_Chw.shape[1:], picture.labels_HW.shape) for place in places.argmax(0)]
            hits += [picture.labels_HW[centre] == label for centre in centres]
    return float(np.mean(hits))


def _centre(place: int, cells: Sequence[int], pixels: Sequence[int]) -> tuple[int, int]:
    row, column = divmod(place, cells[1])
    return int((row + 0.5) * pixels[0] / cells[0]), int((column + 0.5) * pixels[1] / cells[1])


RESNET = Tower(
    title="embedded CLIP with a ResNet tower",
    script="clip_rn",
    vision={"patch_size": None, "width": 16, "layers": [1, 1, 1, 1]},
    first_seed=PRETRAINING_SEEDS_START + 70_000_000,
    lesson=region_loss,
    exams={"pointing": pointing_accuracy},
)

if __name__ == "__main__":
    run_script("clip_rn", partial(train, tower=RESNET), BUDGET)
