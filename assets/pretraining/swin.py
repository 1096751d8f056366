"""Train the embedded Swin: what ImageNet is to the published one, rendered scenes with labelled boxes are to this one.

    python -m assets.pretraining.swin

From the second stage on, every token inside an object's box (the ellipse in it) learns the object's class, looks and
box, as in detection; all others learn that they are background. No mask and no sentence is used; the heads are thrown
away.

Shapes: N scenes, B images of a batch, S their side, H x W tokens of a stage, C channels, A attributes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assets.pretraining.auxiliary_heads import (
    ORDINALS,
    Labels,
    attribute_accuracy,
    attribute_loss,
    attribute_rows,
    label_lists,
)
from assets.pretraining.small_training import Budget, Log, card_of, finish, run_script, take_steps
from ops.backbones.swin import Swin, SwinConfig
from ops.images import normalise
from ops.segmenters.lavt import EMBEDDED
from resources.embedded.cards import load_embedded, save_embedded
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import Scene, render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 50_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 59_000_000
BUDGET = Budget(steps=9000, scenes=24000, held_out=100)
LABELLED_SCENES = 2000
"""Scenes in which every value of every attribute occurs."""
BATCH = 16
IMAGE_SIDE = EMBEDDED.image_size
SIDED = 4
"""Numbers of a box: centre and size as shares of the image."""
BOX_WEIGHT = 4.0


@dataclass(frozen=True, kw_only=True)
class Example:
    """A scene squashed to the model's square."""

    image_3SS: npt.NDArray[np.uint8]
    boxes_N4: npt.NDArray[np.float32]
    """Centre x, centre y, width, height as shares of the image; from back to front."""
    attributes_NA: npt.NDArray[np.int64]
    """Row of each attribute's value in its list of labels."""


def prepare(scene: Scene, labels: Labels, *, side: int = IMAGE_SIDE) -> Example:
    """Squash a scene to `side` x `side` pixels and look up its labels."""
    height, width = scene.image_HW3.shape[:2]
    image = cv2.resize(scene.image_HW3, (side, side), interpolation=cv2.INTER_AREA)
    corners_N4 = np.array([thing.box for thing in scene.objects], np.float32) / [width, height, width, height]
    boxes_N4 = np.concatenate([(corners_N4[:, :2] + corners_N4[:, 2:]) / 2, corners_N4[:, 2:] - corners_N4[:, :2]], 1)
    rows = [attribute_rows(scene, thing, labels) for thing in scene.objects]
    return Example(
        image_3SS=np.ascontiguousarray(image.transpose(2, 0, 1)),
        boxes_N4=boxes_N4.astype(np.float32),
        attributes_NA=np.array(rows),
    )


def mirrored(example: Example, across: int) -> Example:
    """The scene seen in a mirror; of what is labelled only the boxes change and the order `across`, a column."""
    boxes_N4, attributes_NA = example.boxes_N4.copy(), example.attributes_NA.copy()
    boxes_N4[:, 0] = 1 - boxes_N4[:, 0]
    first, last = ORDINALS.index("first"), ORDINALS.index("last")
    attributes_NA[:, across] = np.choose(
        attributes_NA[:, across],
        [last if place == first else first if place == last else place for place in range(len(ORDINALS))],
    )
    return replace(example, image_3SS=example.image_3SS[:, :, ::-1], boxes_N4=boxes_N4, attributes_NA=attributes_NA)


def owners(boxes_N4: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.int64]:
    """(side, side) row of the front-most object whose box-filling ellipse covers a token's centre; -1 for none."""
    grid = (np.arange(side) + 0.5) / side
    owner_HW = np.full((side, side), -1)
    for row, (x, y, width, height) in enumerate(boxes_N4):
        across, down = (grid - x) / (width / 2), (grid - y) / (height / 2)
        owner_HW[across[None] ** 2 + down[:, None] ** 2 < 1] = row
    return owner_HW


class Heads(nn.Module):
    """Linear layers on the tokens of a stage: objectness everywhere; on objects every attribute and the box."""

    def __init__(self, width: int, labels: Labels) -> None:
        super().__init__()
        self.labels = labels
        self.sizes = [len(values) for values in labels.values()]
        self.norm = nn.LayerNorm(width)
        self.objectness = nn.Linear(width, 1)
        self.attributes = nn.Linear(width, sum(self.sizes))
        self.box = nn.Linear(width, SIDED)

    def forward(self, x_BHWC: Tensor, on_BHW: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """Objectness (B, H, W); for the M tokens on objects (M, values) of every attribute, and boxes (M, 4)."""
        x_BHWC = self.norm(x_BHWC)
        on_MC = x_BHWC[on_BHW]
        logits = self.attributes(on_MC).float().split(self.sizes, -1)
        return self.objectness(x_BHWC).squeeze(-1).float(), list(logits), self.box(on_MC).float().sigmoid()


def targets(examples: Sequence[Example], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which tokens (B, H, W) lie on an object, and for those the attributes (M, A) and boxes (M, 4)."""
    owner_BHW = np.stack([owners(example.boxes_N4, side) for example in examples])
    attributes = [one.attributes_NA[own[own >= 0]] for one, own in zip(examples, owner_BHW, strict=True)]
    boxes = [one.boxes_N4[own[own >= 0]] for one, own in zip(examples, owner_BHW, strict=True)]
    return (
        torch.from_numpy(owner_BHW >= 0),
        torch.from_numpy(np.concatenate(attributes)),
        torch.from_numpy(np.concatenate(boxes)),
    )


def loss_of(head: Heads, x_BHWC: Tensor, examples: Sequence[Example]) -> Tensor:
    """Cross-entropy of objectness everywhere; on objects, of the attributes, and the distance of the box."""
    on_BHW, attributes_MA, boxes_M4 = targets(examples, x_BHWC.shape[1])
    objectness_BHW, logits, predicted_M4 = head(x_BHWC, on_BHW)
    total = F.binary_cross_entropy_with_logits(objectness_BHW, on_BHW.float())
    total = total + attribute_loss(logits, attributes_MA, head.labels)
    return total + BOX_WEIGHT * F.l1_loss(predicted_M4, boxes_M4)


@torch.inference_mode()
def evaluate(backbone: Swin, head: Heads, examples: Sequence[Example]) -> dict[str, float]:
    """Shares of right answers of the third stage on held-out scenes, for tokens on objects."""
    backbone.eval()
    maps = backbone(normalise(torch.from_numpy(np.stack([example.image_3SS for example in examples]))))
    on_BHW, attributes_MA, boxes_M4 = targets(examples, maps[2].shape[1])
    objectness_BHW, logits, predicted_M4 = head(maps[2], on_BHW)
    return {
        "objectness_accuracy": float(((objectness_BHW > 0) == on_BHW).float().mean()),
        "box_error": float((predicted_M4 - boxes_M4).abs().mean()),
        **attribute_accuracy(logits, attributes_MA, head.labels),
    }


def train(out: Path, budget: Budget, *, start: Path | None = None, log: Log) -> None:
    """Train, then write weights and card into `out`; `start` is the folder of a model to go on from."""
    torch.manual_seed(budget.seed)
    scenes = (render_scene(FIRST_SEED + number) for number in range(budget.scenes))
    first = list(islice(scenes, LABELLED_SCENES))
    labels = label_lists(first)
    across = list(labels).index("across")
    examples = [prepare(scene, labels) for scene in chain(first, scenes)]
    log(f"{len(examples)} scenes rendered")
    config = replace(EMBEDDED.swin, drop_path=0.0)
    backbone = Swin(config)
    if start:
        backbone.load_state_dict(load_embedded(start)[0])
    heads = [Heads(width, labels) for width in config.widths[1:]]
    everything = nn.ModuleList([backbone, nn.ModuleList(heads)])
    optimiser = torch.optim.AdamW(everything.parameters(), lr=2.5e-3, weight_decay=0.05, betas=(0.9, 0.98), fused=True)

    def loss(rng: np.random.Generator) -> Tensor:
        chosen = [examples[pick] for pick in rng.choice(len(examples), BATCH, replace=False)]
        chosen = [mirrored(one, across) if rng.random() < 0.5 else one for one in chosen]
        images = normalise(torch.from_numpy(np.stack([one.image_3SS for one in chosen])))
        with torch.autocast("cpu", torch.bfloat16):
            maps = backbone(images * (1 + 0.1 * torch.randn(BATCH, 1, 1, 1)))
            losses = [loss_of(head, tokens, chosen) for head, tokens in zip(heads, maps[1:], strict=True)]
        return torch.stack(losses).mean()

    history = take_steps(everything, optimiser, loss, budget, folder=out, log=log)
    held_out = [render_scene(FIRST_HELD_OUT_SEED + number) for number in range(budget.held_out)]
    scores = evaluate(backbone, heads[1], [prepare(scene, labels) for scene in held_out])
    card = {
        "name": "embedded Swin",
        "model": "the project's own Swin, small",
        "data": f"toyref scenes of seeds {FIRST_SEED} to {FIRST_SEED + budget.scenes - 1}, which no split uses",
        **card_of("swin", budget, history, scores, start=start),
        "objective": "class, looks and box of the object at every token (boxes only: no masks, no sentences)",
        "scored_on": f"tokens of the third stage on objects of scenes from seed {FIRST_HELD_OUT_SEED} on",
        "limits": "Knows rendered scenes only.",
        "architecture": architecture(config),
    }
    save_embedded(out, backbone.state_dict(), card)
    finish(out, log=log)


def architecture(config: SwinConfig) -> dict[str, object]:
    """The sizes that the weights depend on."""
    return {name: value for name, value in asdict(config).items() if name != "drop_path"}


if __name__ == "__main__":
    run_script("swin", train, BUDGET)
