"""What a detector is asked for: classes as captions whose phrases it keeps apart, and the tokens of each phrase.

S+S+C spec 2.5, with discrepancies 10 and 11 of spec 7 repaired: classes are separated by " . ", so that Grounding DINO
keeps them apart, and a box gets its class from the tokens of that class.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ops.refusal import Refused

_SEPARATORS = str.maketrans(".?", "  ")
"""What ends a phrase becomes a space."""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """The detector's text prompt, and which of its characters belong to which class."""

    text: str
    classes: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """First character and end (exclusive) of each class in `text`."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """All that is asked about one image."""

    captions: tuple[Caption, ...]
    """None: there is nothing to ask for. Each class is in one of them, classes rise from one to the next."""
    left_out: dict[str, str]
    """Class as it was given -> why the detector cannot be asked for it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of all captions."""
        return tuple(name for asked in self.captions for name in asked.classes)


@dataclass(frozen=True, kw_only=True)
class Reworded:
    """What the detector is asked for in place of a class."""

    asked: str | None
    """None: nothing."""
    reason: str


def canonical_name(name: str) -> str:
    """A class name in the form that captions and candidates use: lower case, single spaces between words.

    "." and "?" would end the phrase and become spaces: "man.left" is asked for as "man left".
    """
    return " ".join(name.lower().translate(_SEPARATORS).split())


def caption(classes: Iterable[str]) -> Caption:
    """Caption of class names, "apple . sports ball .": in alphabetical order, each once, see `canonical_name`.

    The order is fixed because the network's output depends on it: equal sets of classes always give equal boxes.

    Raises:
        Refused: a name holds no word.
        ValueError: there is no class.
    """
    names = sorted({canonical_name(name) for name in classes})
    if not names:
        raise ValueError("no class to detect: give at least one name")
    if not names[0]:
        raise Refused("a class name holds no word: leave it out")
    return _join(names)


def question(classes: Iterable[str], *, tokens: Callable[[str], int], at_most: int) -> Question:
    """As few captions of class names as hold them all; what cannot be asked for is left out with its reason.

    Args:
        classes: any names; what fits into one caption is asked as `caption` puts it.
        tokens: how many the detector's tokenizer makes of a text, its marks of start and end not counted.
        at_most: tokens that a caption may have.
    """
    asked: dict[str, int] = {}
    left_out: dict[str, str] = {}
    for given in classes:
        name = canonical_name(given)
        count = tokens(name)
        if problem := _problem(count, at_most):
            left_out[given] = problem
        else:
            asked[name] = count + 1  # its full stop
    return Question(captions=tuple(map(_join, _filled(asked, at_most))), left_out=left_out)


def reworded(classes: Iterable[str], asked: Question) -> dict[str, Reworded]:
    """What became of the classes that are not asked for as they are; letters' case and spaces do not count."""
    changes = {name: Reworded(asked=None, reason=reason) for name, reason in asked.left_out.items()}
    for name in classes:
        if name not in changes and any(mark in name for mark in ".?"):
            changes[name] = Reworded(asked=canonical_name(name), reason="'.' and '?' would end a phrase of the caption")
    return changes


def expression_caption(expression: str, *, tokens: Callable[[str], int], at_most: int) -> Caption:
    """Caption of a whole expression as one phrase, for the detector's own baseline (spec 3.6).

    Args:
        expression: any text.
        tokens: see `question`; so is `at_most`.
        at_most: tokens that a caption may have.

    Raises:
        Refused: it holds nothing that the detector reads, or more than it reads.
    """
    phrase = canonical_name(expression)
    if problem := _problem(tokens(phrase), at_most):
        raise Refused(f"{expression[:40]!r} cannot be asked for: {problem}")
    return _join([phrase])


def token_spans(offsets_T: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Indices of the tokens of each class.

    Args:
        offsets_T: first character and end of each token; empty for special tokens.
        spans: characters of each class, `Caption.spans`.

    Raises:
        Refused: no token lies within a class: the tokenizer drops all of its characters, zero-width ones for example.
    """
    tokens = tuple(
        tuple(index for index, (first, last) in enumerate(offsets_T) if start <= first < last <= end)
        for start, end in spans
    )
    if not all(tokens):
        raise Refused(
            "a class has no token: the tokenizer drops all of its characters, or the offsets are those of different "
            "captions"
        )
    return tokens


def _problem(tokens: int, at_most: int) -> str:
    """Why a phrase of so many tokens cannot be asked for; empty: it can."""
    if not tokens:
        return "it holds no character that the detector reads"
    return f"it has {tokens} tokens, and fewer than {at_most} fit into a caption" if tokens >= at_most else ""


def _filled(costs: dict[str, int], at_most: int) -> list[list[str]]:
    """Names in alphabetical order, as many to a caption as fit."""
    captions: list[list[str]] = []
    room = 0
    for name in sorted(costs):
        if costs[name] > room:
            captions.append([])
            room = at_most
        captions[-1].append(name)
        room -= costs[name]
    return captions


def _join(names: Sequence[str]) -> Caption:
    spans, position = [], 0
    for name in names:
        spans.append((position, position + len(name)))
        position += len(name) + len(" . ")
    return Caption(text=" . ".join(names) + " .", classes=tuple(names), spans=tuple(spans))
