"""A training step of TRIS's Step 1 with and without CLIP's attention pool.

The authors run the pool on every image and throw its outputs away (TRIS spec 2.1); the project does not run it. Full
size with random weights, 320 x 320, all losses, AdamW. Both steps run in turn on one model.

Run: python -m tests.benchmarks.bench_attention_pool
"""

import statistics
import sys
import time

import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F

from ops.evaluation.flop_count import multiply_adds
from ops.tris.calibration import Scorer, response_loss
from ops.tris.losses import LossWeights
from ops.tris.response import ResponseConfig, ResponseModel
from resources.models.clip import load_clip
from resources.models.tris import clip_sizes

BATCH, TOKENS, REPEATS = 4, 20, 3
START, END = 49_406, 49_407
WEIGHTS = LossWeights()


class Wasteful(ResponseModel):
    """Step 1 as the authors run it."""

    def encode_images(self, images_B3HW: Tensor) -> Tensor:
        """c4, and for nothing what the pool says about it."""
        map_BDhw = super().encode_images(images_B3HW)
        pooled(self.clip.visual.attnpool, map_BDhw)
        return map_BDhw


def pooled(pool: open_clip.modified_resnet.AttentionPool2d, map_BDhw: Tensor) -> Tensor:
    """Attention among all cells and their mean, positions enlarged to the map: (1 + h * w, B, width of the output)."""
    height, width = map_BDhw.shape[-2:]
    first_1D, rest_GD = pool.positional_embedding.split([1, len(pool.positional_embedding) - 1])
    side = round(len(rest_GD) ** 0.5)
    grid_1Dhw = rest_GD.T.reshape(1, -1, side, side)
    larger_PD = F.interpolate(grid_1Dhw, (height, width), mode="bilinear")[0].flatten(1).T
    cells_PBD = map_BDhw.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([cells_PBD.mean(0, keepdim=True), cells_PBD]) + torch.cat([first_1D, larger_PD])[:, None]
    heads = [one(tokens).unflatten(-1, (pool.num_heads, -1)) for one in (pool.q_proj, pool.k_proj, pool.v_proj)]
    looked = F.scaled_dot_product_attention(*(one.permute(1, 2, 0, 3) for one in heads))
    return torch.as_tensor(pool.c_proj(looked.permute(2, 0, 1, 3).flatten(2)))


def example(scorer: Scorer) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalised images, ids, and the scorer's views of texts and of negatives."""
    rng = torch.Generator().manual_seed(0)
    ids_BT = torch.zeros(BATCH, TOKENS, dtype=torch.long)
    ids_BT[:, 0], ids_BT[:, 7] = START, END
    ids_BT[:, 1:7] = torch.randint(1, START, (BATCH, 6), generator=rng)
    texts_BE = scorer.embed_texts(ids_BT)
    negatives_BKE = texts_BE.roll(1, 0)[:, None].expand(-1, WEIGHTS.negatives, -1)
    return torch.randn(BATCH, 3, 320, 320, generator=rng), ids_BT, texts_BE, negatives_BKE


def step(model: ResponseModel, optimizer: torch.optim.Optimizer, scorer: Scorer, *batch: Tensor) -> float:
    """Processor seconds of a training step: its wall time would tell more about what else runs."""
    images_B3HW, ids_BT, texts_BE, negatives_BKE = batch
    start = time.process_time()
    responses = model(images_B3HW, ids_BT)
    response_loss(responses, images_B3HW, texts_BE, negatives_BKE, scorer=scorer, weights=WEIGHTS).total.backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - start


def main() -> None:
    """Print both times, their ratio, and the multiply-adds of a pass."""
    torch.manual_seed(0)
    clip = open_clip.CLIP(**clip_sizes("RN50"))
    scorer = Scorer(load_clip("ViT-B-32", random_weights=True).model)
    thrifty = ResponseModel(ResponseConfig(), clip)
    wasteful = Wasteful(ResponseConfig(), clip)
    wasteful.head = thrifty.head
    batch = example(scorer)
    counts = [multiply_adds(model.eval(), batch[0][:1], batch[1][:1]).total / 1e9 for model in (thrifty, wasteful)]
    optimizer = torch.optim.AdamW(thrifty.optimizer_groups(), lr=1e-6, fused=True)
    seconds: dict[ResponseModel, list[float]] = {thrifty: [], wasteful: []}
    for repeat in range(REPEATS + 1):
        for model, taken in seconds.items():
            one = step(model.train(), optimizer, scorer, *batch)
            taken += [one] if repeat else []  # the first is for warming up
    without, with_pool = (statistics.median(taken) for taken in seconds.values())
    sys.stdout.write(
        f"step of {BATCH} at 320 x 320: {without:.2f} processor seconds, with the attention pool {with_pool:.2f}, "
        f"ratio {with_pool / without:.2f}; {counts[0]:.2f} and {counts[1]:.2f} GMAC for one image and sentence\n"
    )


if __name__ == "__main__":
    main()
