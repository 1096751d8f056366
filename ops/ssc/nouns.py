"""Key nouns of referring expressions (S+S+C stage 1, spec 2.1 and 2.2).

Three rules: `spacy` (single words of a dependency parse: the root and the subjects), `nltk` (phrases from a chunk
grammar over Penn tags) and `chunk` (the spacy rule's words with their left modifiers). The parser is an argument.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, Protocol

Rule = Literal["spacy", "nltk", "chunk"]

MAX_CHARACTERS = 200_000
"""Longer expressions are refused: a parser's memory grows with the length of its text."""

KEY_LABELS = {"root", "nsubj"}
"""Dependency labels of key nouns, case folded: spaCy's English models write `ROOT`, Universal Dependencies `root`.

Only the plain subject counts. The passive one (`nsubjpass`, in UD `nsubj:pass`) is no key noun in either label set.
"""

MODIFIERS = {"amod", "compound", "nummod", "nmod:desc"}
"""Left dependents that the `chunk` rule keeps; determiners, possessors and relative words are dropped."""

GRAMMAR = r"""
NBAR: {<NN.*|JJ>*<NN.*>}
NP: {<NBAR>}
    {<NBAR><IN><NBAR>}
"""
"""The chunk grammar of spec 2.2, rules in order: the first NP rule matches every NBAR, so the second never applies."""


class Token(Protocol):
    """A token of a dependency parse: the attributes of spaCy's `Token` that the rules read."""

    @property
    def i(self) -> int:
        """Index in the text."""

    @property
    def text(self) -> str:
        """The word as written."""

    @property
    def pos_(self) -> str:
        """Universal part-of-speech tag."""

    @property
    def tag_(self) -> str:
        """Penn Treebank tag."""

    @property
    def dep_(self) -> str:
        """Dependency label."""

    @property
    def lefts(self) -> Iterator["Token"]:
        """Its dependents on the left."""

    @property
    def subtree(self) -> Iterator["Token"]:
        """The token and all its descendants, in the order of the text."""


Parse = Callable[[Iterable[str]], Iterable[Iterable[Token]]]
"""Dependency parser: texts to their tokens, in the same order; called with as many texts at once as possible."""


def noun_phrases(
    expressions: Sequence[str],
    parse: Parse,
    *,
    rule: Rule = "spacy",
    compat: bool = False,
) -> list[list[str]]:
    """Key nouns of every expression.

    Equal expressions are parsed once. The spacy rule falls back to the nltk rule where it finds nothing, and vice
    versa; an expression in which neither finds a noun gives an empty list.

    Args:
        expressions: RefCOCO's `sent` strings (lower case by convention; they are not normalised here).
        parse: the parser, e.g. `functools.partial(parse_all, nlp)`.
        rule: `"spacy"` (spec 2.1), `"nltk"` (spec 2.2) or `"chunk"` (spec 7, row 2: the key noun's chunk).
        compat: reproduce the bug of the published nltk rule, which joins a repeated phrase to the next one.

    Returns:
        One list per expression, nouns in the order of the text, repetitions kept (dropped by the nltk rule).

    Raises:
        ValueError: the rule is unknown, or an expression has more than `MAX_CHARACTERS` characters.
    """
    if rule not in ("spacy", "nltk", "chunk"):
        raise ValueError(f"no noun rule {rule!r}; take 'spacy', 'nltk' or 'chunk'")
    for number, expression in enumerate(expressions):
        if len(expression) > MAX_CHARACTERS:
            raise ValueError(
                f"expression {number} has {len(expression)} characters ({expression[:40]!r}...), more than "
                f"{MAX_CHARACTERS}; shorten it or leave it out"
            )
    unique = [expression for expression in dict.fromkeys(expressions) if expression.strip()]
    if rule == "nltk":
        nouns_of = _with_fallback(
            unique,
            lambda texts: _by_grammar(texts, parse, compat=compat),
            lambda texts: _by_dependency(texts, parse, chunks=False),
        )
    else:
        nouns_of = _with_fallback(
            unique,
            lambda texts: _by_dependency(texts, parse, chunks=rule == "chunk"),
            lambda texts: _by_grammar(texts, parse, compat=compat),
        )
    return [list(nouns_of.get(expression, ())) for expression in expressions]


Extract = Callable[[list[str]], dict[str, list[str]]]


def _with_fallback(expressions: list[str], first: Extract, second: Extract) -> dict[str, list[str]]:
    """Nouns by the first rule, and by the second for the expressions in which the first finds none."""
    nouns_of = first(expressions)
    return nouns_of | second([expression for expression in expressions if not nouns_of[expression]])


def _by_dependency(expressions: list[str], parse: Parse, *, chunks: bool) -> dict[str, list[str]]:
    """The spacy rule. The text is parsed with "the " before it unless its first token is "the" already."""
    if not expressions:
        return {}
    nouns_of: dict[str, list[str]] = {}
    without_article: list[str] = []
    # a text that starts with the letters "the" may start with "there" or "the-": its first token decides
    texts = (expression if expression.startswith("the") else f"the {expression}" for expression in expressions)
    for expression, doc in zip(expressions, parse(texts), strict=True):
        tokens = list(doc)
        if tokens[0].text == "the":
            nouns_of[expression] = _key_nouns(tokens, chunks=chunks)
        else:
            without_article.append(expression)
    docs = parse(f"the {expression}" for expression in without_article) if without_article else ()
    for expression, doc in zip(without_article, docs, strict=True):
        nouns_of[expression] = _key_nouns(list(doc), chunks=chunks)
    return nouns_of


def _key_nouns(tokens: list[Token], *, chunks: bool) -> list[str]:
    """Root and subjects that are nouns, else all common nouns; with `chunks`, each with its left modifiers."""
    keys = [t for t in tokens if t.pos_ in ("NOUN", "PROPN") and t.dep_.casefold() in KEY_LABELS]
    keys = keys or [t for t in tokens if t.pos_ == "NOUN"]
    if not chunks:
        return [token.text for token in keys]
    spans = [_chunk(token) for token in keys]
    modifiers = {token.i for span in spans for token in span[:-1]}
    return [" ".join(token.text for token in span) for span in spans if span[-1].i not in modifiers]


def _chunk(noun: Token) -> list[Token]:
    """The noun with its left modifiers: "the two small dogs" gives two, small, dogs."""
    left = [token for child in noun.lefts if child.dep_.casefold() in MODIFIERS for token in child.subtree]
    return [*left, noun]


def _by_grammar(expressions: list[str], parse: Parse, *, compat: bool) -> dict[str, list[str]]:
    """The nltk rule over the parser's tokens and Penn tags (nltk's own tokenizer and tagger need data to download)."""
    if not expressions:
        return {}
    from nltk.chunk import RegexpParser  # ops import on machines without nltk

    chunker = RegexpParser(GRAMMAR)
    texts = (expression if expression.endswith(".") else f"{expression}." for expression in expressions)
    nouns_of = {}
    for expression, doc in zip(expressions, parse(texts), strict=True):
        tagged = [(token.text, token.tag_ or "XX") for token in doc if not token.text.isspace()]
        chunks = [None if isinstance(child, tuple) else child.leaves() for child in chunker.parse(tagged)]
        nouns_of[expression] = _phrases(
            [None if chunk is None else " ".join(word for word, _ in chunk) for chunk in chunks], compat=compat
        )
    return nouns_of


def _phrases(chunks: Sequence[str | None], *, compat: bool) -> list[str]:
    """Join adjacent chunks to phrases; None is a word outside all chunks and ends a phrase.

    A phrase that repeats an earlier one is dropped; in `compat` its words stay and the next phrase is joined to them.
    """
    phrases: list[str] = []
    words: list[str] = []
    for chunk in [*chunks, *([] if compat else [None])]:
        if chunk is not None:
            words.append(chunk)
            continue
        phrase = " ".join(words)
        fresh = bool(words) and phrase not in phrases
        if fresh:
            phrases.append(phrase)
        if fresh or not compat:
            words = []
    return phrases
