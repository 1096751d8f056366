"""YAML as plain data of bounded size: what it would unfold to is known before anything is built.

Aliases and merge keys are welcome, as long as what they stand for stays small. Nothing but texts, numbers, switches,
dates, lists and mappings is built.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ops.refusal import Refused
from pipelines.config.described import unknown
from resources.opening import read_file

MOST_BYTES = 1 << 20
MOST_VALUES = 100_000
"""Values of a file, those behind an alias counted as often as it occurs."""
DEEPEST = 50
"""Lists and mappings within each other."""
MOST_DIGITS = 18
"""Of a whole number; it fits into 64 bits."""
MOST_DIRECTIVES = 100
"""Lines such as %TAG; the parser compares each with all others."""
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast one where PyYAML was built with it; both read the same."""
_PLAIN = "tag:yaml.org,2002:"
_NAMES = ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge")
_KINDS = frozenset(_PLAIN + name for name in _NAMES)
_SIXTIES = re.compile(r"[-+]?[0-9_]+(:[0-9_]+)+(\.[0-9_]*)?")
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def read_yaml(path: Path) -> Any:
    """Plain data of a file; None where it is empty.

    Raises:
        Refused: in one line: no regular file of UTF-8, no YAML, more than a description needs, a key twice, or a value
            of a kind that none of our files has.
    """
    return plain(_text(path), path.name)


def plain(text: str, name: str) -> Any:
    """Plain data of a text, as `read_yaml`.

    Raises:
        Refused: likewise; begins with the name.
    """
    try:
        _demand_bounded(text)
        content = _built(text)
        _demand_usable(content)
    except Refused as problem:
        raise Refused(f"{name}: {problem}") from problem
    except yaml.YAMLError as problem:
        raise Refused(f"{name} is no YAML: {_said(problem)}") from problem
    return content


def flow(value: object) -> str:
    """Plain data as YAML in one line: `plain` of it is the value."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def told(error: ValidationError, kind: type[BaseModel] | None = None, *, stage: str = "", most: int = 3) -> str:
    """What is wrong with settings, as one line: where, what is wanted, what is there.

    Args:
        error: of the validation.
        kind: the model that was validated; a name that it has not is told what it may stand for.
        stage: whose knobs they are; empty: keys of a file.
        most: findings.
    """
    found = error.errors(include_url=False, include_context=False)
    lines = [
        _misspelt(one["loc"], list(parent.model_fields), stage)
        if one["type"] == "extra_forbidden" and (parent := _holder(kind, one["loc"])) is not None
        else _finding(one["loc"], one["msg"], one["input"])
        for one in found[:most]
    ]
    return "; ".join(lines) + (f"; and {len(found) - most} more" if len(found) > most else "")


def _holder(kind: type[BaseModel] | None, place: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model in which the last name of a place stands, as far as models alone lead there."""
    for name in place[:-1]:
        field = kind.model_fields.get(str(name)) if kind is not None else None
        parts = (field.annotation, *get_args(field.annotation)) if field is not None else ()
        kind = next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)
    return kind


def _misspelt(place: tuple[int | str, ...], known: Sequence[str], stage: str) -> str:
    *above, name = (str(part)[:60] for part in place)
    complaint, whose = ("no knob is called", f"knobs of {stage}") if stage else ("no key is called", "keys")
    more = f" of {'.'.join(above)}" if above else ""
    return unknown(complaint, name, known, f"{whose}{more}: {', '.join(known) or 'none'}")


def _finding(place: tuple[int | str, ...], message: str, value: object) -> str:
    where = ".".join(str(part)[:60] for part in place)
    shown = f" (it is {str(value)[:40]!r})" if isinstance(value, str | int | float | bool) else ""
    return f"{where}: {message}{shown}" if where else message


def _built(text: str) -> Any:
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _demand_plain(node)
        return loader.construct_document(node)
    except (Refused, yaml.YAMLError):
        raise
    except Exception as problem:  # what PyYAML's own constructors raise over a value: of a date, a number, a switch
        raise Refused(f"a value is not what it claims to be: {' '.join(str(problem).split())[:120]}") from problem
    finally:
        loader.dispose()


def _text(path: Path) -> str:
    content = read_file(path, at_most=MOST_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        kind = _MARKS.get(content[:2], "no UTF-8")
        raise Refused(f"{path.name} is {kind} (byte {problem.start}); save it as UTF-8") from problem


class _Size(NamedTuple):
    """Of what a value unfolds to."""

    values: int = 0
    depth: int = 0


class _Unfolding:
    """Sizes of all that is open in a text, and of what its anchors stand for."""

    def __init__(self) -> None:
        self.anchored: dict[str, _Size] = {}
        self.open: list[tuple[str | None, _Size]] = [(None, _Size())]
        """Anchor and what was in it so far, from the document inwards."""

    def add(self, anchor: str | None, size: _Size) -> None:
        """A value that is complete."""
        if anchor is not None:
            self.anchored[anchor] = size
        name, before = self.open[-1]
        after = _Size(before.values + size.values, max(before.depth, size.depth))
        self.open[-1] = (name, after)
        if after.values > MOST_VALUES:
            raise Refused(f"it unfolds to more than {MOST_VALUES:,} values")
        self._demand_depth(size.depth)

    def enter(self, anchor: str | None) -> None:
        """A list or mapping begins; until it ends, its anchor stands for nothing."""
        if anchor is not None:
            self.anchored.pop(anchor, None)
        self.open.append((anchor, _Size()))
        self._demand_depth(0)

    def leave(self) -> None:
        """It ends."""
        anchor, size = self.open.pop()
        self.add(anchor, _Size(size.values + 1, size.depth + 1))

    def repeat(self, anchor: str) -> None:
        """An alias."""
        if anchor not in self.anchored:
            raise Refused(f"the alias *{anchor[:40]} stands inside of what it means, or for nothing")
        self.add(None, self.anchored[anchor])

    def _demand_depth(self, more: int) -> None:
        if len(self.open) - 1 + more > DEEPEST:
            raise Refused(f"it is deeper than {DEEPEST} levels")


def _demand_bounded(text: str) -> None:
    """Count what a text unfolds to, event by event; nothing is built.

    Raises:
        Refused: it is too much, too deep, or holds itself.
        yaml.YAMLError: it is no YAML.
    """
    if text.count("\n%") > MOST_DIRECTIVES:
        raise Refused(f"it has more than {MOST_DIRECTIVES} directives (lines that begin with %)")
    unfolding = _Unfolding()
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.AliasEvent):
            unfolding.repeat(event.anchor or "")
        elif isinstance(event, yaml.ScalarEvent):
            unfolding.add(event.anchor, _Size(values=1))
        elif isinstance(event, yaml.CollectionStartEvent):
            unfolding.enter(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            unfolding.leave()


def _demand_plain(node: yaml.Node) -> None:
    """Refuse kinds of values that only some programs know, numbers that are two, and keys that a mapping has twice."""
    seen: set[int] = set()
    left = [node]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.tag not in _KINDS:
            raise Refused(f"line {one.start_mark.line + 1}: values of the kind {one.tag[:60]!r} are not read")
        if isinstance(one, yaml.ScalarNode) and (problem := _ambiguity(one)):
            raise Refused(f"line {one.start_mark.line + 1}: {problem}")
        if isinstance(one, yaml.MappingNode):
            _demand_distinct(one)
            left += [part for pair in one.value for part in pair]
        elif isinstance(one, yaml.SequenceNode):
            left += one.value


def _ambiguity(scalar: yaml.ScalarNode) -> str | None:
    """Why a number is one thing to a person and another to YAML 1.1, which counts 1:30 in sixties and 010 in eights."""
    value = str(scalar.value)
    if scalar.tag == f"{_PLAIN}int" and _OCTAL.fullmatch(value):
        return f"{value[:40]} counts in eights, as YAML reads it; leave out the 0, or quote what is no number"
    if scalar.tag in (f"{_PLAIN}int", f"{_PLAIN}float") and _SIXTIES.fullmatch(value):
        return f"{value[:40]} counts in sixties, as YAML reads it; write the number without :, or quote what is none"
    return None


def _demand_distinct(mapping: yaml.MappingNode) -> None:
    keys: set[tuple[str, str]] = set()
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            raise Refused(f"line {key.start_mark.line + 1}: a list or mapping cannot be a key")
        if (key.tag, key.value) in keys:
            raise Refused(f"line {key.start_mark.line + 1}: the key {key.value[:40]!r} stands twice in a mapping")
        keys.add((key.tag, key.value))


def _demand_usable(content: object) -> None:
    """Refuse numbers that are none or beyond 64 bits, and texts that no file name or table can hold."""
    for value in _leaves(content):
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise Refused(f"it holds a number of more than {MOST_DIGITS} digits")
        if isinstance(value, float) and not math.isfinite(value):
            raise Refused(f"it holds {value}, a finite number is wanted")
        if isinstance(value, str) and any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in value):
            raise Refused(f"the text {value[:40]!a} holds a character that is none")


def _leaves(content: object) -> Iterator[object]:
    seen: set[int] = set()
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict | list):
            if id(value) not in seen:
                seen.add(id(value))
                left += [*value.keys(), *value.values()] if isinstance(value, dict) else value
        else:
            yield value


def _said(problem: yaml.YAMLError) -> str:
    mark = getattr(problem, "problem_mark", None)
    words = " ".join(str(getattr(problem, "problem", None) or problem).split())[:160]
    return f"line {mark.line + 1}, column {mark.column + 1}: {words}" if mark else words
