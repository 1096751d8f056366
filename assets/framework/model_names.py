"""The registry names of the models that knobs name, which recipes digest; loaders resolve the same names."""

from resources.models.refs import Kind, ModelRef


def weights_name(kind: Kind, name: str) -> str:
    """The registry name of the weights that a knob names."""
    return ModelRef(kind, name).registry_name


def detector_names(name: str) -> tuple[str, ...]:
    """The registry names of a detector: Grounding DINO reads BERT's vocabulary and sizes."""
    return tuple(part.registry_name for part in ModelRef("detector", name).parts)
