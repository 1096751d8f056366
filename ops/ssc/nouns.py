"""Key nouns of referring expressions (S+S+C stage 1, specification sections 2.1 and 2.2).

Three rules: `spacy` (single words: the root and the subjects), `nltk` (phrases from a chunk grammar over Penn tags)
and `chunk` (the spacy rule's words with their left modifiers). Parsing is the caller's function.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol

Rule = Literal["spacy", "nltk", "chunk"]

LONGEST = 200_000
"""Characters beyond which a text is refused: no expression is a book, and a parser's memory grows with its text."""

KEY_LABELS = {"root", "nsubj"}
"""Dependencies of key nouns, case folded: spaCy's English models write `ROOT`, Universal Dependencies `root`.

Only the plain subject counts. The passive one (`nsubjpass`, in UD `nsubj:pass`) is no key noun in either label set.
"""

MODIFIERS = {"amod", "compound", "nummod", "nmod:desc"}
"""Left dependents that the `chunk` rule keeps; determiners, possessors and relative words are dropped."""

GRAMMAR = r"""
NBAR: {<NN.*|JJ>*<NN.*>}
NP: {<NBAR>}
    {<NBAR><IN><NBAR>}
"""
"""The chunk grammar of section 2.2, in its order: the first NP rule takes every NBAR and leaves the second one none."""


class Token(Protocol):
    """What the rules read of a parsed word; a spaCy `Token` has it."""

    @property
    def i(self) -> int:
        """Place in the text."""

    @property
    def text(self) -> str:
        """The word as written."""

    @property
    def pos_(self) -> str:
        """Universal part of speech."""

    @property
    def tag_(self) -> str:
        """Penn tag."""

    @property
    def dep_(self) -> str:
        """Dependency label."""

    @property
    def lefts(self) -> Iterator["Token"]:
        """Dependents on the left."""

    @property
    def subtree(self) -> Iterator["Token"]:
        """The word and everything under it, in order."""


Parse = Callable[[Iterable[str]], Iterable[Iterable[Token]]]
"""From texts to their parsed words, one for one; called with as many texts at once as possible."""


def noun_phrases(
    sentences: Sequence[str],
    parse: Parse,
    *,
    rule: Rule = "spacy",
    compat: bool = False,
) -> list[list[str]]:
    """Key nouns of every sentence.

    Equal sentences are parsed once. The spacy rule falls back to the nltk rule where it finds nothing, and the other
    way round; a sentence in which neither finds anything gives an empty list.

    Args:
        sentences: the `sent` strings (lower case by convention; nothing is changed here).
        parse: the parser, e.g. `functools.partial(parse_all, nlp)`.
        rule: `"spacy"` (section 2.1), `"nltk"` (section 2.2) or `"chunk"` (section 7, row 2: the noun's chunk).
        compat: reproduce the bug of the published nltk rule, which glues a repeated phrase to the next one.

    Returns:
        One list per sentence, nouns in the order of the text, repetitions kept (the nltk rule drops repeated phrases).

    Raises:
        ValueError: the rule is unknown, or a sentence has more than `LONGEST` characters.
    """
    if rule not in ("spacy", "nltk", "chunk"):
        raise ValueError(f"no noun rule {rule!r}; take 'spacy', 'nltk' or 'chunk'")
    for number, sentence in enumerate(sentences):
        if len(sentence) > LONGEST:
            raise ValueError(
                f"sentence {number} has {len(sentence)} characters ({sentence[:40]!r}...), more than {LONGEST}; "
                "shorten it or leave it out"
            )
    unique = [sentence for sentence in dict.fromkeys(sentences) if sentence.strip()]
    if rule == "nltk":
        found = _with_fallback(
            unique,
            lambda texts: _by_grammar(texts, parse, compat=compat),
            lambda texts: _by_dependency(texts, parse, chunks=False),
        )
    else:
        found = _with_fallback(
            unique,
            lambda texts: _by_dependency(texts, parse, chunks=rule == "chunk"),
            lambda texts: _by_grammar(texts, parse, compat=compat),
        )
    return [list(found.get(sentence, ())) for sentence in sentences]


Extract = Callable[[list[str]], dict[str, list[str]]]


def _with_fallback(sentences: list[str], first: Extract, second: Extract) -> dict[str, list[str]]:
    found = first(sentences)
    return found | second([sentence for sentence in sentences if not found[sentence]])


def _by_dependency(sentences: list[str], parse: Parse, *, chunks: bool) -> dict[str, list[str]]:
    """The spacy rule. The text is parsed behind "the " unless its first token is "the" already."""
    if not sentences:
        return {}
    found: dict[str, list[str]] = {}
    again: list[str] = []
    # a text that starts with the letters "the" may start with "there" or "the-": its first token decides
    texts = (sentence if sentence.startswith("the") else f"the {sentence}" for sentence in sentences)
    for sentence, doc in zip(sentences, parse(texts), strict=True):
        tokens = list(doc)
        if tokens[0].text == "the":
            found[sentence] = _key_texts(tokens, chunks=chunks)
        else:
            again.append(sentence)
    for sentence, doc in zip(again, parse(f"the {sentence}" for sentence in again) if again else (), strict=True):
        found[sentence] = _key_texts(list(doc), chunks=chunks)
    return found


def _key_texts(tokens: list[Token], *, chunks: bool) -> list[str]:
    keys = [t for t in tokens if t.pos_ in ("NOUN", "PROPN") and t.dep_.casefold() in KEY_LABELS]
    keys = keys or [t for t in tokens if t.pos_ == "NOUN"]
    if not chunks:
        return [token.text for token in keys]
    spans = [_chunk(token) for token in keys]
    inner = {word.i for span in spans for word in span[:-1]}
    return [" ".join(word.text for word in span) for span in spans if span[-1].i not in inner]


def _chunk(noun: Token) -> list[Token]:
    """The noun behind its left modifiers: "the two small dogs" gives two, small, dogs."""
    left = [word for child in noun.lefts if child.dep_.casefold() in MODIFIERS for word in child.subtree]
    return [*left, noun]


def _by_grammar(sentences: list[str], parse: Parse, *, compat: bool) -> dict[str, list[str]]:
    """The nltk rule over the parser's tokens and Penn tags (nltk's own tokenizer and tagger need data to download)."""
    if not sentences:
        return {}
    from nltk.chunk import RegexpParser  # ops import on machines without nltk

    chunker = RegexpParser(GRAMMAR)
    texts = (sentence if sentence.endswith(".") else f"{sentence}." for sentence in sentences)
    found = {}
    for sentence, doc in zip(sentences, parse(texts), strict=True):
        tagged = [(token.text, token.tag_ or "XX") for token in doc if not token.text.isspace()]
        pieces = [None if isinstance(child, tuple) else child.leaves() for child in chunker.parse(tagged)]
        found[sentence] = _runs(
            [None if piece is None else " ".join(word for word, _ in piece) for piece in pieces], compat=compat
        )
    return found


def _runs(pieces: Sequence[str | None], *, compat: bool) -> list[str]:
    """Join neighbouring chunks; None is a word outside all chunks and ends a run.

    A run that repeats an earlier phrase is dropped; in `compat` it stays and the next run is glued to it.
    """
    phrases: list[str] = []
    run: list[str] = []
    for piece in [*pieces, *([] if compat else [None])]:
        if piece is not None:
            run.append(piece)
            continue
        phrase = " ".join(run)
        fresh = bool(run) and phrase not in phrases
        if fresh:
            phrases.append(phrase)
        if fresh or not compat:
            run = []
    return phrases
