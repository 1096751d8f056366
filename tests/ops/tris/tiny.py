"""A CLIP with a ResNet small enough for tests, in open_clip's own classes; ids 0 padding, 48 start, 49 end."""

from typing import Any

import open_clip
import torch
from torch import Tensor, nn

START, END, SIDE = 48, 49, 96
EMBED, TEXT_WIDTH, CONTEXT = 16, 32, 12

TEXT = {"context_length": CONTEXT, "vocab_size": 50, "width": TEXT_WIDTH, "heads": 2, "layers": 1}
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "patch_size": None}
VIT = {"layers": 1, "width": 32, "image_size": 28, "patch_size": 7, "head_width": 16}


def clip(vision: dict[str, Any], *, seed: int = 0) -> open_clip.CLIP:
    """Random weights; batch norms have random statistics and no zeroed scale."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.CLIP(embed_dim=EMBED, vision_cfg=vision, text_cfg=TEXT, quick_gelu=True)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for name, value in module.state_dict().items():
                    if name in ("weight", "running_var"):
                        nn.init.uniform_(value, 0.5, 1.5)
                    elif name != "num_batches_tracked":
                        nn.init.normal_(value, std=0.2)
    return model.eval()


def images(count: int, *, seed: int = 1, side: int = SIDE) -> Tensor:
    """Normalised pictures (count, 3, side, side)."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def ids(count: int, *, length: int = 8, seed: int = 2) -> Tensor:
    """Different sentences of 1 to length - 2 words, (count, length)."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(count, length, dtype=torch.long)
    for number, row in enumerate(rows):
        words = 1 + number % (length - 2)
        row[0], row[words + 1] = START, END
        row[1 : words + 1] = torch.randint(1, START, (words,), generator=generator)
    return rows
