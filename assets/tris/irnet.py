"""IRNet learns from seeds where objects end (TRIS spec 4.4): checkpoints in scratch, weights in the artifact."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from assets.data.images import read_pixels
from assets.data.tables import ImageRow, images_of
from assets.framework.training import training_options
from assets.framework.work import Work
from assets.tris.knobs import RefinementKnobs
from assets.tris.load import WEIGHTS
from assets.tris.tables import IRNET_HISTORY, SEEDS, IrnetStepRow, SeedRow
from ops.images import to_tensor
from ops.tris.crf import IGNORE
from ops.tris.irnet_training import IrnetPlan, settle_mean_displacement, top_left_crops, train_irnet
from resources.datasets import DatasetConfig, open_dataset
from resources.datasets.reading import Dataset
from resources.models.loading import open_irnet
from storage.weights import save_weights


def train(work: Work, knobs: RefinementKnobs) -> None:
    """Train on the table `seeds` of the slot, or take up where an earlier run ended; writes weights and curve.

    Raises:
        Refused: there are fewer seeds than a batch has.
    """
    plan = plan_of(work, knobs)
    config = work.instance.source.config
    pairs = SeedPairs(config=config, images=images_of(work), seeds=SEEDS.read_slot(work.slot))
    net = open_irnet(knobs.trunk, work.runtime, seed=plan.seed)
    history = train_irnet(net, pairs, plan, **training_options(work))
    settle_mean_displacement(net, top_left_crops(pairs.every_image(), plan=plan))
    card = {"trunk": knobs.trunk, "architecture": {"width": net.config.width}}
    save_weights(work.slot.content / WEIGHTS, net.state_dict(), card)
    steps = zip(history.step, history.loss, strict=True)
    IRNET_HISTORY.write(work.slot, [IrnetStepRow(step=step, loss=loss) for step, loss in steps])


def plan_of(work: Work, knobs: RefinementKnobs) -> IrnetPlan:
    """The knobs of the refinement that are IRNet's."""
    return IrnetPlan(
        epochs=knobs.epochs,
        batch_size=knobs.batch_size,
        crop=knobs.crop,
        radius=knobs.radius,
        edge_lr=knobs.edge_rate,
        displacement_lr=knobs.displacement_rate,
        seed=knobs.seed + work.instance.source.seed,
        checkpoint_every_steps=work.runtime.checkpoint_every,
    )


@dataclass(frozen=True, kw_only=True)
class SeedPairs(Sequence[tuple[Tensor, Tensor]]):
    """The image and the seed labels of each seed, read when asked for; a worker process opens the data set anew."""

    config: DatasetConfig
    images: Mapping[str, ImageRow]
    seeds: Sequence[SeedRow]

    @cached_property
    def dataset(self) -> Dataset:
        """The reader of the raw data."""
        return open_dataset(self.config)

    def __len__(self) -> int:
        """Number of seeds."""
        return len(self.seeds)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # no slices are asked for
        """(3, H, W) uint8 pixels and (H, W) uint8 labels: 1 object, 0 background, 255 ignored."""
        seed = self.seeds[row]
        foreground_HW, ignored_HW = seed.foreground_mask.decode(), seed.ignored_mask.decode()
        labels_HW = np.where(ignored_HW, IGNORE, foreground_HW).astype(np.uint8)
        return self.image(seed.image_id), torch.from_numpy(labels_HW)

    def image(self, image_id: str) -> Tensor:
        """(3, H, W) uint8."""
        return to_tensor(read_pixels(self.dataset, self.images[image_id]))

    def every_image(self) -> Iterator[Tensor]:
        """Each image once, in the order of the seeds."""
        return map(self.image, dict.fromkeys(seed.image_id for seed in self.seeds))
