"""English parsers: the embedded one, an installed spaCy package such as `en_core_web_md`, or a folder."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import spacy
from spacy.tokens import Doc

from ops.refusal import Refused
from resources.model_files import AGAIN, demand_model_files, said
from resources.models.refs import EMBEDDED, ModelRef

UNREAD = ("ner", "lemmatizer", "trainable_lemmatizer")
"""Components whose output no noun rule reads; loaded but switched off (`nlp.enable_pipe` brings one back)."""


def load_parser(name: str | Path = EMBEDDED) -> spacy.Language:
    """Load a spaCy pipeline that sets parts of speech, Penn tags and dependencies.

    Args:
        name: `"embedded"`, an installed package, or the path of a saved pipeline.

    Raises:
        Refused: there is no such pipeline, or it has no tagger or parser.
    """
    source = ModelRef("parser").path() if name == EMBEDDED else name
    if Path(source).is_dir():
        demand_model_files(Path(source))
    elif not spacy.util.is_package(str(source)):
        raise Refused(
            f"there is no spaCy pipeline {str(name)!r}: take 'embedded', the path of a saved pipeline, "
            f"or install the package (python -m spacy download {Path(name).name})"
        )
    try:
        nlp = spacy.load(source, disable=UNREAD)
    except Exception as problem:
        raise Refused(f"the spaCy pipeline {str(name)!r} cannot be read ({said(problem)}); {AGAIN}") from problem
    missing = [component for component in ("tagger", "parser") if component not in nlp.pipe_names]
    if missing or not {"morphologizer", "attribute_ruler"} & set(nlp.pipe_names):
        lacking = ", ".join(missing) or "morphologizer or attribute_ruler"
        raise Refused(
            f"the spaCy pipeline {str(name)!r} has no {lacking}; the noun rules need tags, parts of speech and "
            "dependencies: take a pipeline such as en_core_web_md"
        )
    return nlp


def parse_all(nlp: spacy.Language, texts: Iterable[str], *, batch_size: int = 256) -> Iterator[Doc]:
    """Parse texts in batches, one document per text and in their order; nothing is kept."""
    return nlp.pipe(texts, batch_size=batch_size)


def parse_words(nlp: spacy.Language, sentences: Iterable[tuple[str, ...]], *, batch_size: int = 256) -> Iterator[Doc]:
    """Parse sentences that are words already, each word a token; one document per sentence and in their order."""
    docs = (Doc(nlp.vocab, words=list(words)) for words in sentences)
    return nlp.pipe(docs, batch_size=batch_size)
