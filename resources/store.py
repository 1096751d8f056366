"""The artifact store as a Dagster resource, and the project's home folder."""

import os
from pathlib import Path

import dagster as dg

from storage.artifact import Store

PROJECT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """Where everything lives that running makes: `$WORDMASK_HOME`, else `.wordmask` beside the code."""
    return Path(os.environ.get("WORDMASK_HOME") or PROJECT / ".wordmask").expanduser().resolve()


class ArtifactStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Handle to the content-addressed store; `root` is its folder."""

    root: str

    def open(self) -> Store:
        """The store itself."""
        return Store(Path(self.root))
