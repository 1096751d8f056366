"""What can be turned at a stage: one frozen model each; experiment files set knobs, recipes hash them.

What does not change a result (device, batch sizes of inference, threads) is in `resources.runtime`, never here.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator


class Settings(BaseModel):
    """What a person sets in a file: frozen, an unknown name is an error, and a switch is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_no_switches(cls, given: Any) -> Any:
        """`epochs: yes` is a slip, and not one epoch."""
        for name, value in given.items() if isinstance(given, dict) else ():
            switch = next((one for one in _leaves(value) if isinstance(one, bool)), None)
            if switch is not None and name in cls.model_fields and _is_number(cls.model_fields[name].annotation):
                raise ValueError(f"{name} is {str(switch).lower()}, and a number is wanted")
        return given


class Knobs(Settings):
    """Base of all knob sets."""

    later: ClassVar[tuple[str, ...]] = ()
    """Own knobs that are younger than artifacts: at their defaults no recipe has them, what was made before stays."""

    def models(self) -> tuple[str, ...]:
        """Names in the checkpoint registry whose weights shape this stage's result."""
        return ()

    def unread(self) -> tuple[str, ...]:
        """Knobs that the settings of others leave without effect; no recipe has them."""
        return ()

    def relatives(self) -> tuple["Knobs", ...]:
        """Other settings under which units of equal keys have the same rows, which may be copied."""
        return ()

    def recipe(self) -> dict[str, Any]:
        """What a recipe digests: every other knob, as JSON."""
        younger = {name for kind in type(self).__mro__ for name in getattr(kind, "later", ())}
        unturned = {name for name in younger if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude=unturned | set(self.unread()))


def _is_number(annotation: Any) -> bool:
    """Whether a field holds a number, or several, and no switch."""
    kinds = set(_kinds(annotation))
    return bool not in kinds and bool(kinds & {int, float})


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types of the plain values in a field, whatever holds them."""
    if get_origin(annotation) is Literal:
        yield from map(type, get_args(annotation))
    elif get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif parts := get_args(annotation):
        yield from (kind for part in parts for kind in _kinds(part))
    else:
        yield annotation


def _leaves(value: Any) -> Iterator[Any]:
    """A value, or all that a list holds."""
    if isinstance(value, list | tuple):
        yield from (leaf for one in value for leaf in _leaves(one))
    else:
        yield value


class NoKnobs(Knobs):
    """A stage with nothing to turn."""
