"""From models to downloads: which files are wanted, at which commit, what is to be said first; then several at once.

The commit of a hub's repository is looked up once, at the first download, and remembered beside the files
(`resources.hub_layout.RECORD`): from then on the model stays at it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from ops.refusal import Refused
from resources.checkpoints import examine_one
from resources.downloading import Download, download, measured
from resources.hub import Repository, describe
from resources.hub_layout import (
    CONFIGURATION,
    TOKENIZER,
    Part,
    Record,
    chosen,
    read_record,
    weights_among,
    write_record,
)
from resources.model_entries import Checkpoint
from resources.network import HUB, demand_network, hub_address, offline
from resources.open_clip_table import published_clip
from resources.spacy_archives import unpack
from storage.files import StoreError
from storage.locks import exclusive

WORKERS = 4
"""Files that come at once."""
PAUSE = 1.0
"""Seconds before a broken download is tried again; doubled by each break."""
Told = Callable[[Download, int], None]
"""Told the bytes of a file that are there now."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A model that is to be fetched."""

    checkpoint: Checkpoint
    downloads: tuple[Download, ...]
    """Empty: it is there."""
    licence: str
    revision: str = ""
    notes: tuple[str, ...] = ()
    """What a person has to know before."""

    def finish(self, home: Path) -> None:
        """Once its files are there: unpack what came packed."""
        if self.checkpoint.archive and self.downloads:
            _unpack(self, home)


@dataclass(frozen=True)
class Failures:
    """Model -> why it is not there now, one line each."""

    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, model: str, problem: BaseException) -> None:
        """Keep the reason of one file."""
        self.reasons.setdefault(model, []).append(" ".join(str(problem).split()))

    def and_also(self, others: Failures) -> Failures:
        """Those of both."""
        return Failures({**self.reasons, **others.reasons})

    def lines(self) -> list[str]:
        """One for each model: its first reason, and how many more of its files did not come."""
        more = {model: f" (and {len(why) - 1} more of its files)" for model, why in self.reasons.items() if why[1:]}
        return [f"{_named(model, why[0])}{more.get(model, '')}" for model, why in self.reasons.items()]


def _named(model: str, reason: str) -> str:
    """A reason that names its model."""
    return reason if reason.startswith(model) else f"{model}: {reason}"


def planned(checkpoints: Sequence[Checkpoint], home: Path) -> tuple[list[Wanted], Failures]:
    """Ask for all models at once; those that can not be fetched are told in the end, and stop no other."""
    failures, models = Failures(), list[Wanted]()
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="question") as pool:
        asked = [pool.submit(wanted, checkpoint, home) for checkpoint in checkpoints]
    for checkpoint, future in zip(checkpoints, asked, strict=True):
        if (problem := future.exception()) is None:
            models.append(future.result())
        else:
            _require_expected(problem)
            failures.add(checkpoint.name, problem)
    return models, failures


def wanted(checkpoint: Checkpoint, home: Path) -> Wanted:
    """What a model needs from the network, after asking the hub for its files where it is of one.

    Raises:
        Refused: it can not be fetched, the hub does not know it or can not be reached, or offline mode.
    """
    if checkpoint.is_of_a_hub:
        return _of_a_hub(checkpoint, home)
    if not checkpoint.can_be_fetched:
        raise Refused(f"{checkpoint.name} can not be fetched as files: get it from {checkpoint.source}")
    if checkpoint.archive:
        there = examine_one(checkpoint, home).state == "present"
        target = home / Path(checkpoint.archive).name
        packed = Download(address=checkpoint.archive, target=target, sha256=checkpoint.archive_sha256)
        return Wanted(checkpoint=checkpoint, licence=checkpoint.licence, downloads=() if there else (measured(packed),))
    downloads = tuple(
        measured(Download(address=file.address, target=home / file.path, size=file.size, sha256=file.sha256))
        for file in checkpoint.files
    )
    return Wanted(checkpoint=checkpoint, licence=checkpoint.licence, downloads=downloads)


def fetch(models: Sequence[Wanted], home: Path, *, told: Told, workers: int = WORKERS) -> Failures:
    """Download the files of models, several at once; what fails stops nothing else.

    Args:
        models: as `wanted` gives them.
        home: the checkpoint folder.
        told: called from several threads.
        workers: files at once.

    Returns:
        What did not come. What has come of it is kept for the next time.
    """
    stop, failures = Event(), Failures()
    with ThreadPoolExecutor(workers, thread_name_prefix="download") as pool:
        waiting: dict[Future[Path], Wanted] = {}
        for model in models:
            for file in model.downloads:
                waiting[pool.submit(_one, file, told, stop)] = model
        try:
            for future in as_completed(waiting):
                if (problem := future.exception()) is not None:
                    _require_expected(problem)
                    failures.add(waiting[future].checkpoint.name, problem)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    for model in models:
        if model.checkpoint.name not in failures.reasons:
            try:
                model.finish(home)
                _require_whole(model.checkpoint, home)
            except (Refused, StoreError) as problem:
                failures.add(model.checkpoint.name, problem)
    return failures


def missing_bytes(models: Iterable[Wanted]) -> tuple[int, int]:
    """Bytes that are still to come, and the number of files of which nobody knows how many."""
    files = [file.missing for model in models for file in model.downloads]
    return sum(size for size in files if size is not None), sum(size is None for size in files)


def demand_room(models: Sequence[Wanted], home: Path) -> None:
    """Look at the disk before anything begins.

    Raises:
        StoreError: there is less room than all files together need.
    """
    needed, _ = missing_bytes(models)
    folder = next(path for path in (home, *home.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{needed / 1e9:.2f} GB are needed, {home} has {free / 1e9:.2f} GB free: free space there, or set "
            "WORDMASK_CHECKPOINTS to another folder; nothing was begun"
        )


def _one(file: Download, told: Told, stop: Event) -> Path:
    return download(file, progress=lambda done: told(file, done), pause=PAUSE, stop=stop)


def _require_whole(checkpoint: Checkpoint, home: Path) -> None:
    """Refuse a model of a hub whose repository lacks what its own index names."""
    if checkpoint.is_of_a_hub and (found := examine_one(checkpoint, home)).state != "present":
        raise Refused(f"{checkpoint.name} is still not whole ({found.state}): {found.advice}")


def _require_expected(problem: BaseException) -> None:
    """Anything but a refusal is a bug, which keeps its traceback."""
    if not isinstance(problem, (Refused, StoreError)):
        raise problem


def _of_a_hub(checkpoint: Checkpoint, home: Path) -> Wanted:
    folder = home / checkpoint.path
    with exclusive(folder.with_name(f"{folder.name}.lock"), timeout=600):
        record = read_record(folder)
        if record is None and examine_one(checkpoint, home).state == "present":
            by_hand = f"{checkpoint.name}: {folder} was filled by hand and is taken as it is"
            return Wanted(checkpoint=checkpoint, licence=checkpoint.licence, downloads=(), notes=(by_hand,))
        notes: list[str] = []
        if record is None:
            demand_network(checkpoint.name)
            record, notes = _looked_up(checkpoint)
            write_record(folder, record)
        elif note := _moved_on(checkpoint, record):
            notes = [note]
    licence = record.licence or checkpoint.licence
    return Wanted(
        checkpoint=checkpoint,
        licence=licence,
        revision=record.revision,
        downloads=_downloads(folder, record),
        notes=tuple(notes),
    )


def _looked_up(checkpoint: Checkpoint) -> tuple[Record, list[str]]:
    """Ask the hub once; what is remembered, and what is to be said."""
    repository, tokenizer = checkpoint.repository, ""
    if checkpoint.layout == "open_clip":
        repository, tokenizer = published_clip(checkpoint.name)
    found = describe(repository, checkpoint.revision)
    names = chosen(found.files, checkpoint.layout)
    if not weights_among(names, checkpoint.layout):
        raise Refused(f"{checkpoint.name}: {found.page} holds no weights that are known here, as model.safetensors is")
    if checkpoint.layout == "transformers" and CONFIGURATION["transformers"][0] not in names:
        raise Refused(f"{checkpoint.name}: {found.page} has no config.json, so it is no model of transformers")
    parts = [_part(found, names)]
    if tokenizer and not set(names) & set(TOKENIZER):
        words = describe(tokenizer)
        parts.append(_part(words, [name for name in TOKENIZER if name in words.files]))
    return Record(name=checkpoint.name, licence=found.licence, parts=parts), _consent(checkpoint, found)


def _part(found: Repository, names: Iterable[str]) -> Part:
    return Part(repository=found.name, revision=found.revision, files={name: found.files[name] for name in names})


def _consent(checkpoint: Checkpoint, found: Repository) -> list[str]:
    if not (checkpoint.consent or found.gated):
        return []
    what = checkpoint.consent or f"agree to its licence ({found.licence or 'on its page'}) at {found.page}"
    return [f"{checkpoint.name} is given only to those who {what}; then log in once with `hf auth login`"]


def _moved_on(checkpoint: Checkpoint, record: Record) -> str | None:
    """What to say where the hub has a newer commit than the remembered one."""
    if checkpoint.revision or offline() or not record.parts:
        return None
    try:
        newest = describe(record.parts[0].repository, pause=0.1).revision
    except Refused:
        return None  # whether there is a newer one does not matter to the files that are wanted
    if newest == record.revision:
        return None
    return (
        f"{checkpoint.name} stays at {record.revision[:12]}; the hub is at {newest[:12]} now: `wordmask models remove "
        f"{checkpoint.name}` and get it again to move"
    )


def _downloads(folder: Path, record: Record) -> tuple[Download, ...]:
    return tuple(
        Download(
            address=f"{hub_address()}/{part.repository}/resolve/{part.revision}/{name}",
            target=folder / name,
            size=file.size,
            sha256=file.sha256,
            blob=file.blob,
            page=f"{HUB}/{part.repository}",
        )
        for part in record.parts
        for name, file in part.files.items()
    )


def _unpack(model: Wanted, home: Path) -> None:
    (packed,) = model.downloads
    folder = home / model.checkpoint.path
    with exclusive(folder.with_name(f"{folder.name}.lock"), timeout=600):
        try:
            unpack(packed.target, folder)
        except Refused:
            packed.target.unlink()
            raise
        write_record(folder, Record(name=model.checkpoint.name, licence=model.licence, archive=packed.address))
        packed.target.unlink()
