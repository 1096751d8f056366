"""TRIS's networks out of pretrained CLIPs and ResNets, embedded or published, and back out of saved weights.

Belongs here: reading other people's checkpoints and describing a network so that it can be built again. Sizes and
formulas are in `ops.tris`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import open_clip
import torch
from torch import Tensor

from ops.refusal import Refused
from ops.segmenters import lavt
from ops.segmenters.lavt import LavtConfig
from ops.tris import irnet
from ops.tris.calibration import Scorer
from ops.tris.image_towers import ResNetTower, SwinTower, Tower, tower_from
from ops.tris.irnet import Irnet, IrnetConfig, ResNet
from ops.tris.response import ResponseConfig, ResponseModel
from ops.tris.segmenter import SegmenterConfig, TrisSegmenter
from ops.tris.tokens import MAX_TOKENS, Truncation, truncate
from resources.embedded.cards import load_embedded, read_card
from resources.models.clip import FULL_SIZES, Clip, WordTokenizer, build_small_clip, load_clip
from resources.models.refs import EMBEDDED, ModelRef
from resources.models.swin_bert import load_swin
from resources.models.weights import load_strictly, read_torch

TowerKind = Literal["swin", "resnet"]
IRNETS: Mapping[str, IrnetConfig] = {EMBEDDED: irnet.EMBEDDED, "resnet50": irnet.RESNET50}
SWINS: Mapping[str, LavtConfig] = {EMBEDDED: lavt.EMBEDDED, "swin_t": lavt.SWIN_T_384, "swin_b": lavt.SWIN_B_480}
CLASSIFIER = re.compile(r"fc\..*")
"""Keys of torchvision's ResNets that a backbone has no place for."""
BPE_CONTEXT = 77
"""Ids that OpenAI's tokenizer gives before they are cut."""


class TrisTokenizer:
    """Expressions as CLIP's ids, cut to at most `max_tokens` (TRIS spec 1.3).

    Called by `encode`, like BERT's; its mask is all ones, since TRIS attends padding too.
    """

    def __init__(self, tokenize: Callable[[Sequence[str]], Tensor], *, rule: Truncation = "keep_end") -> None:
        """`tokenize` is CLIP's own tokenizer, rows padded with zeros."""
        self.tokenize, self.rule = tokenize, rule

    def encode(self, expressions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and ones, both int64 (expressions, tokens)."""
        ids_NT = truncate(torch.as_tensor(self.tokenize(list(expressions))).long(), length=MAX_TOKENS, rule=self.rule)
        return ids_NT, torch.ones_like(ids_NT)

    def card(self) -> dict[str, Any]:
        """What `tokenizer_from` needs, as JSON values."""
        words = list(self.tokenize.words) if isinstance(self.tokenize, WordTokenizer) else None
        context = self.tokenize.context_length if isinstance(self.tokenize, WordTokenizer) else BPE_CONTEXT
        return {"words": words, "context_length": context, "rule": self.rule}


def tokenizer_from(card: Mapping[str, Any]) -> TrisTokenizer:
    """The tokenizer that a card describes: a list of words, or OpenAI's byte pairs."""
    if card["words"] is None:
        return TrisTokenizer(open_clip.get_tokenizer(FULL_SIZES["RN50"]), rule=card["rule"])
    return TrisTokenizer(WordTokenizer(card["words"], context_length=card["context_length"]), rule=card["rule"])


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A CLIP with a ResNet tower, to be trained."""

    clip: Clip
    sizes: Mapping[str, Any]
    """Arguments of open_clip's `CLIP`."""


def pretrained_clip(name: str = EMBEDDED, *, checkpoint: Path | None = None) -> Pretrained:
    """The CLIP that both steps start from: "embedded" (`checkpoint` is its folder), or "RN50" from its local file.

    Raises:
        Refused: it has no ResNet tower, or the checkpoint is missing or does not fit.
    """
    source = ModelRef("clip_rn", name).source(checkpoint)
    sizes = clip_sizes(name, checkpoint=source)
    return Pretrained(clip=load_clip(name, checkpoint=source), sizes=sizes)


def clip_sizes(name: str, *, checkpoint: Path | None = None) -> Mapping[str, Any]:
    """Arguments of open_clip's `CLIP` for the CLIP of that name; arguments as `pretrained_clip` takes them.

    Raises:
        Refused: it has no ResNet tower.
    """
    ref = ModelRef("clip_rn", name)
    if ref.is_embedded:
        sizes: Mapping[str, Any] = read_card(checkpoint or ref.path())["architecture"]
        return sizes
    if not name.startswith("RN"):
        raise Refused(f"TRIS reads the maps of a ResNet; {name} has none: choose 'embedded' or 'RN50'")
    return open_clip.get_model_config(FULL_SIZES[name])


def load_scorer(
    name: str = EMBEDDED, *, checkpoint: Path | None = None, rule: Truncation = "keep_end", device: str = "cpu"
) -> tuple[Scorer, TrisTokenizer]:
    """The frozen CLIP that scores masked images ("embedded" or "ViT-B-32"), and its tokenizer."""
    clip = load_clip(name, checkpoint=ModelRef("clip_judge", name).source(checkpoint), device=device)
    return Scorer(clip.model), TrisTokenizer(clip.tokenizer, rule=rule)


def pretrained_tower(kind: TowerKind, name: str = EMBEDDED, *, checkpoint: Path | None = None) -> Tower:
    """An image tower that learnt from labels: "embedded", or "swin_b" and "resnet50" from their local files.

    Raises:
        Refused: unknown name, or no checkpoint for a published tower.
    """
    known: Mapping[str, Any] = SWINS if kind == "swin" else IRNETS
    if name not in known:
        raise Refused(f"unknown {kind} {name!r}: choose {' or '.join(map(repr, known))}")
    if kind == "resnet":
        return _with_trunk(ResNetTower(IRNETS[name]), name, checkpoint)
    source = ModelRef("swin", name).source(checkpoint)
    if source is None:
        raise Refused(f"{name} needs its local file: set its path")
    config = replace(SWINS[name].swin, drop_path=0.0)
    tower = SwinTower(config)
    tower.swin.load_state_dict(load_swin(source, config=config))
    return tower


def new_response_model(
    start: Pretrained, config: ResponseConfig, *, seed: int, tower: Tower | None = None
) -> ResponseModel:
    """Step 1 with a pretrained CLIP, or with its texts and a pretrained tower, and a new head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResponseModel(config, start.clip.model, tower)


def new_segmenter(
    start: Pretrained, config: SegmenterConfig, *, seed: int, tower: Tower | None = None
) -> TrisSegmenter:
    """Step 2 with a pretrained CLIP, or with its texts and a pretrained tower, and new fusion and decoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TrisSegmenter(config, start.clip.model, tower)


def described(
    model: ResponseModel | TrisSegmenter, sizes: Mapping[str, Any], tokenizer: TrisTokenizer
) -> dict[str, Any]:
    """Everything that the functions below need to build a trained network again, as JSON values."""
    card = {"clip": dict(sizes), "config": asdict(model.config), "tokenizer": tokenizer.card()}
    return card if model.tower is None else {**card, "tower": model.tower.card()}


def _tower_of(card: Mapping[str, Any]) -> Tower | None:
    return tower_from(card["tower"]) if "tower" in card else None


def response_model_from(state: Mapping[str, Tensor], card: Mapping[str, Any]) -> tuple[ResponseModel, TrisTokenizer]:
    """A trained Step 1 and its tokenizer."""
    model = ResponseModel(ResponseConfig(**card["config"]), build_small_clip(dict(card["clip"])), _tower_of(card))
    model.load_state_dict(state)
    return model, tokenizer_from(card["tokenizer"])


def segmenter_from(state: Mapping[str, Tensor], card: Mapping[str, Any]) -> tuple[TrisSegmenter, TrisTokenizer]:
    """A trained Step 2 and its tokenizer."""
    sizes: dict[str, Any] = {**card["config"], "laterals": tuple(card["config"]["laterals"])}
    model = TrisSegmenter(SegmenterConfig(**sizes), build_small_clip(dict(card["clip"])), _tower_of(card))
    model.load_state_dict(state)
    return model, tokenizer_from(card["tokenizer"])


def new_irnet(name: str = EMBEDDED, *, checkpoint: Path | None = None, seed: int = 0) -> Irnet:
    """IRNet with new heads on a pretrained backbone: "embedded", or "resnet50" from torchvision's local file.

    Raises:
        Refused: unknown name, or no checkpoint for the published backbone.
    """
    if name not in IRNETS:
        raise Refused(f"unknown backbone {name!r}: choose 'embedded' or 'resnet50'")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Irnet(IRNETS[name])
    _with_trunk(net.trunk, name, checkpoint)
    return net


R = TypeVar("R", bound=ResNet)


def _with_trunk(net: R, name: str, checkpoint: Path | None) -> R:
    """A ResNet with the weights of that name."""
    source = ModelRef("irn_trunk", name).source(checkpoint)
    if source is None:
        raise Refused(f"{name} needs torchvision's local file: set its path")
    if name == EMBEDDED:
        load_strictly(net, load_embedded(source)[0], source=source)
    else:
        load_strictly(net, read_torch(source), source=source, ignored=CLASSIFIER)
    return net


def irnet_from(state: Mapping[str, Tensor], card: Mapping[str, Any]) -> Irnet:
    """A trained IRNet, its fixed backbone included."""
    net = Irnet(IRNETS[card["trunk"]])
    net.load_state_dict(state)
    return net
