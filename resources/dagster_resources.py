"""What Dagster's launchpad sets for every stage: the store's folder and the settings of the machine.

A stage gets a plain `Store` and a plain `Runtime` instead (`open`, `unresolved`).
"""

from pathlib import Path

import dagster as dg

from resources.runtime import Runtime
from storage.artifact import Store


class ArtifactStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Handle to the content-addressed store; `root` is its folder."""

    root: str

    def open(self) -> Store:
        """The store itself."""
        return Store(Path(self.root))


class RuntimeResource(Runtime, dg.ConfigurableResource):  # type: ignore[type-arg]
    """The fields of `Runtime`, shown once in the launchpad for all stages."""
