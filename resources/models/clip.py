"""CLIP from open_clip: texts and images as unit vectors (S+S+C stages 1 and 2, specs 2.3, 3.2 and 3.4).

The embedded model is open_clip's own `CLIP` class, only smaller and with a vocabulary of words; those of the papers are
OpenAI's weights (quick-gelu) from a local file; any other of open_clip is opened by `open_clip_models`.

Shapes: N texts, images or masks, L tokens, D embedding width, S the model's image side, G patches along it.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from ops.refusal import Refused
from resources.embedded.cards import load_embedded
from resources.model_files import read_text
from resources.models.clip_images import OPENAI, Crop, Preparation, prepare_images
from resources.models.refs import EMBEDDED, ModelRef
from resources.models.torchscript import is_torchscript, read_torchscript
from resources.models.weights import building, load_strictly, read_safetensors, read_torch

Tokenizer = Callable[[Sequence[str]], Tensor]

FULL_SIZES = {
    "ViT-B-32": "ViT-B-32-quickgelu",
    "ViT-L-14-336": "ViT-L-14-336-quickgelu",
    "RN50": "RN50-quickgelu",
}
"""Our names, and open_clip's names of the same networks with the activation that OpenAI trained with."""

VOCABULARY = "vocabulary.txt"
TEXTS_PER_BATCH = 256
IMAGES_PER_BATCH = 64
_ARCHIVE_EXTRAS = re.compile("input_resolution|context_length|vocab_size")


class WordTokenizer:
    """One id per word: 0 padding, 1 unknown, 2 start, then the words, and the end as the largest id.

    open_clip takes the text's feature at the largest id of a row, so the end must come last.
    """

    def __init__(self, words: Sequence[str], *, context_length: int) -> None:
        self.context_length = context_length
        self.words = tuple(words)
        self.ids = {word: 3 + i for i, word in enumerate(self.words)}
        self.unknown, self.start, self.end = 1, 2, 3 + len(self.words)

    @property
    def size(self) -> int:
        """Number of ids."""
        return self.end + 1

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """ids_NL, int64; a text that is too long loses its last words, never its end."""
        ids_NL = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in zip(ids_NL, texts, strict=True):
            ids = [self.ids.get(word, self.unknown) for word in split_words(text)]
            ids = [self.start, *ids[: self.context_length - 2], self.end]
            row[: len(ids)] = torch.tensor(ids)
        return ids_NL


def split_words(text: str) -> list[str]:
    """Lower-case words of a text; punctuation is dropped."""
    return re.findall(r"[a-z0-9]+", text.lower())


class Clip:
    """Texts and images in one space, always float32 and, unless asked otherwise, of unit length.

    Attributes:
        model: open_clip's network, in evaluation mode, on its device.
        tokenizer: texts to ids_NL.
        preparation: how the network wants its images.
        width: D.
        image_size: the side S of the network's input.
        image_passes: images encoded so far.
        text_passes: texts encoded so far.
    """

    def __init__(
        self,
        model: open_clip.CLIP | open_clip.CustomTextCLIP,
        tokenizer: Tokenizer,
        *,
        device: torch.device | str = "cpu",
        preparation: Preparation = OPENAI,
        width: int | None = None,
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.preparation = preparation
        self.width = width or int(model.text_projection.shape[-1])
        self.image_size = int(
            model.visual.image_size[0] if _is_pair(model.visual.image_size) else model.visual.image_size
        )
        self.image_passes = 0
        self.text_passes = 0

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return self.model.logit_scale.device

    @property
    def logit_scale(self) -> float:
        """What a cosine is multiplied by before it is a logit; no choice by cosine depends on it."""
        return float(self.model.logit_scale.detach().exp())

    @property
    def logit_bias(self) -> float:
        """What SigLIP adds to a logit, so that its sigmoid is a probability; 0 where the network has none."""
        bias = self.model.logit_bias
        return 0.0 if bias is None else float(bias.detach())

    @property
    def tower(self) -> VisionTransformer:
        """The network that reads images, where tokens can be masked.

        Raises:
            Refused: it is no vision transformer.
        """
        if not isinstance(self.model.visual, VisionTransformer):
            raise Refused(
                "masking tokens needs a CLIP with a vision transformer: choose 'embedded', 'ViT-B-32' or 'ViT-L-14-336'"
            )
        return self.model.visual

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str], *, unit: bool = True) -> Tensor:
        """Vectors of the texts as they are given, without a template.

        Args:
            texts: any number.
            unit: bring the vectors to unit length.

        Returns:
            features_ND, float32, on the CPU.
        """
        if not texts:
            return torch.zeros(0, self.width)
        self.text_passes += len(texts)
        ids_NL = self.tokenizer(list(texts)).to(self.device)
        parts = [
            self.model.encode_text(ids, normalize=unit).float().cpu() for ids in torch.split(ids_NL, TEXTS_PER_BATCH)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def encode_images(self, images_N3HW: Tensor, *, crop: Crop, unit: bool = True) -> Tensor:
        """Vectors of images of one size.

        Args:
            images_N3HW: RGB in [0, 255] at their original resolution, uint8 or floating point, on any device.
            crop: how an image becomes a square, see `prepare_images`.
            unit: bring the vectors to unit length.

        Returns:
            features_ND, float32, on the CPU.

        Raises:
            Refused: the images are too narrow, see `prepare_images`.
            ValueError: not a batch of RGB images.
        """
        return self.encode_prepared(self.prepared(images_N3HW, crop=crop), unit=unit)

    @torch.inference_mode()
    def prepared(self, images_N3HW: Tensor, *, crop: Crop) -> Tensor:
        """Images of one size as the network wants them, images_N3SS, float32, on its device; raises as above."""
        if images_N3HW.ndim != 4 or images_N3HW.shape[1] != 3:
            raise ValueError(f"images must be N x 3 x H x W, not {tuple(images_N3HW.shape)}")
        if len(images_N3HW) == 0:
            return torch.zeros(0, 3, self.image_size, self.image_size)
        prepare = partial(prepare_images, size=self.image_size, crop=crop, preparation=self.preparation)
        return torch.cat([prepare(part.to(self.device)) for part in images_N3HW.split(IMAGES_PER_BATCH)])

    @torch.inference_mode()
    def encode_prepared(self, images_N3SS: Tensor, *, unit: bool = True) -> Tensor:
        """Vectors features_ND, as `encode_images`, of images that are `prepared`, whatever their sizes were."""
        if len(images_N3SS) == 0:
            return torch.zeros(0, self.width)
        self.image_passes += len(images_N3SS)
        parts = images_N3SS.split(IMAGES_PER_BATCH)
        return torch.cat([self.model.encode_image(part, normalize=unit).float().cpu() for part in parts])

    @torch.inference_mode()
    def encode_token_masked(self, image_3SS: Tensor, weights_NGG: Tensor, *, first: int) -> Tensor:
        """Vectors of one image, not of unit length, with its patch tokens weighted before the last blocks.

        The blocks before `first` run once whatever the number of masks. The class token is never weighted, so that
        weights of one give what `encode_images` gives.

        Args:
            image_3SS: RGB in [0, 255], already in the network's square.
            weights_NGG: of the patch tokens, for each mask.
            first: the tokens are weighted before this block, counted from 0, and before each one after it.

        Returns:
            features_ND, float32, on the CPU.

        Raises:
            Refused: the network is no vision transformer.
            ValueError: there is not one weight for each of its tokens.
        """
        tower = self.tower
        if tuple(weights_NGG.shape[1:]) != tuple(tower.grid_size):
            raise ValueError(f"weights must be N x {tower.grid_size}, one a token, not {tuple(weights_NGG.shape)}")
        weights_NL1 = F.pad(weights_NGG.flatten(1), (1, 0), value=1.0)[..., None].to(self.device)

        def weigh(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (inputs[0] * weights_NL1, *inputs[1:])  # the first time, 1 x L x D becomes N x L x D

        self.image_passes += 1
        with ExitStack() as hooks:
            for block in tower.transformer.resblocks[first:]:
                hooks.enter_context(block.register_forward_pre_hook(weigh))
            return self.model.encode_image(self.prepared(image_3SS[None], crop="center")).float().cpu()


def load_clip(
    name: str = EMBEDDED,
    *,
    checkpoint: Path | None = None,
    device: torch.device | str = "cpu",
    random_weights: bool = False,
) -> Clip:
    """Load a CLIP for use.

    Args:
        name: `"embedded"`, or `"ViT-B-32"`, `"ViT-L-14-336"`, `"RN50"` (OpenAI's); others are opened by
            `resources.models.open_clip_models`.
        checkpoint: OpenAI's local file (`ViT-B-32.pt`, a TorchScript archive) or a state dict of it (`.pt`,
            `.safetensors`); for an embedded one its folder, None: the one that ships. Nothing is ever downloaded.
        device: where the network runs.
        random_weights: build OpenAI's network without its weights; only for tests of shapes and speed.

    Raises:
        Refused: unknown name, no checkpoint for a published model, or one whose keys do not match exactly.
    """
    ref = ModelRef("clip_vit", name)
    if ref.is_embedded:
        return load_embedded_clip(checkpoint or ref.path(), device=device)
    if name not in FULL_SIZES:
        raise Refused(f"unknown CLIP {name!r}: choose one of {(EMBEDDED, *FULL_SIZES)}")
    if checkpoint is None and not random_weights:
        raise Refused(f"{name} needs its checkpoint, a local file such as {name}.pt from OpenAI: set its path")
    weights = read_state(checkpoint) if checkpoint else {}  # a wrong file is found before a large network is built
    model = open_clip.CLIP(**open_clip.get_model_config(FULL_SIZES[name]))
    if checkpoint is not None:
        load_strictly(model, weights, source=checkpoint, ignored=_ARCHIVE_EXTRAS)
    return Clip(model, open_clip.get_tokenizer(FULL_SIZES[name]), device=device)


def load_embedded_clip(folder: Path, *, device: torch.device | str = "cpu") -> Clip:
    """Load a small CLIP from a folder of weights, card and vocabulary."""
    state, card = load_embedded(folder)
    with building(folder):
        model = build_small_clip(card["architecture"])
        length = card["architecture"]["text_cfg"]["context_length"]
    tokenizer = WordTokenizer(read_words(folder), context_length=length)
    if tokenizer.size > model.vocab_size:
        raise Refused(f"{folder / VOCABULARY} has more words than the model beside it has vectors; restore both")
    load_strictly(model, state, source=folder)
    return Clip(model, tokenizer, device=device)


def read_words(folder: Path) -> list[str]:
    """The vocabulary of an embedded CLIP."""
    return read_text(folder / VOCABULARY).split()


def build_small_clip(architecture: dict[str, Any]) -> open_clip.CLIP:
    """open_clip's `CLIP` of the given sizes (its `embed_dim`, `vision_cfg`, `text_cfg`), with random weights."""
    return open_clip.CLIP(**architecture)


def read_state(checkpoint: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors file, a TorchScript archive or a plain file of tensors."""
    if checkpoint.suffix == ".safetensors":
        return read_safetensors(checkpoint)
    return read_torchscript(checkpoint) if is_torchscript(checkpoint) else read_torch(checkpoint)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple | list)
