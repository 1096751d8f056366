"""What Dagster hands to every stage: the store, and the settings of the machine, which its launchpad shows.

A stage gets a plain `Store` and a plain `Runtime` instead (`open`, `unresolved`).
"""

from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from resources.runtime import Runtime
from resources.store import Sharing, store_with
from storage.artifact import Store


@dataclass(frozen=True)
class ArtifactStore:
    """Handle to the content-addressed store; `root` is its folder, which no launchpad can set: jobs delete in it.

    Nor can one set where results are shared.
    """

    root: str
    sharing: Sharing = field(default_factory=Sharing)

    def open(self) -> Store:
        """The store itself."""
        return store_with(Path(self.root), self.sharing)


class RuntimeResource(Runtime, dg.ConfigurableResource):  # type: ignore[type-arg]
    """The fields of `Runtime`, shown once in the launchpad for all stages."""
