"""Open the model that a knob names, from the path that its `ModelRef` gives. Imports only what is asked for.

Those that are used as they are stay loaded, see `resources.models.staying`; those that learn are opened anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from resources.models.hub_kinds import QUERIES, demand_served
from resources.models.refs import TOWERS, ModelRef
from resources.models.staying import staying
from resources.runtime import Runtime

if TYPE_CHECKING:
    from torch import nn

    from ops.tris.calibration import Scorer
    from ops.tris.image_towers import Tower
    from ops.tris.irnet import Irnet
    from ops.tris.tokens import Truncation
    from resources.models.clip import Clip
    from resources.models.concepts import ConceptSegmenter
    from resources.models.detection import Detector
    from resources.models.referring import S, Size, Text, Words
    from resources.models.segmentation import Segmenter
    from resources.models.tris import Pretrained, TrisTokenizer


@staying("clip_vit")
def open_clip_model(name: str, runtime: Runtime) -> Clip:
    """The CLIP of a knob.

    Raises:
        MissingCheckpoint: its file is not there; the message says what to do. So do the functions below.
    """
    ref, device = ModelRef("clip_vit", name), runtime.torch_device()
    if ref.is_of_a_hub:
        from resources.models.open_clip_models import load_open_clip

        clip = load_open_clip(name, ref.path(), device=device)
    else:
        from resources.models.clip import load_clip

        clip = load_clip(name, checkpoint=ref.path(), device=device)
    _settle(ref, clip.model, runtime)
    return clip


@staying("detector")
def open_detector(name: str, runtime: Runtime) -> Detector:
    """The detector of a knob.

    Raises:
        Refused: it is a model of a hub, and none that has an adapter. So do the two functions below.
    """
    from resources.models.detection import Captioned

    ref, device = ModelRef("detector", name), runtime.torch_device()
    if not ref.is_of_a_hub:
        from resources.models.grounding_dino import load_detector

        checkpoint, *companions = (part.path() for part in ref.parts)
        model = load_detector(name, checkpoint=checkpoint, bert=next(iter(companions), None), device=device)
        _settle(ref, model.model, runtime)
        return Captioned(model)
    if demand_served("detector", ref.path()) in QUERIES:
        from resources.models.owl import load_owl

        queried = load_owl(ref.path(), device=device)
        _settle(ref, queried.model, runtime)
        return queried
    from resources.models.hub_grounding_dino import load_hub_grounding_dino

    captioned = load_hub_grounding_dino(ref.path(), device=device)
    _settle(ref, captioned.model, runtime)
    return Captioned(captioned)


@staying("segmenter")
def open_segmenter(name: str, runtime: Runtime) -> Segmenter:
    """The segmenter of a knob, which takes boxes."""
    ref, device = ModelRef("segmenter", name), runtime.torch_device()
    if ref.is_of_a_hub:
        demand_served("segmenter", ref.path())
        from resources.models.hub_sam import load_hub_sam

        hub_sam = load_hub_sam(ref.path(), device=device)
        _settle(ref, hub_sam.model, runtime)
        return hub_sam
    from resources.models.sam import load_segmenter

    sam = load_segmenter(name, checkpoint=ref.path(), device=device)
    _settle(ref, sam.sam, runtime)
    return sam


@staying("segmenter")
def open_concepts(name: str, runtime: Runtime) -> ConceptSegmenter:
    """The segmenter of a knob, which takes classes."""
    folder = ModelRef("segmenter", name).path()
    demand_served("concepts", folder)
    from resources.models.concepts import load_sam3

    return load_sam3(folder, device=runtime.torch_device())


@staying("parser")
def open_parser(name: str) -> Any:
    """The spaCy pipeline of a knob."""
    from resources.models.spacy_parser import load_parser

    return load_parser(ModelRef("parser", name).path())


def open_referring(
    kind: type[S],
    size: Size,
    *,
    switches: Mapping[str, Any],
    text: Text,
    swin: str,
    words: str,
    runtime: Runtime,
    seed: int,
) -> tuple[S, Words]:
    """A `Lavt` or `Meres` with pretrained backbones, `switches` of its configuration turned, and its tokenizer."""
    from resources.models.referring import build

    model, tokenizer = build(
        kind,
        size,
        switches=switches,
        text=text,
        swin=ModelRef("swin", swin).path(),
        words=ModelRef("clip_vit" if text == "clip" else "bert", words).path(),
        seed=seed,
    )
    model.to(runtime.torch_device())
    return model, tokenizer


def open_tris_clip(name: str) -> Pretrained:
    """The CLIP with a ResNet tower that TRIS's steps start from, on the CPU."""
    from resources.models.tris import pretrained_clip

    return pretrained_clip(name, checkpoint=ModelRef("clip_rn", name).path())


def open_tris_tower(encoder: Literal["clip", "swin", "resnet"], name: str) -> Tower | None:
    """The image tower in the place of CLIP's ResNet, on the CPU; None where CLIP's it is."""
    from resources.models.tris import pretrained_tower

    if encoder == "clip":
        return None
    return pretrained_tower(encoder, name, checkpoint=ModelRef(TOWERS[encoder], name).path())


def open_scorer(name: str, runtime: Runtime, *, rule: Truncation) -> tuple[Scorer, TrisTokenizer]:
    """The frozen CLIP that scores masked images, on the device, and its tokenizer."""
    from resources.models.tris import load_scorer

    checkpoint = ModelRef("clip_judge", name).path()
    return load_scorer(name, checkpoint=checkpoint, rule=rule, device=runtime.torch_device())


def open_irnet(backbone: str, runtime: Runtime, *, seed: int) -> Irnet:
    """An IRNet with a pretrained backbone and new heads, on the device."""
    from resources.models.tris import new_irnet

    checkpoint = ModelRef("irn_trunk", backbone).path()
    return new_irnet(backbone, checkpoint=checkpoint, seed=seed).to(runtime.torch_device())


def _settle(ref: ModelRef, model: nn.Module, runtime: Runtime) -> None:
    """Prepare a published network for its device; the embedded ones stay as they are, to the last bit."""
    from resources.models.batches import settle

    if not ref.is_embedded:
        settle(model, runtime)
