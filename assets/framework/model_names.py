"""From the name in a knob to names in the registry of checkpoints."""


def weights_name(kind: str, name: str) -> str:
    """The registry name of the weights that a knob names."""
    return f"embedded/{kind}" if name == "embedded" else name


def detector_names(name: str) -> tuple[str, ...]:
    """The registry names of a detector: Grounding DINO reads BERT's vocabulary and sizes."""
    return (weights_name("detector", name), *(() if name == "embedded" else ("bert-base-uncased",)))
