"""The artifact store of the home folder."""

from pathlib import Path

from resources.paths import home
from storage.artifact import Store


def store_folder() -> Path:
    """Root of the store; it need not exist yet."""
    return home() / "store"


def open_store() -> Store:
    """The store itself; nothing is made before something is written."""
    return Store(store_folder())
