"""Train the embedded backbone of IRNet: what ImageNet is to the published ResNet-50, rendered scenes are to this one.

    python -m assets.pretraining.irn_backbone

The task is the embedded Swin's: class, looks and box of the object at every cell of the last three maps. Boxes are used
and no masks, so that edges are left for IRNet to find.

Shapes: N scenes, B images of a batch, S their side, h x w cells of a map, C channels.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from assets.pretraining.auxiliary_heads import attribute_accuracy, label_lists
from assets.pretraining.small_training import Budget, Log, card_of, finish, run_script, take_steps
from assets.pretraining.swin import Example, Heads, loss_of, mirrored, prepare, targets
from ops.images import normalise
from ops.tris.irnet import EMBEDDED, FrozenResNet
from resources.embedded.cards import load_embedded, save_embedded
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 80_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 89_000_000
BUDGET = Budget(steps=1000, scenes=3000, held_out=100)
BATCH = 16
IMAGE_SIDE = 120
"""Near the size of the scenes: IRNet sees pictures as they are."""
TAUGHT = (2, 3, 4)
"""Maps of the backbone with a head, by number."""


def learning(backbone: FrozenResNet, *, on: bool) -> FrozenResNet:
    """Let the backbone learn, batch norms included, or put it back to rest."""
    backbone.requires_grad_(on)
    nn.Module.train(backbone, on)
    return backbone


def cells(backbone: FrozenResNet, images: Sequence[Example], *, noise: bool) -> list[Tensor]:
    """The taught maps (B, h, w, C) of prepared scenes, with random contrast if asked for."""
    pictures_B3SS = normalise(torch.from_numpy(np.stack([one.image_3SS for one in images])))
    if noise:
        pictures_B3SS = pictures_B3SS * (1 + 0.1 * torch.randn(len(images), 1, 1, 1))
    maps = backbone.maps(pictures_B3SS)
    return [maps[number].permute(0, 2, 3, 1) for number in TAUGHT]


@torch.inference_mode()
def evaluate(backbone: FrozenResNet, head: Heads, examples: Sequence[Example]) -> dict[str, float]:
    """Shares of right answers at the last map of held-out scenes, for cells on objects."""
    found_BhwC = cells(learning(backbone, on=False), examples, noise=False)[-1]
    on_Bhw, attributes_MA, boxes_M4 = targets(examples, found_BhwC.shape[1])
    objectness_Bhw, logits, predicted_M4 = head(found_BhwC, on_Bhw)
    return {
        "objectness_accuracy": float(((objectness_Bhw > 0) == on_Bhw).float().mean()),
        "box_error": float((predicted_M4 - boxes_M4).abs().mean()),
        **attribute_accuracy(logits, attributes_MA, head.labels),
    }


def train(out: Path, budget: Budget, *, start: Path | None = None, log: Log) -> None:
    """Train, then write weights and card into `out`; `start` is the folder of a model to go on from."""
    torch.manual_seed(budget.seed)
    scenes = [render_scene(FIRST_SEED + number) for number in range(budget.scenes)]
    labels = label_lists(scenes)
    across = list(labels).index("across")
    examples = [prepare(scene, labels, side=IMAGE_SIDE) for scene in scenes]
    log(f"{len(examples)} scenes rendered")
    backbone = FrozenResNet(EMBEDDED)
    if start:
        backbone.load_state_dict(load_embedded(start)[0])
    heads = [Heads(EMBEDDED.width * 4 * 2 ** (number - 1), labels) for number in TAUGHT]
    everything = nn.ModuleList([learning(backbone, on=True), nn.ModuleList(heads)])
    optimiser = torch.optim.AdamW(everything.parameters(), lr=2e-3, weight_decay=0.05, betas=(0.9, 0.98), fused=True)

    def loss(rng: np.random.Generator) -> Tensor:
        learning(backbone, on=True)
        chosen = [examples[pick] for pick in rng.choice(len(examples), BATCH, replace=False)]
        chosen = [mirrored(one, across) if rng.random() < 0.5 else one for one in chosen]
        with torch.autocast("cpu", torch.bfloat16):
            found = cells(backbone, chosen, noise=True)
            losses = [loss_of(head, one, chosen) for head, one in zip(heads, found, strict=True)]
        return torch.stack(losses).mean()

    history = take_steps(everything, optimiser, loss, budget, folder=out, log=log)
    held_out = [render_scene(FIRST_HELD_OUT_SEED + number) for number in range(budget.held_out)]
    scores = evaluate(backbone, heads[-1], [prepare(scene, labels, side=IMAGE_SIDE) for scene in held_out])
    card = {
        "name": "embedded trunk of IRNet",
        "model": "the project's own ResNet of bottlenecks, small",
        "data": f"toyref scenes of seeds {FIRST_SEED} to {FIRST_SEED + budget.scenes - 1}, which no split uses",
        **card_of("irn_backbone", budget, history, scores, start=start),
        "objective": "class, looks and box of the object at every cell (boxes only: no masks, no sentences)",
        "scored_on": f"cells of the last map on objects of scenes from seed {FIRST_HELD_OUT_SEED} on",
        "limits": "Knows rendered scenes only.",
        "architecture": asdict(EMBEDDED),
    }
    save_embedded(out, backbone.state_dict(), card)
    finish(out, log=log)


if __name__ == "__main__":
    run_script("irn_trunk", train, BUDGET)
