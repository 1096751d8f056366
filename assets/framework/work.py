"""What a body is handed while it runs."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from assets.framework.knobs import Knobs
from assets.framework.stage import Outcome, Stage, StageInstance, resolved
from resources.checkpoints import registered
from resources.datasets import open_dataset
from resources.runtime import Runtime
from storage.artifact import Artifact, Slot

if TYPE_CHECKING:
    from resources.datasets.reading import Dataset

K = TypeVar("K", bound=Knobs)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Work:
    """Everything a body may use."""

    instance: StageInstance
    inputs: Mapping[str, Artifact]
    """Stage name -> artifact; bodies ask `read`."""
    slot: Slot
    reuse: Sequence[Artifact]
    """Artifacts of the same own recipe, whose rows may be copied where their units' keys are equal."""
    runtime: Runtime
    log: Callable[[str], None]
    raw: str | None = None
    """Fingerprint of the stage's raw data, where it reads any."""
    launch: Callable[[Sequence[str]], object] = subprocess.check_call
    """Runs a command and waits for it; the orchestrator puts its own way here, which streams logs and can cancel."""
    rank: int = 0
    ranks: int = 1
    """Place of this process among those that run the body, see `assets.framework.distributed`."""
    opened: dict[Callable[..., Any], Any] = field(default_factory=dict, repr=False, compare=False)
    """What `once` has opened in this process."""

    def __getstate__(self) -> dict[str, Any]:
        """What reaches another process: its log, its notes, its reader of the data and its models are its own."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **kept,
            "runtime": self.runtime.unresolved(),
            "log": _silence,
            "launch": subprocess.check_call,
            "opened": {},
        }

    def once(self, opens: "Callable[[Work], T]") -> T:
        """What `opens` gives, opened once in this process however often it is asked for."""
        if opens not in self.opened:
            self.opened[opens] = opens(self)
        found: T = self.opened[opens]
        return found

    def input(self, stage: Stage) -> Artifact:
        """The artifact of a stage that this one needs."""
        return self.inputs[stage.name]

    def has(self, stage: Stage) -> bool:
        """Whether the stage is among the inputs under these knobs."""
        return stage.name in self.inputs

    def knobs_as(self, kind: type[K]) -> K:
        """The stage's settled knobs, whose type the body knows."""
        assert isinstance(self.instance.knobs, kind)
        return self.instance.knobs

    @property
    def has_small_models(self) -> bool:
        """Whether all models of the stage are embedded ones."""
        return all(registered(name).embedded for name in self.instance.models)

    def run_body(self) -> Outcome:
        """Import the stage's body where it is named, and run it."""
        outcome: Outcome = resolved(self.instance.stage.body)(self)
        return outcome

    @cached_property
    def dataset(self) -> "Dataset":
        """The reader of the raw data."""
        return open_dataset(self.instance.source.config)


def _silence(_: str) -> None:
    pass
