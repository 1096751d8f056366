"""Open-vocabulary detector: Grounding DINO, from the published Swin-T to the small one that ships with the project.

Both are one architecture with other numbers (`DetectorSizes`), built from groundingdino-py's own classes. Images are
resized and normalised here and boxes brought back to pixels here; the package's own inference helpers are not used.
Turning raw scores into detections of classes is arithmetic and lives in `ops.ssc.detections`.

Shapes: Q queries, T tokens of the caption, H x W pixels of the original image.
"""

import contextlib
import dataclasses
import importlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers import BertTokenizer

from ops.refusal import Refused
from resources.embedded.cards import load_embedded
from resources.models.batches import in_shapes
from resources.models.detection import RawDetections
from resources.models.grounding_text import build_phrase_bert, read_bert_sizes, read_tokenizer
from resources.models.pixel_boxes import pixel_corners
from resources.models.refs import ModelRef
from resources.models.weights import building, load_strictly, named, read_torch, renamed

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
MAX_TOKENS = 256
"""Width of the package's score table: longer captions would be cut silently, so they are refused."""
CAPTION_TOKENS = MAX_TOKENS - 2
"""What is left of it beside `[CLS]` and `[SEP]`."""

UNUSED_KEYS = re.compile(r"label_enc\.weight|bert\.embeddings\.position_ids")
"""What the published checkpoint holds beyond the model: a table for training, an index buffer of old transformers."""

_HEAD_INPUT = 512
"""Width of the box position embedding, fixed in the package (4 coordinates x 128)."""


@dataclass(frozen=True, kw_only=True)
class DetectorSizes:
    """Everything that tells one Grounding DINO from another. Defaults: Swin-T OGC."""

    swin_dim: int = 96
    swin_depths: tuple[int, ...] = (2, 2, 6, 2)
    swin_heads: tuple[int, ...] = (3, 6, 12, 24)
    swin_window: int = 7
    swin_mlp_ratio: float = 4.0
    swin_out: tuple[int, ...] = (1, 2, 3)
    hidden: int = 256
    heads: int = 8
    feedforward: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    queries: int = 900
    levels: int = 4
    encoder_points: int = 4
    decoder_points: int = 4
    text_enhancer: bool = True
    learned_queries: bool = True
    """True: the decoder starts from learned contents; False: from the encoder's features at the chosen places."""
    shorter_side: int = 800
    """Pixels the shorter side of an image is resized to."""
    longer_side: int = 1333
    """Bound on the longer side, kept by shrinking further."""
    bert: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Keywords of transformers' BertConfig; empty: bert-base-uncased."""

    @classmethod
    def from_card(cls, numbers: Mapping[str, Any]) -> "DetectorSizes":
        """Read back what `dataclasses.asdict` and JSON made of the sizes."""
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in numbers.items()}
        return cls(**values)


SWINT_OGC = DetectorSizes()
"""GroundingDINO_SwinT_OGC: Liu et al. 2023, arXiv 2303.05499, and the configuration published with it."""


class GroundingDino:
    """A Grounding DINO of groundingdino-py.

    Images of one size go through a published network together; the embedded one takes an image and a caption at a time,
    so that no result depends on its neighbours.
    """

    caption_tokens = CAPTION_TOKENS
    together = False
    """Whether images of one size share a pass."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: BertTokenizer,
        *,
        sizes: DetectorSizes,
        device: torch.device | str = "cpu",
        together: bool = False,
    ) -> None:
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.sizes = sizes
        self.device = torch.device(device)
        self.together = together
        self.passes = 0
        """How many images went through the network so far."""

    def tokens(self, text: str) -> int:
        """How many tokens a text has, `[CLS]` and `[SEP]` not among them."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def score(self, images: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> list[RawDetections]:
        """As `CaptionModel.score`."""
        if not self.together:
            return [self.detect(image, text) for image, text in zip(images, captions, strict=True)]
        return in_shapes(self._score_alike, images, captions)

    def detect(self, image_HW3: NDArray[np.uint8], caption_text: str) -> RawDetections:
        """Score every query of the network against every token of the caption.

        Args:
            image_HW3: RGB, uint8.
            caption_text: phrases that end in " ." (`ops.ssc.captions.caption` makes one).

        Raises:
            Refused: the caption has more than 256 tokens.
        """
        return self._score_alike([image_HW3], [caption_text])[0]

    @torch.inference_mode()
    def _score_alike(self, images: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> list[RawDetections]:
        """The same for images of one size."""
        encodings = [self._encoded(text) for text in captions]
        pixels_B3HW = torch.stack([prepare_image(image, sizes=self.sizes) for image in images]).to(self.device)
        with quiet():
            output = self.model(pixels_B3HW, captions=list(captions))
        self.passes += len(images)
        height, width = images[0].shape[:2]
        boxes_BQ4 = pixel_corners(output["pred_boxes"].float().cpu(), height=height, width=width)
        scores_BQT = output["pred_logits"].float().sigmoid().cpu().numpy()
        return [
            RawDetections(
                boxes_Q4=boxes_Q4,
                token_scores_QT=scores_QT[:, : len(encoding["input_ids"])],
                offsets=tuple((int(start), int(end)) for start, end in encoding["offset_mapping"]),
            )
            for boxes_Q4, scores_QT, encoding in zip(boxes_BQ4, scores_BQT, encodings, strict=True)
        ]

    def _encoded(self, caption_text: str) -> Any:
        encoding = self.tokenizer(caption_text, return_offsets_mapping=True)
        if (tokens := len(encoding["input_ids"])) > MAX_TOKENS:
            raise Refused(f"the caption has {tokens} tokens, at most {MAX_TOKENS} fit: ask for fewer classes at a time")
        return encoding


def load_detector(
    name: str,
    *,
    checkpoint: Path | None = None,
    bert: Path | None = None,
    random_weights_seed: int | None = None,
    device: torch.device | str = "cpu",
) -> GroundingDino:
    """Build a detector and fill it with its weights.

    Args:
        name: "embedded", or "swint_ogc" for the published Swin-T.
        checkpoint: `groundingdino_swint_ogc.pth`, or the folder of an embedded one (None: the one that ships).
        bert: folder of bert-base-uncased (config.json and vocab.txt; its weights are in the checkpoint already).
        random_weights_seed: build "swint_ogc" with random weights instead, to try the machinery without the files.
        device: where the network runs.

    Raises:
        Refused: an unknown name, missing files, or a checkpoint that does not belong to the model.
    """
    ref = ModelRef("detector", name)
    if ref.is_embedded:
        folder = checkpoint or ref.path()
        state, card = load_embedded(folder)
        tokenizer = read_tokenizer(folder)
        with building(folder):
            sizes = DetectorSizes.from_card(card["architecture"])
            model = build_grounding_dino(sizes, tokenizer)
        load_strictly(model, state, source=folder)
    elif name == "swint_ogc":
        tokenizer = read_tokenizer(bert or _embedded_words_if(random_weights_seed is not None))
        sizes = dataclasses.replace(SWINT_OGC, bert=read_bert_sizes(bert) if bert else {})
        weights = read_published(checkpoint) if random_weights_seed is None else {}
        with _seeded(random_weights_seed), building(bert or name):
            model = build_grounding_dino(sizes, tokenizer)
        if random_weights_seed is None:
            load_strictly(model, weights, source=str(checkpoint), ignored=UNUSED_KEYS)
    else:
        raise Refused(f"unknown detector {name!r}: choose 'embedded' or 'swint_ogc'")
    return GroundingDino(model, tokenizer, sizes=sizes, device=device, together=not ref.is_embedded)


def build_grounding_dino(sizes: DetectorSizes, tokenizer: BertTokenizer) -> nn.Module:
    """A groundingdino-py GroundingDINO of the given sizes, random weights, our text encoder inside."""
    package = _import_package("groundingdino.models.GroundingDINO.groundingdino")
    with quiet(), _text_encoder(package, build_phrase_bert(sizes.bert), tokenizer):
        model: nn.Module = package.GroundingDINO(
            _build_backbone(sizes),
            _build_transformer(sizes),
            num_queries=sizes.queries,
            iter_update=True,
            query_dim=4,
            num_feature_levels=sizes.levels,
            nheads=sizes.heads,
            two_stage_type="standard",
            two_stage_bbox_embed_share=False,
            two_stage_class_embed_share=False,
            dn_number=0,
            sub_sentence_present=True,
            max_text_len=MAX_TOKENS,
        )
    return model


def read_published(checkpoint: Path | None) -> dict[str, Tensor]:
    """The state dict inside a Grounding DINO `.pth`, as plain data, with the training wrapper's prefix removed.

    Raises:
        Refused: no file was named, or it does not hold a model.
    """
    if checkpoint is None or not checkpoint.exists():
        raise Refused(f"no detector checkpoint at {checkpoint}: download groundingdino_swint_ogc.pth and name its path")
    content = read_torch(checkpoint)
    if "model" not in content:
        raise Refused(f"{checkpoint} holds no 'model': it is not a Grounding DINO checkpoint")
    weights = named(content["model"], source=f"'model' of {checkpoint}")
    return renamed(weights, lambda key: key.removeprefix("module."), source=checkpoint)


def resized_shape(height: int, width: int, *, sizes: DetectorSizes) -> tuple[int, int]:
    """(height, width) with the shorter side at `shorter_side`, or less where the longer one would exceed its bound.

    Of an image so thin that its shorter side would vanish, one pixel is left of it.
    """
    shorter, longer = min(height, width), max(height, width)
    side = sizes.shorter_side
    if longer / shorter * side > sizes.longer_side:
        side = round(sizes.longer_side * shorter / longer)
    other = int(side * longer / shorter) if side else sizes.longer_side
    side = max(side, 1)
    return (other, side) if height > width else (side, other)


def prepare_image(image_HW3: NDArray[np.uint8], *, sizes: DetectorSizes) -> Tensor:
    """Resize (antialiased bilinear) and normalise an RGB uint8 image to a float32 (3, h, w)."""
    height, width = resized_shape(*image_HW3.shape[:2], sizes=sizes)
    resized = Image.fromarray(image_HW3).resize((width, height), Image.Resampling.BILINEAR)
    return normalise(torch.from_numpy(np.array(resized)).permute(2, 0, 1))


def normalise(pixels_C: Tensor) -> Tensor:
    """Uint8 (..., 3, h, w) to float32 with ImageNet's mean and deviation."""
    mean = torch.tensor(MEAN, device=pixels_C.device)[:, None, None]
    std = torch.tensor(STD, device=pixels_C.device)[:, None, None]
    return (pixels_C.float() / 255 - mean) / std


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep back the deprecation warnings that groundingdino-py 0.4.0 causes under present torch and timm."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Importing from timm.models.layers", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.cuda.amp.autocast", category=FutureWarning)
        warnings.filterwarnings("ignore", message="torch.meshgrid", category=UserWarning)
        warnings.filterwarnings("ignore", message="invalid escape sequence", category=DeprecationWarning)
        yield


def _import_package(module: str) -> Any:
    with quiet():
        return importlib.import_module(module)


def _build_backbone(sizes: DetectorSizes) -> nn.Module:
    swin_module = _import_package("groundingdino.models.GroundingDINO.backbone.swin_transformer")
    joiner_module = _import_package("groundingdino.models.GroundingDINO.backbone.backbone")
    position_module = _import_package("groundingdino.models.GroundingDINO.backbone.position_encoding")
    swin = swin_module.SwinTransformer(
        embed_dim=sizes.swin_dim,
        depths=list(sizes.swin_depths),
        num_heads=list(sizes.swin_heads),
        window_size=sizes.swin_window,
        mlp_ratio=sizes.swin_mlp_ratio,
        drop_path_rate=0.0,
        out_indices=sizes.swin_out,
    )
    position = position_module.PositionEmbeddingSineHW(
        sizes.hidden // 2, temperatureH=20, temperatureW=20, normalize=True
    )
    joiner = joiner_module.Joiner(swin, position)
    joiner.num_channels = [swin.num_features[index] for index in sizes.swin_out]
    return joiner


def _build_transformer(sizes: DetectorSizes) -> nn.Module:
    transformer_module = _import_package("groundingdino.models.GroundingDINO.transformer")
    transformer = transformer_module.Transformer(
        d_model=sizes.hidden,
        nhead=sizes.heads,
        num_queries=sizes.queries,
        num_encoder_layers=sizes.encoder_layers,
        num_decoder_layers=sizes.decoder_layers,
        dim_feedforward=sizes.feedforward,
        return_intermediate_dec=True,
        num_feature_levels=sizes.levels,
        enc_n_points=sizes.encoder_points,
        dec_n_points=sizes.decoder_points,
        learnable_tgt_init=True,
        two_stage_type="standard",
        embed_init_tgt=sizes.learned_queries,
        use_text_enhancer=sizes.text_enhancer,
        use_fusion_layer=True,
        use_text_cross_attention=True,
        text_dropout=0.0,
        fusion_dropout=0.0,
    )
    if sizes.hidden * 2 != _HEAD_INPUT:
        transformer.decoder.ref_point_head = transformer_module.MLP(_HEAD_INPUT, sizes.hidden, sizes.hidden, 2)
    return transformer


@contextlib.contextmanager
def _text_encoder(package: Any, text: nn.Module, tokenizer: BertTokenizer) -> Iterator[None]:
    """While GroundingDINO is constructed, hand it our text encoder where it would read and wrap one of its own."""
    names = {"get_tokenlizer": _TextSource(text, tokenizer), "BertModelWarper": lambda bert_model: bert_model}
    originals = {name: getattr(package, name) for name in names}
    for name, value in names.items():
        setattr(package, name, value)
    try:
        yield
    finally:
        for name, value in originals.items():
            setattr(package, name, value)


@dataclass(frozen=True)
class _TextSource:
    """Stands in for the package's `get_tokenlizer` module."""

    text: nn.Module
    tokenizer: BertTokenizer

    def get_tokenlizer(self, text_encoder_type: str) -> BertTokenizer:
        return self.tokenizer

    def get_pretrained_language_model(self, text_encoder_type: str) -> nn.Module:
        return self.text


def _embedded_words_if(random_weights: bool) -> Path:
    if not random_weights:
        raise Refused("no text folder for 'swint_ogc': name the folder of bert-base-uncased (config.json, vocab.txt)")
    return ModelRef("detector").path()


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """Sample random weights from `seed` without disturbing the caller's generator."""
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        yield
