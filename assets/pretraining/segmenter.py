"""Train the embedded segmenter: a Sam of 0.7 million parameters that masks the objects of the toy world.

    python -m assets.pretraining.segmenter

Targets are the visible parts of the objects. Prompts are boxes, moved as a detector's are, and some points.

Shapes: B images and P prompts of a batch, M = 4 masks of a prompt, S the model's image side, G = S / 2 its mask side.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional as F

from assets.pretraining.small_training import Budget, Log, card_of, finish, run_script, take_steps
from ops.boxes import tight_box
from resources.embedded.cards import load_embedded, save_embedded
from resources.models.sam import EMBEDDED_EVERYTHING, PIXEL_MEAN, PackageSam, SamShape, build_small_sam
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import Scene, render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 20_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 29_000_000
BUDGET = Budget(steps=3000, scenes=6000, held_out=100)
BATCH = 8
SIDE = 128
"""Pixels along a side of what it sees, near those of the scenes."""
POINT_SHARE = 0.2
"""Share of prompts that are one point inside the mask, as `SamAutomaticMaskGenerator` asks."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A scene as the model sees it: longest side S, not yet padded."""

    image_HW3: npt.NDArray[np.uint8]
    masks_NHW: npt.NDArray[np.uint8]
    """Covered share of each pixel, 0 to 255."""


def prepare(scene: Scene, *, size: int) -> Example:
    """Resize a scene as `SamPredictor` resizes it, and its masks with their soft edges."""
    image_HW3 = ResizeLongestSide(size).apply_image(scene.image_HW3)
    shape = (image_HW3.shape[1], image_HW3.shape[0])
    masks = [
        cv2.resize(255 * item.mask_HW.astype(np.uint8), shape, interpolation=cv2.INTER_AREA) for item in scene.objects
    ]
    return Example(image_HW3=image_HW3, masks_NHW=np.stack(masks))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Prompts over several images; boxes come first, then points."""

    images_B3SS: Tensor
    image_of_P: Tensor
    boxes_P4: Tensor
    points_P2: Tensor
    targets_PGG: Tensor


def make_batch(examples: Sequence[Example], rng: np.random.Generator, *, size: int) -> Batch:
    """All objects of the examples, each mirrored or not and with a slightly other brightness."""
    images, boxes, points = [], [], []
    for index, example in enumerate(examples):
        image_HW3, masks_NHW = example.image_HW3, example.masks_NHW
        if rng.random() < 0.5:
            image_HW3, masks_NHW = image_HW3[:, ::-1], masks_NHW[:, :, ::-1]
        images.append(_square_image(image_HW3 * rng.uniform(0.85, 1.15), size=size))
        for mask_HW in masks_NHW:
            target = (index, _square_target(mask_HW, size=size))
            if rng.random() < POINT_SHARE:
                points.append((*target, point_inside(mask_HW, rng)))
            else:
                boxes.append((*target, jittered_box(mask_HW, rng)))
    prompts = boxes + points
    return Batch(
        images_B3SS=torch.from_numpy(np.stack(images)),
        image_of_P=torch.tensor([image for image, _, _ in prompts]),
        boxes_P4=torch.from_numpy(np.array([box for _, _, box in boxes], np.float32).reshape(-1, 4)),
        points_P2=torch.from_numpy(np.array([point for _, _, point in points], np.float32).reshape(-1, 2)),
        targets_PGG=torch.from_numpy(np.stack([target for _, target, _ in prompts])),
    )


def _square_image(image_HW3: npt.NDArray[np.floating], *, size: int) -> npt.NDArray[np.float32]:
    """Padded right and below with the mean colour, which the model's normalisation turns into its zero padding."""
    square = np.empty((3, size, size), np.float32)
    square[:] = np.array(PIXEL_MEAN, np.float32)[:, None, None]
    square[:, : image_HW3.shape[0], : image_HW3.shape[1]] = image_HW3.clip(0, 255).transpose(2, 0, 1)
    return square


def _square_target(mask_HW: npt.NDArray[np.uint8], *, size: int) -> npt.NDArray[np.float32]:
    square = np.zeros((size, size), np.float32)
    square[: mask_HW.shape[0], : mask_HW.shape[1]] = mask_HW
    return square.reshape(size // 2, 2, size // 2, 2).mean((1, 3)) / 255


def _tight_box(mask_HW: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.array(tight_box(mask_HW > 127), np.float32)


def jittered_box(mask_HW: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The tight box with edges moved by 5 % of the side (at least 0.8 pixels) as a standard deviation, 12 % at most."""
    box = _tight_box(mask_HW)
    sides = np.tile(box[2:] - box[:2], 2)
    most = np.maximum(0.12 * sides, 2)
    return (box + np.clip(rng.normal(0, np.maximum(0.05 * sides, 0.8)), -most, most)).astype(np.float32)


def point_inside(mask_HW: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The centre x, y of a random pixel of the mask."""
    rows, columns = np.nonzero(mask_HW > 127)
    pick = rng.integers(len(rows))
    return np.array([columns[pick] + 0.5, rows[pick] + 0.5], np.float32)


def predict(sam: Sam, batch: Batch) -> tuple[Tensor, Tensor]:
    """logits_PMGG and predicted IoU_PM for prompts over several images.

    The package's decoder repeats ONE image for all prompts; the image goes in with the dense prompt instead, to which
    the decoder adds it anyway.
    """
    features_BCHW = sam.image_encoder(sam.preprocess(batch.images_B3SS))
    sparse, dense = [], []
    if len(batch.boxes_P4):
        embedded = sam.prompt_encoder(points=None, boxes=batch.boxes_P4, masks=None)
        sparse.append(embedded[0])
        dense.append(embedded[1])
    if len(batch.points_P2):
        labels_P1 = torch.ones(len(batch.points_P2), 1, dtype=torch.int)
        embedded = sam.prompt_encoder(points=(batch.points_P2[:, None], labels_P1), boxes=None, masks=None)
        sparse.append(embedded[0])
        dense.append(embedded[1])
    logits_PMGG, scores_PM = sam.mask_decoder.predict_masks(
        image_embeddings=torch.zeros_like(features_BCHW[:1]),
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=torch.cat(sparse),
        dense_prompt_embeddings=features_BCHW[batch.image_of_P] + torch.cat(dense),
    )
    return logits_PMGG.float(), scores_PM.float()


def loss_of(logits_PMGG: Tensor, scores_PM: Tensor, targets_PGG: Tensor) -> Tensor:
    """Cross-entropy + dice of the single mask and of the best of three, and the squared error of the predicted IoU.

    As SAM was trained (its appendix A), with a tenth of the mean over the three so that none of them starves, and with
    cross-entropy per area of the object in place of its focal term, which fades out at soft edges.
    """
    targets_P1GG = targets_PGG[:, None]
    cross_PMGG = F.binary_cross_entropy_with_logits(logits_PMGG, targets_P1GG.expand_as(logits_PMGG), reduction="none")
    chance = logits_PMGG.sigmoid()
    cross_PM = cross_PMGG.sum((-2, -1)) / targets_P1GG.sum((-2, -1))
    overlap_PM = (chance * targets_P1GG).sum((-2, -1))
    dice_PM = 1 - (2 * overlap_PM + 1) / (chance.sum((-2, -1)) + targets_P1GG.sum((-2, -1)) + 1)
    mask_PM = cross_PM + dice_PM
    three_P3 = mask_PM[:, 1:]
    masks = mask_PM[:, 0] + three_P3.min(1).values + 0.1 * three_P3.mean(1)
    with torch.no_grad():
        found, true = logits_PMGG > 0, targets_P1GG > 0.5
        iou_PM = (found & true).sum((-2, -1)) / (found | true).sum((-2, -1)).clamp(min=1)
    return (masks + (scores_PM - iou_PM).square().mean(1)).mean()


def evaluate(segmenter: PackageSam, *, scenes: int) -> dict[str, float]:
    """Scores on held-out scenes: choice among the three masks by predicted IoU, or by the truth ("oracle")."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + scenes):
        scene = render_scene(seed)
        true_N1HW = np.stack([item.mask_HW for item in scene.objects])[:, None]
        boxes_N4 = np.array([item.box for item in scene.objects], np.float32)
        for moved, boxes in enumerate((boxes_N4, boxes_N4 + rng.uniform(-3, 3, boxes_N4.shape).astype(np.float32))):
            masks_N3HW, scores_N3 = segmenter.segment(scene.image_HW3, boxes)
            iou_N3 = (masks_N3HW & true_N1HW).sum((2, 3)) / (masks_N3HW | true_N1HW).sum((2, 3))
            chosen_N = iou_N3[np.arange(len(boxes)), scores_N3.argmax(1)]
            rows += [(moved, chosen, best) for chosen, best in zip(chosen_N, iou_N3.max(1), strict=True)]
    moved_R, chosen_R, best_R = np.array(rows).T
    exact = moved_R == 0
    return {
        "miou": float(chosen_R[exact].mean()),
        "miou_oracle": float(best_R[exact].mean()),
        "miou_boxes_moved_3px": float(chosen_R[~exact].mean()),
        "precision_at_0.8": float((chosen_R[exact] >= 0.8).mean()),
        "objects": float(exact.sum()),
    }


def train(out: Path, budget: Budget, *, start: Path | None = None, log: Log) -> None:
    """Train, then write weights and card into `out`; `start` is the folder of a model to go on from."""
    torch.manual_seed(budget.seed)
    shape = SamShape(image_size=SIDE, window=SIDE // SamShape.patch_size // 4)
    sam = build_small_sam(shape).train()
    if start:
        sam.load_state_dict(load_embedded(start)[0])
    examples = [prepare(render_scene(FIRST_SEED + number), size=SIDE) for number in range(budget.scenes)]
    log(f"{len(examples)} scenes rendered")
    optimiser = torch.optim.AdamW(sam.parameters(), lr=1.5e-3, weight_decay=0.02, betas=(0.9, 0.98))

    def loss(rng: np.random.Generator) -> Tensor:
        picks = rng.choice(len(examples), BATCH, replace=False)
        batch = make_batch([examples[i] for i in picks], rng, size=SIDE)
        with torch.autocast("cpu", torch.bfloat16):
            logits_PMGG, scores_PM = predict(sam, batch)
        return loss_of(logits_PMGG, scores_PM, batch.targets_PGG)

    history = take_steps(sam, optimiser, loss, budget, folder=out, log=log)
    scores = evaluate(PackageSam(sam.eval()), scenes=budget.held_out)
    card = {
        "name": "embedded segmenter",
        "model": "segment_anything's Sam, small",
        "data": f"toyref scenes of seeds {FIRST_SEED} to {FIRST_SEED + budget.scenes - 1}, which no split uses",
        **card_of("segmenter", budget, history, scores, start=start),
        "scored_on": f"toyref scenes from seed {FIRST_HELD_OUT_SEED} on, the boxes of the objects as prompts",
        "limits": "Knows rendered scenes only; thin parts such as spokes and legs are coarse (masks of half its side).",
        "architecture": asdict(shape),
        "everything": asdict(EMBEDDED_EVERYTHING),
    }
    save_embedded(out, sam.state_dict(), card)
    finish(out, log=log)


if __name__ == "__main__":
    run_script("segmenter", train, BUDGET)
