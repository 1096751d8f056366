"""Knobs in words: their kind, their default, and what stands under them in the code."""

import ast
import inspect
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf
from pydantic.fields import FieldInfo

from assets.framework.knobs import Knobs
from pipelines.config.plain_yaml import flow

PLAIN: dict[Any, str] = {int: "whole number", float: "number", str: "text", bool: "true or false", NoneType: "null"}
BOUNDS: tuple[tuple[Any, str, str], ...] = (
    (Gt, "gt", "above"),
    (Ge, "ge", "from"),
    (Lt, "lt", "below"),
    (Le, "le", "to"),
    (MultipleOf, "multiple_of", "a multiple of"),
    (MinLen, "min_length", "of at least"),
)
"""Kind of a bound, where it holds its number, and how it reads."""


class KnobWords(NamedTuple):
    """A knob in words."""

    name: str
    kind: str
    default: str
    description: str


def described(knobs: type[Knobs]) -> list[KnobWords]:
    """The knobs of a stage in words, as they stand in the code."""
    meanings = _meanings(knobs)
    defaults = knobs().model_dump(mode="json")
    return [
        KnobWords(name, kind_of(field), flow(defaults[name]), meanings.get(name, ""))
        for name, field in knobs.model_fields.items()
    ]


def kind_of(field: FieldInfo) -> str:
    """What a field holds: choices, numbers with their bounds, lists."""
    return _bounded(_kind(field.annotation), field.metadata)


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, parts))
    if origin is Annotated:
        bounds = [one for part in parts[1:] for one in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _bounded(_kind(parts[0]), bounds)
    if origin in (Union, UnionType):
        return " | ".join(map(_kind, parts))
    if origin is tuple:
        inner = _kind(parts[0])
        return f"list of {inner}" if parts[-1] is Ellipsis else f"list of {len(parts)}: {inner}"
    return PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounded(kind: str, bounds: list[Any]) -> str:
    told = [
        f"{word} {getattr(bound, name):,}".removesuffix(".0")
        for one, name, word in BOUNDS
        for bound in bounds
        if isinstance(bound, one)
    ]
    return " ".join([kind, *told])


def _meanings(knobs: type[Knobs]) -> dict[str, str]:
    """Knob -> the text under it, where it was written last."""
    found: dict[str, str] = {}
    for kind in reversed(knobs.__mro__):
        if issubclass(kind, Knobs):
            found |= _texts(kind)
    return found


@cache
def _texts(kind: type[Knobs]) -> dict[str, str]:
    """Field -> the text that follows it in the code of its class, in one line."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
