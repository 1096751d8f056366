"""What can be turned at a stage: one frozen model each; experiment files set knobs, recipes hash them.

What does not change a result (device, batch sizes of inference, threads) is in `resources.runtime`, never here.
"""

from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator


class Knobs(BaseModel):
    """Base of all knob sets: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    later: ClassVar[tuple[str, ...]] = ()
    """Own knobs that are younger than artifacts: at their defaults no recipe has them, what was made before stays."""

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_no_switches(cls, given: Any) -> Any:
        """`epochs: yes` is a slip, and not one epoch."""
        for name, value in given.items() if isinstance(given, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields and _is_number(cls.model_fields[name].annotation):
                raise ValueError(f"{name} is {str(value).lower()}, and a number is wanted")
        return given

    def models(self) -> tuple[str, ...]:
        """Names in the checkpoint registry whose weights shape this stage's result."""
        return ()

    def unread(self) -> tuple[str, ...]:
        """Knobs that the settings of others leave without effect; no recipe has them."""
        return ()

    def recipe(self) -> dict[str, Any]:
        """What a recipe digests: every other knob, as JSON."""
        younger = {name for kind in type(self).__mro__ for name in getattr(kind, "later", ())}
        unturned = {name for name in younger if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", exclude=unturned | set(self.unread()))


def _is_number(annotation: Any) -> bool:
    """Whether a field holds a number, or a number or nothing."""
    kinds = get_args(annotation) if get_origin(annotation) in (UnionType, Union) else (annotation,)
    plain = {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds}
    return bool(plain & {int, float})


class NoKnobs(Knobs):
    """A stage with nothing to turn."""
