"""What can be turned at a stage: one frozen model each; experiment files set knobs, recipes hash them.

What does not change a result (device, batch sizes of inference, threads) is in `resources.runtime`, never here.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Knobs(BaseModel):
    """Base of all knob sets: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[tuple[str, ...]] = ()
    """Own knobs that are younger than artifacts: at their defaults no recipe has them, what was made before stays."""

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


class NoKnobs(Knobs):
    """A stage with nothing to turn."""
