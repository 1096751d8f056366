"""Words that options of commands take."""

from enum import StrEnum


class Style(StrEnum):
    """Choices of `results --style`."""

    toyref = "toyref"
    toyref_plus = "toyref+"
    toyrefg = "toyrefg"


class Format(StrEnum):
    """Choices of `export --format`."""

    coco = "coco"
    datasets = "datasets"
    yolo = "yolo"
    label_studio = "label-studio"


class Engine(StrEnum):
    """Choices of `--engine`."""

    local = "local"
    ray = "ray"


class Purpose(StrEnum):
    """Choices of `--as`."""

    candidates = "candidates"
    choices = "choices"


class NounRule(StrEnum):
    """Choices of `--rule`."""

    spacy = "spacy"
    nltk = "nltk"
    chunk = "chunk"


class Size(StrEnum):
    """Choices of `--size`."""

    full = "full"
    student = "student"
    embedded = "embedded"


class WorldSize(StrEnum):
    """Choices of `worlds --size`."""

    tiny = "tiny"
    small = "small"
    base = "base"


class Framing(StrEnum):
    """Choices of `worlds --framing`."""

    wide = "wide"
    close = "close"
