"""How a CLIP wants its images: size, colours and what becomes of their shape. Each brings its own numbers.

open_clip, which takes 200 MB, is imported only for a CLIP that its own table lists.
Shapes: N images, H x W pixels, S the side of the network's square.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.refusal import Refused
from resources.model_files import read_json
from resources.models.clip_names import CONFIG
from resources.models.refs import ModelRef

Crop = Literal["center", "pad"]
Resize = Literal["shortest", "longest", "squash"]
MAX_ASPECT = 200
"""Longer side of an image by its shorter one; an image enlarged to the network's square needs as much memory."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """open_clip's `PreprocessCfg`, but for the size. Defaults: OpenAI's."""

    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    """Of RGB in [0, 1]."""
    resize: Resize = "shortest"
    """Which side becomes S: the shorter (then the centre is cut out), the longer (then the rest is filled), or both."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0
    """Grey value of what is filled."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Preparation":
        """From the names that open_clip uses; what is not said is as OpenAI's.

        Raises:
            ValueError: a value is none that images can be prepared by.
        """
        said = {name: value for name, value in config.items() if value is not None}
        found = cls(
            mean=_three(said.get("mean", cls.mean)),
            std=_three(said.get("std", cls.std)),
            resize=said.get("resize_mode", cls.resize),
            interpolation="bilinear" if said.get("interpolation") == "bilinear" else "bicubic",
            fill=int(said.get("fill_color", cls.fill)),
        )
        if found.resize not in ("shortest", "longest", "squash"):
            raise ValueError(f"resize_mode is {found.resize!r}")
        if not all(deviation > 0 for deviation in found.std):
            raise ValueError(f"std is {found.std}")
        return found


OPENAI = Preparation()


def preparation_of(ref: ModelRef) -> Preparation:
    """What the publishers of a CLIP say of its images; the network is not opened.

    Raises:
        MissingCheckpoint: it is of a hub, open_clip's table does not list it, and its folder is not there.
        Refused: its configuration cannot be read.
        ValueError: as `Preparation.from_config`.
    """
    if not ref.is_of_a_hub:
        return OPENAI
    architecture, _, tag = ref.name.partition(":")
    if tag:
        from open_clip.pretrained import get_pretrained_cfg

        if listed := get_pretrained_cfg(architecture, tag):
            return Preparation.from_config(listed)
    return Preparation.from_config(read_json(ref.path() / CONFIG).get("preprocess_cfg", {}))


def prepare_images(images_N3HW: Tensor, *, size: int, crop: Crop, preparation: Preparation = OPENAI) -> Tensor:
    """CLIP's preprocessing (S+S+C spec 3.4) on a batch of tensors.

    `"center"` is the network's own way. With OpenAI's, the shorter side becomes `size` (bicubic, antialiased), then the
    centre is cut out, so that a 4:3 image loses an eighth on each side; SigLIP squeezes the whole image to the square.
    `"pad"`: the shorter side is first filled up with the mean colour, evenly on both sides, so that nothing is lost and
    nothing is squeezed.

    Args:
        images_N3HW: RGB in [0, 255], uint8 or floating point.
        size: S.
        crop: see above.
        preparation: the network's numbers.

    Returns:
        prepared_N3SS, float32, normalised by the network's mean and standard deviation.

    Raises:
        Refused: the image is so narrow that little of it would be left, at a great cost in memory.
    """
    images_N3HW = images_N3HW.float()
    mean_311 = torch.tensor(preparation.mean, device=images_N3HW.device).view(3, 1, 1)
    std_311 = torch.tensor(preparation.std, device=images_N3HW.device).view(3, 1, 1)
    if crop == "pad":
        images_N3HW = _pad_to_square(images_N3HW, colour_311=255 * mean_311)
    height, width = images_N3HW.shape[-2:]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise Refused(
            f"an image of {width} x {height} pixels is too narrow: CLIP would see less than 1/{MAX_ASPECT} of it; "
            "crop it"
        )
    target = target_shape(height, width, size=size, resize=preparation.resize)
    if target != (height, width):
        images_N3HW = F.interpolate(
            images_N3HW, target, mode=preparation.interpolation, antialias=True, align_corners=False
        )
        images_N3HW = images_N3HW.clamp(0, 255)  # bicubic overshoots; 8-bit images cannot
    if min(target) < size:
        images_N3HW = _pad_to_square(images_N3HW, colour_311=torch.full_like(mean_311, preparation.fill))
        target = (size, size)
    top, left = round((target[0] - size) / 2), round((target[1] - size) / 2)
    images_N3SS = images_N3HW[..., top : top + size, left : left + size]
    return (images_N3SS / 255 - mean_311) / std_311


def target_shape(height: int, width: int, *, size: int, resize: Resize) -> tuple[int, int]:
    """Height and width that an image is resized to before anything is cut or filled."""
    if resize == "squash":
        return size, size
    if resize == "longest":
        longer = max(height, width)
        return max(round(size * height / longer), 1), max(round(size * width / longer), 1)
    short = min(height, width)
    return int(size * height / short), int(size * width / short)


def _pad_to_square(images_N3HW: Tensor, *, colour_311: Tensor) -> Tensor:
    count, _, height, width = images_N3HW.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square_N3SS = colour_311.expand(count, 3, side, side).clone()
    square_N3SS[..., top : top + height, left : left + width] = images_N3HW
    return square_N3SS


def _three(values: Any) -> tuple[float, ...]:
    numbers = tuple(map(float, values if isinstance(values, list | tuple) else [values] * 3))
    if len(numbers) != 3:
        raise ValueError(f"{values} are not one number for each of three channels")
    return numbers
