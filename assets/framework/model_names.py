"""The registry names of the models that knobs name, which recipes digest; loaders resolve the same names.

What can be known of a model before it is loaded is asked here, so that an experiment that cannot run is refused when it
is read: by its name, and by the small configuration in its folder where that is there.
"""

from ops.refusal import Refused
from resources.checkpoints import MissingCheckpoint, registered
from resources.embedded.cards import read_card
from resources.models.clip_names import architecture_config, has_tokens
from resources.models.hub_kinds import CONCEPTS, Use, model_type, why_not
from resources.models.refs import Kind, ModelRef


def weights_name(kind: Kind, name: str) -> str:
    """The registry name of the weights that a knob names."""
    return ModelRef(kind, name).registry_name


def detector_names(name: str) -> tuple[str, ...]:
    """The registry names of a detector: Grounding DINO reads BERT's vocabulary and sizes."""
    return tuple(part.registry_name for part in ModelRef("detector", name).parts)


def demand_use(knob: str, use: Use, name: str) -> None:
    """Refuse a model that does not serve what a knob wants of it, as far as can be known.

    Raises:
        ValueError: says the knob, the model and what to do.
    """
    ref = ModelRef("detector" if use == "detector" else "segmenter", name)
    if _layout(ref) == "transformers":
        problem = why_not(use, found) if (found := _type(ref)) else ""
    else:
        problem = "it takes boxes and no classes: name SAM 3 (facebook/sam3)" if use == "concepts" else ""
    if problem:
        raise ValueError(f"{knob} is {name!r}: {problem}")


def demand_clip(knob: str, name: str, *, tokens: bool = False) -> None:
    """Refuse a CLIP that cannot be opened, or, where `tokens` are masked, one that has none.

    Raises:
        ValueError: as `demand_use`.
    """
    ref = ModelRef("clip_vit", name)
    if _layout(ref) == "transformers":
        raise ValueError(f"{knob} is {name!r}: name a CLIP of open_clip, as ARCHITECTURE:tag")
    if tokens and _has_tokens(ref) is False:
        raise ValueError(
            f"{knob} is {name!r}: global_local masks tokens of open_clip's vision transformer, which it has not; "
            "take 'embedded', 'ViT-B-32', 'ViT-B-16:laion2b_s34b_b88k' or the rule clip"
        )


def _layout(ref: ModelRef) -> str:
    """Empty for a name that nobody knows, which the reader of the experiment tells."""
    try:
        return registered(ref.registry_name).layout
    except Refused:
        return ""


def _type(ref: ModelRef) -> str:
    """What a model of a hub is; of one that is not there yet only SAM 3 is known by its name."""
    try:
        return model_type(ref.path())
    except (MissingCheckpoint, Refused):
        return CONCEPTS[0] if ref.name.rpartition("/")[2].startswith(CONCEPTS[0]) else ""


def _has_tokens(ref: ModelRef) -> bool | None:
    """None: it is not known."""
    try:
        if ref.is_embedded:
            return has_tokens(read_card(ref.path())["architecture"])
        return has_tokens(architecture_config(ref.name.partition(":")[0]))
    except (MissingCheckpoint, Refused, KeyError):
        return None
