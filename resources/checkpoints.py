"""One registry of pretrained weights: what they are called, where people get them, and whether a copy is whole.

`resources.fetching` fetches them. Loading a model belongs in `resources/models/`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ops.refusal import Refused
from resources.digests import folder_digest, git_digest, recorded_digest, remembered_digest
from resources.embedded.cards import CARD, EMBEDDED_FOLDER, WEIGHTS
from resources.hub_layout import Recorded, lacking, model_files, read_record
from resources.hub_models import LISTED
from resources.model_entries import Checkpoint, CheckpointFile, installed_pipeline, made_from, name_of_folder
from resources.model_files import open_model_file
from resources.published_models import PUBLISHED
from storage.files import sha256_of

ENVIRONMENT = "WORDMASK_CHECKPOINTS"
State = Literal["present", "missing", "wrong size", "wrong hash", "no model", "unreadable", "embedded", "begun"]
WHOLE: tuple[State, ...] = ("present", "embedded")
MISSING = "missing"
UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What `examine` saw of one checkpoint."""

    name: str
    state: State
    advice: str
    """What to do next; what it is used for when there is nothing to do."""
    revision: str = ""
    """Commit of the hub's repository that the files are of; empty where none is known."""


class MissingCheckpoint(FileNotFoundError):  # noqa: N818 - says what is missing, as its base class does
    """A checkpoint that is not there; the message says which file, where from, and where to put it."""


CHECKPOINTS: dict[str, Checkpoint] = {checkpoint.name: checkpoint for checkpoint in PUBLISHED}
"""Name -> checkpoint whose files are known one by one. Full-size names are those that the loaders take."""
HUB_CHECKPOINTS: dict[str, Checkpoint] = {checkpoint.name: checkpoint for checkpoint in LISTED}
"""Name -> model of a hub, or CLIP of open_clip, that is known to serve; others are made from their names."""
_FORMS = "a model of a hub as owner/name or owner/name@revision, a CLIP of open_clip as ARCHITECTURE:tag"


def checkpoint_folder() -> Path:
    """Where checkpoints lie unless a caller says otherwise: $WORDMASK_CHECKPOINTS or ~/.cache/wordmask/checkpoints."""
    chosen = os.environ.get(ENVIRONMENT)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "wordmask" / "checkpoints"


def registered(name: str) -> Checkpoint:
    """The checkpoint of that name, listed or of a form that needs no listing.

    Raises:
        Refused: there is none of that name, or open_clip has no such architecture; lists the known ones.
    """
    found = CHECKPOINTS.get(name) or HUB_CHECKPOINTS.get(name) or made_from(name)
    if found is None:
        near = get_close_matches(name.lower(), [*CHECKPOINTS, *HUB_CHECKPOINTS], n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise Refused(f"unknown checkpoint {name!r}; {meant}known are {', '.join(CHECKPOINTS)}; or {_FORMS}")
    return found


def locate(name: str, folder: Path | None = None) -> Path:
    """The file or folder of a checkpoint, all its files being there.

    Args:
        name: As `registered` takes it.
        folder: The checkpoint folder; None takes `checkpoint_folder()`.

    Raises:
        MissingCheckpoint: A file of it is not there; the message says what to do.
        Refused: No such checkpoint is known, or the index of its weights is none.
    """
    checkpoint, home = registered(name), folder or checkpoint_folder()
    absent = _absent(checkpoint, home)
    if not absent:
        return _base(checkpoint, home) / checkpoint.path
    installed = installed_pipeline(checkpoint.package)
    if installed is not None:
        return installed
    raise MissingCheckpoint(f"{name}: {_advice(checkpoint, home, absent)}")


def examine(folder: Path | None = None, *, thorough: bool = False) -> list[Finding]:
    """Look at every known checkpoint, and at every other one of a hub that lies in the folder.

    Args:
        folder: The checkpoint folder; None takes `checkpoint_folder()`.
        thorough: Hash the large files too (about 2 s per GB).

    Returns:
        One finding per checkpoint, in the order of the registry.
    """
    home = folder or checkpoint_folder()
    names = dict.fromkeys((*CHECKPOINTS, *HUB_CHECKPOINTS, *_lying_about(home)))
    return [examine_one(registered(name), home, thorough=thorough) for name in names]


def identity(name: str, folder: Path | None = None) -> str:
    """A digest that changes with the weights, for recipes.

    `missing` where they are not there, and `unreadable` where this user may not read them; the loader says what to do.

    A file counts as the published one by its digest alone. It is hashed once, which is remembered beside it under its
    size, modification time and inode. Of a model of a hub the digest is over its weights, its configuration and its
    tokenizer; the revision has no part in it, since equal files give equal results.

    Raises:
        Refused: No such checkpoint is known.
    """
    checkpoint, home = registered(name), folder or checkpoint_folder()
    if checkpoint.embedded:
        whole = not _absent(checkpoint, home)
        return folder_digest(EMBEDDED_FOLDER / checkpoint.path) if whole else MISSING
    try:
        if not _absent(checkpoint, home):
            return _digest(checkpoint, home)
    except (OSError, Refused):
        return UNREADABLE
    installed = installed_pipeline(checkpoint.package)
    return hashlib.sha256(installed.name.encode()).hexdigest() if installed else MISSING


def revision_of(name: str, folder: Path | None = None) -> str:
    """The commit of the hub's repository that the files of a model are of; empty where none is remembered."""
    record = read_record((folder or checkpoint_folder()) / registered(name).path)
    return record.revision if record else ""


def revisions_of(names: Iterable[str], folder: Path | None = None) -> dict[str, str]:
    """Name -> commit, of those whose commit is remembered."""
    found = {name: revision_of(name, folder) for name in names}
    return {name: revision for name, revision in found.items() if revision}


def _digest(checkpoint: Checkpoint, home: Path) -> str:
    """Over the files of a checkpoint, all of them being there."""
    folder = home / checkpoint.path
    if checkpoint.is_of_a_hub:
        lines = [f"{path.name} {remembered_digest(path)}" for path in sorted(model_files(folder, checkpoint.layout))]
    elif checkpoint.layout == "spacy" and not checkpoint.package:
        return folder_digest(folder)
    else:
        lines = [remembered_digest(path) for _, path in _found(checkpoint, home) if path is not None]
    return lines[0] if len(lines) == 1 else hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _base(checkpoint: Checkpoint, home: Path) -> Path:
    return EMBEDDED_FOLDER if checkpoint.embedded else home


def _found(checkpoint: Checkpoint, home: Path) -> list[tuple[CheckpointFile, Path | None]]:
    base = _base(checkpoint, home)
    if checkpoint.is_of_a_hub:
        folder = base / checkpoint.path
        record = read_record(folder)
        said = record.files if record else {}
        known = [(path, said.get(path.name, Recorded())) for path in model_files(folder, checkpoint.layout)]
        return [(CheckpointFile(path=str(path), **asdict(file)), path) for path, file in known]
    found: list[tuple[CheckpointFile, Path | None]] = []
    for file in checkpoint.files:
        there = (base / name for name in (file.path, *file.alternatives))
        found.append((file, next((path for path in there if path.is_file()), None)))
    return found


def _absent(checkpoint: Checkpoint, home: Path) -> list[str]:
    """Files that are not there, relative to the checkpoint folder."""
    if checkpoint.is_of_a_hub:
        return [f"{checkpoint.path}/{name}" for name in lacking(home / checkpoint.path, checkpoint.layout)]
    return [file.path for file, path in _found(checkpoint, home) if path is None]


def _lying_about(home: Path) -> Iterator[str]:
    """Names of the models of hubs whose folders lie in the checkpoint folder."""
    places = ((path, name_of_folder(path.name)) for path in sorted(home.glob("hub/*/")))
    clips = ((path, f"{path.parent.name}:{path.name}") for path in sorted(home.glob("open_clip/*/*/")))
    for _, name in (*places, *clips):
        try:
            registered(name)
        except Refused:
            continue
        yield name


def _advice(checkpoint: Checkpoint, home: Path, absent: list[str]) -> str:
    if checkpoint.embedded:
        return f"{' and '.join(absent)} should be there; it comes with {checkpoint.source}"
    names = " and ".join(Path(name).name for name in absent)
    by_hand = f"get {names} from {checkpoint.source}; put it into {(home / absent[0]).parent}"
    if not checkpoint.can_be_fetched:
        return by_hand
    consent = f" ({checkpoint.consent} first)" if checkpoint.consent else ""
    return f"type `wordmask models get {checkpoint.name}`{consent}, or {by_hand}"


def _again(checkpoint: Checkpoint) -> str:
    fetched = f"`wordmask models get {checkpoint.name}` fetches it again, " if checkpoint.can_be_fetched else ""
    return f"{fetched}{'from' if fetched else 'get it again from'} {checkpoint.source}"


def examine_one(checkpoint: Checkpoint, home: Path, *, thorough: bool = False) -> Finding:
    """Look at one checkpoint; see `examine`."""
    try:
        absent = _absent(checkpoint, home)
    except Refused as problem:
        return Finding(name=checkpoint.name, state="no model", advice=str(problem))
    record = read_record(home / checkpoint.path) if checkpoint.layout != "files" else None
    revision = record.revision if record else ""
    installed = installed_pipeline(checkpoint.package) if absent else None
    used = f"used by {checkpoint.stage}"
    if installed is not None:
        return Finding(name=checkpoint.name, state="present", advice=f"{used}, installed at {installed}")
    if absent:
        state: State = "begun" if _has_begun(checkpoint, home) else "missing"
        return Finding(name=checkpoint.name, state=state, advice=_advice(checkpoint, home, absent), revision=revision)
    for file, path in _found(checkpoint, home):
        wrong = _problem(file, path, thorough=thorough) if path is not None else None
        if wrong is not None:
            state, detail = wrong
            advice = f"{detail}; {_again(checkpoint)}"
            return Finding(name=checkpoint.name, state=state, advice=advice, revision=revision)
    if checkpoint.embedded:
        return _examine_embedded(checkpoint)
    return Finding(name=checkpoint.name, state="present", advice=used, revision=revision)


def _has_begun(checkpoint: Checkpoint, home: Path) -> bool:
    """Whether a download of it broke off."""
    if checkpoint.is_of_a_hub:
        return read_record(home / checkpoint.path) is not None
    return any((home / f"{file.path}.partial").is_file() for file in checkpoint.files)


def _examine_embedded(checkpoint: Checkpoint) -> Finding:
    folder = EMBEDDED_FOLDER / checkpoint.path
    weights = folder / WEIGHTS
    if weights.is_file() and recorded_digest(folder / CARD) != sha256_of(weights):
        advice = f"{weights} is not the file its card describes; restore both files of {checkpoint.source}"
        return Finding(name=checkpoint.name, state="wrong hash", advice=advice)
    return Finding(name=checkpoint.name, state="embedded", advice=f"used by {checkpoint.stage}")


def _problem(file: CheckpointFile, path: Path, *, thorough: bool) -> tuple[State, str] | None:
    try:
        open_model_file(path).close()
    except Refused as problem:
        return "no model" if os.access(path, os.R_OK) else "unreadable", str(problem)
    if path.name != Path(file.path).name:
        return None  # an alternative; nothing is published about it here
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return "wrong size", f"{path} has {size:,} bytes, published are {file.size:,}"
    published = file.sha256 or file.blob
    found = _hashed(file, path) if thorough and published else published
    if found != published:
        return "wrong hash", f"{path} hashes to {str(found)[:12]}, published is {str(published)[:12]}"
    return None


def _hashed(file: CheckpointFile, path: Path) -> str:
    return sha256_of(path) if file.sha256 else git_digest(path)
