"""IRNet learns from seeds where objects end (TRIS spec 4.4): checkpoints in scratch, weights in the artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assets.data.images import read_image
from assets.data.tables import ImageRow, images_of
from assets.framework.work import Work
from assets.tris.knobs import RefinementKnobs
from assets.tris.load import WEIGHTS
from assets.tris.tables import IRNET_HISTORY, SEEDS, IrnetStepRow, SeedRow
from ops.refusal import Refused
from resources.models.loading import open_irnet
from storage.weights import latest_checkpoint, save_checkpoint, save_weights

if TYPE_CHECKING:
    from torch import Tensor

    from ops.tris.irnet import Irnet
    from ops.tris.irnet_training import IrnetPlan, IrnetTraining


def trained_irnet(work: Work, knobs: RefinementKnobs) -> Irnet:
    """Train on the table `seeds` of the slot, or take up where an earlier run ended; writes weights and curve.

    Raises:
        Refused: there are fewer seeds than a batch has.
    """
    from ops.tris.irnet_training import IrnetPlan, IrnetTraining

    seeds = SEEDS.read_slot(work.slot)
    seed = knobs.seed + work.instance.source.seed
    plan = IrnetPlan(
        epochs=knobs.epochs,
        batch_size=knobs.batch_size,
        crop=knobs.crop,
        radius=knobs.radius,
        edge_lr=knobs.edge_rate,
        displacement_lr=knobs.displacement_rate,
        seed=seed,
    )
    if not (total := plan.steps(len(seeds))):
        raise Refused(f"{len(seeds)} objects have seeds, fewer than a batch of {plan.batch_size}; lower batch_size")
    training = IrnetTraining(open_irnet(knobs.trunk, work.runtime, seed=seed), plan, total=total)
    losses = _follow(work, training, seeds, total)
    _settle(work, training.net, plan, seeds)
    card = {"trunk": knobs.trunk, "architecture": {"width": training.net.config.width}}
    save_weights(work.slot.content / WEIGHTS, training.net.state_dict(), card)
    IRNET_HISTORY.write(work.slot, [IrnetStepRow(step=step, loss=loss) for step, loss in enumerate(losses, 1)])
    return training.net


def _follow(work: Work, training: IrnetTraining, seeds: Sequence[SeedRow], total: int) -> list[float]:
    """Take every step that is left; the loss of all steps."""
    folder = work.slot.scratch / "checkpoints"
    saved = latest_checkpoint(folder, log=work.log)
    losses: list[float] = saved["losses"] if saved else []
    if saved:
        training.restore(saved)
    plan, images = training.plan, images_of(work)
    per_epoch = total // plan.epochs
    for step in range(training.step, total):
        order = np.random.default_rng([plan.seed, step // per_epoch]).permutation(len(seeds))
        first = step % per_epoch * plan.batch_size
        chosen = [seeds[row] for row in order[first : first + plan.batch_size]]
        pictures, labels = _batch(work, plan, images, chosen, np.random.default_rng([plan.seed, step, 1]))
        device = next(training.net.parameters()).device
        losses.append(training.advance(pictures.to(device), labels.to(device)).total.item())
        if training.step % work.runtime.checkpoint_every == 0 or training.step == total:
            save_checkpoint(folder, {**training.state(), "losses": losses})
            work.log(f"IRNet: step {training.step}/{total}  loss {np.mean(losses[-20:]):.4f}")
    return losses


def _batch(
    work: Work,
    plan: IrnetPlan,
    images: Mapping[str, ImageRow],
    seeds: Sequence[SeedRow],
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Augmented pictures (B, 3, S, S) and labels (B, s, s) of seed rows."""
    import torch

    from ops.images import to_tensor
    from ops.tris.irnet_training import augment

    samples = []
    for row in seeds:
        image_3HW = to_tensor(read_image(work, images[row.image_id]))
        samples.append(augment(image_3HW, _labels(row), plan=plan, rng=rng))
    return torch.stack([picture for picture, _ in samples]), torch.stack([labels for _, labels in samples])


def _labels(row: SeedRow) -> Tensor:
    """(H, W) uint8: 1 object, 0 background, 255 ignored."""
    import torch

    from ops.tris.crf import IGNORE

    foreground_HW, ignored_HW = row.foreground_mask.decode(), row.ignored_mask.decode()
    return torch.from_numpy(np.where(ignored_HW, IGNORE, foreground_HW).astype(np.uint8))


def _settle(work: Work, net: Irnet, plan: IrnetPlan, seeds: Sequence[SeedRow]) -> None:
    """The mean displacement over the training images, which inference takes off (TRIS spec 4.4)."""
    import torch

    from ops.images import normalise, to_tensor
    from ops.tris.irnet_training import crop, settle_mean_displacement

    images, device = images_of(work), next(net.parameters()).device
    ids = list(dict.fromkeys(row.image_id for row in seeds))

    def batches() -> Iterator[Tensor]:
        for start in range(0, len(ids), plan.batch_size):
            pictures = (read_image(work, images[image_id]) for image_id in ids[start : start + plan.batch_size])
            squares = [crop(normalise(to_tensor(one)), side=plan.crop, outside=0) for one in pictures]
            yield torch.stack(squares).to(device)

    settle_mean_displacement(net, batches())
