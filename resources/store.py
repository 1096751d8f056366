"""The artifact store of the home folder, and the shared store before which it stands, if one is set."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.refusal import Refused
from resources.network import offline
from resources.opening import read_file
from resources.paths import home
from storage.artifact import Store

if TYPE_CHECKING:
    from storage.remote.store import SharedStore  # only where a shared store is set

REMOTE, PROJECT = "WORDMASK_REMOTE", "WORDMASK_PROJECT"
"""Environment variables: the address of a shared store, and the name under which a project shares its keys there."""
SETTINGS = "store.yaml"
"""In the home: the same, as `remote` and `project`; the environment goes first."""
LARGEST_SETTINGS = 2**16
"""Bytes."""
DEFAULT_PROJECT = "default"


@dataclass(frozen=True)
class Sharing:
    """Where results are shared; nowhere when `remote` is empty."""

    remote: str = ""
    """An address such as s3://bucket/prefix, or a path."""
    project: str = DEFAULT_PROJECT


def store_folder() -> Path:
    """Root of the store; it need not exist yet."""
    return home() / "store"


def open_store() -> Store:
    """The store itself; nothing is made before something is written, and nobody is asked before it is needed."""
    return store_with(store_folder(), sharing())


def store_with(root: Path, sharing: Sharing) -> Store:
    """A store, before a shared one where one is set and the network may be used."""
    if not sharing.remote or (offline() and "://" in sharing.remote):
        return Store(root)
    return shared_store(root, sharing)


def shared_store(root: Path, sharing: Sharing) -> "SharedStore":
    """A store before a shared one; a wrong address is told by whoever asks there."""
    from storage.remote.forgiving import Forgiving
    from storage.remote.shared import Shared
    from storage.remote.store import SharedStore

    return SharedStore(root, remote=Forgiving(Shared(sharing.remote, sharing.project), root))


def demand_shared_store() -> "SharedStore":
    """The store before the shared one that is set.

    Raises:
        Refused: none is set, or the network may not be used.
    """
    sharing = settled()
    if not sharing.remote:
        raise Refused(
            f"no shared store is set; set {REMOTE}, or `remote` in {home() / SETTINGS} (docs/shared_store.md)"
        )
    if (name := offline()) and "://" in sharing.remote:
        raise Refused(f"{name} is set, so the shared store is not asked; unset it")
    return shared_store(store_folder(), sharing)


def sharing() -> Sharing:
    """What is set; a damaged file of settings counts as none here, and is told by `settled`."""
    try:
        return settled()
    except Refused:
        return Sharing()


def settled() -> Sharing:
    """What the environment says, then the file in the home.

    Raises:
        Refused: the file is damaged.
    """
    written = _written(home() / SETTINGS)
    return Sharing(
        remote=os.environ.get(REMOTE, written.remote).strip(),
        project=os.environ.get(PROJECT, "").strip() or written.project,
    )


def _written(path: Path) -> Sharing:
    if not path.is_file():
        return Sharing()
    import yaml

    try:
        found = yaml.safe_load(read_file(path, at_most=LARGEST_SETTINGS)) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise Refused(f"{path.name} is no YAML ({' '.join(str(problem).split())[:200]}); mend it") from problem
    known = {"remote": "", "project": DEFAULT_PROJECT}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise Refused(f"{path.name} holds more than texts; write `remote: s3://bucket/prefix` and `project: name`")
    if wrong := sorted(map(str, found.keys() - known.keys())):
        raise Refused(f"{path.name}: no key is called {wrong[0]}; keys: {', '.join(known)}")
    return Sharing(**{**known, **found})
