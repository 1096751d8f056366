"""Train the embedded backbone of IRNet: what ImageNet is to the published ResNet-50, rendered scenes are to this one.

    python -m assets.pretraining.irn_backbone --out resources/embedded/irn_trunk --minutes 3

The task is the embedded Swin's: class, looks and box of the object at every cell of the last three maps. Boxes are used
and no masks, so that edges are left for IRNet to find.

Shapes: N scenes, B images of a batch, S their side, h x w cells of a map, C channels.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from assets.pretraining.auxiliary_heads import attribute_accuracy, label_lists
from assets.pretraining.swin import Example, Heads, loss_of, mirrored, prepare, targets
from assets.pretraining.training_script import TrainingRun, run_script, with_earlier_runs
from assets.pretraining.wall_clock_schedule import timed_steps
from ops.images import normalise
from ops.tris.irnet import EMBEDDED, FrozenResNet
from resources.embedded.cards import load_embedded, save_embedded
from resources.toyref.refcoco_writer import PRETRAINING_SEEDS_START
from resources.toyref.scenes import Framing, render_scene

FIRST_SEED = PRETRAINING_SEEDS_START + 80_000_000
FIRST_HELD_OUT_SEED = PRETRAINING_SEEDS_START + 89_000_000
SCENES_PER_MINUTE = 600
MOST_SCENES = 6000
BATCH = 16
IMAGE_SIDES: dict[Framing, int] = {"wide": 176, "close": 120}
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


def train(
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    start: Path | None = None,
    framing: Framing = "wide",
    log: Callable[[str], None],
) -> dict[str, float]:
    """Train for `minutes` (drawing and scoring come on top), write the folder `out`, return the scores.

    Each seed has scenes of its own; `start` is the folder of an earlier run to go on from.
    """
    torch.manual_seed(seed)
    rng, began = np.random.default_rng(seed), time.monotonic()
    count = int(np.clip(SCENES_PER_MINUTE * minutes, 2 * BATCH, MOST_SCENES))
    first_scene = FIRST_SEED + seed * MOST_SCENES
    scenes = [render_scene(first_scene + number, framing=framing) for number in range(count)]
    labels = label_lists(scenes)
    side = IMAGE_SIDES[framing]
    examples = [prepare(scene, labels, side=side) for scene in scenes]
    log(f"{count} scenes rendered in {time.monotonic() - began:.0f} s")
    backbone = FrozenResNet(EMBEDDED)
    if start:
        backbone.load_state_dict(load_embedded(start)[0])
    heads = [Heads(EMBEDDED.width * 4 * 2 ** (number - 1), labels) for number in TAUGHT]
    steps = optimise(learning(backbone, on=True), heads, examples, list(labels).index("across"), rng, minutes, log)
    held_out_seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + (100 if minutes >= 1 else 4))
    held_out = [render_scene(number, framing=framing) for number in held_out_seeds]
    scores = evaluate(backbone, heads[-1], [prepare(scene, labels, side=side) for scene in held_out])
    log(f"{scores}")
    seconds = round(time.monotonic() - began)
    run = TrainingRun(
        minutes=minutes,
        seed=seed,
        first_scene=first_scene,
        scenes=count,
        steps=steps,
        seconds=seconds,
        framing=framing,
    )
    card = {
        "name": "embedded trunk of IRNet",
        "model": "the project's own ResNet of bottlenecks, small",
        **with_earlier_runs(run, start=start),
        "objective": "class, looks and box of the object at every cell (boxes only: no masks, no sentences)",
        "scores": {name: round(value, 4) for name, value in scores.items()},
        "scored_on": f"cells of the last map on objects of 100 scenes from seed {FIRST_HELD_OUT_SEED} on",
        "limits": "Knows rendered scenes only.",
        "architecture": asdict(EMBEDDED),
        "licence": "Apache-2.0",
    }
    save_embedded(out, backbone.state_dict(), card)
    return scores


def optimise(
    backbone: FrozenResNet,
    heads: Sequence[Heads],
    examples: Sequence[Example],
    across: int,
    rng: np.random.Generator,
    minutes: float,
    log: Callable[[str], None],
) -> int:
    """Train until the time is over; returns the number of steps. `across` is the attribute that a mirror changes."""
    parameters = [*backbone.parameters(), *(one for head in heads for one in head.parameters())]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.05, betas=(0.9, 0.98), fused=True)
    for tick in timed_steps(optimiser, minutes=minutes):
        chosen = [examples[pick] for pick in rng.choice(len(examples), BATCH, replace=False)]
        chosen = [mirrored(one, across) if rng.random() < 0.5 else one for one in chosen]
        with torch.autocast("cpu", torch.bfloat16):
            found = cells(backbone, chosen, noise=True)
            losses = [loss_of(head, one, chosen) for head, one in zip(heads, found, strict=True)]
        loss = torch.stack(losses).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if tick.report:
            log(f"{tick.elapsed:6.0f} s  step {tick.step:5d}  losses {[round(one.item(), 2) for one in losses]}")
    return tick.step + 1


if __name__ == "__main__":
    run_script(train, minutes=3, description="Train the embedded backbone of IRNet.")
