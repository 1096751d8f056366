"""Artifacts and the content-addressed store that holds them.

Layout below the root, all made on first need:

    objects/<stage>/<fingerprint>/   finished artifacts, never changed
    partial/<stage>/<fingerprint>/   work in progress: content/ becomes the object, scratch/ does not
    refs/<a>/<b>/<stage>.json        which object a key means now, and the digest of its manifest
    index.txt                        the digest of every object's manifest
    locks/<stage>/<fingerprint>      held while one process computes an object
    locks/.reading/...               shared by those who read one
    trash/                           objects on their way out

A kill at any moment leaves either no object or a whole one; what lies in partial/ is picked up by the next claim.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.digest import digest
from storage.files import (
    TEMPORARY,
    StoreError,
    explain,
    make_folder,
    safe_part,
    sha256_of,
    subfolders,
    sync_file,
    sync_folder,
    write_bytes,
)
from storage.garbage import Garbage, find_garbage, mark_store, put_aside, reading_lock
from storage.index import INDEX, adopt_manifests, check_manifest, index_problems, note_manifest
from storage.locks import exclusive, is_free, shared
from storage.manifest import MANIFEST, FileSum, Manifest, Tally, read_manifest
from storage.refs import Ref, key_of, read_ref, ref_files, ref_path, write_ref
from storage.verification import is_sound, problems_of

if TYPE_CHECKING:
    import pyarrow as pa  # imported with the first table: most commands only look manifests up

__all__ = ["Artifact", "Garbage", "Manifest", "Slot", "Store", "StoreError", "Tally"]

REPLACING_SECONDS = 1.0
"""Longest time that a forced run needs to put a new object in the place of an old one."""
FORCED = "forced"
"""Marks a partial that recomputes an existing object, so that a killed forced run resumes instead of starting over."""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: a folder with a manifest. Read it, never write into it."""

    path: Path
    planned: str = field(default="", compare=False)
    """Recipe under which the key that led here was pointed at it; equal objects may come about under several."""

    @cached_property
    def manifest(self) -> Manifest:
        """What the artifact is; `StoreError` when the page is damaged."""
        return read_manifest(self.path)

    @property
    def content_digest(self) -> str:
        """Equal for artifacts whose files are byte for byte equal, whenever and however they were made."""
        return digest({name: entry.sha256 for name, entry in self.manifest.checksums.items()})

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of its tables, sorted, ledgers left out."""
        names = sorted(name.removesuffix(".parquet") for name in self.manifest.checksums if name.endswith(".parquet"))
        return tuple(name for name in names if not name.endswith(".ledger"))

    def has(self, name: str) -> bool:
        """Whether a file or folder of that name belongs to the artifact."""
        return any(known == name or known.startswith(f"{name}/") for known in self.manifest.checksums)

    def file(self, name: str) -> Path:
        """Path of a file or folder of the artifact; `StoreError` naming what there is when it has none of that name."""
        if not self.has(name):
            known = ", ".join(sorted(self.manifest.checksums)) or "nothing"
            raise StoreError(f"{self.manifest.stage} {self.manifest.fingerprint} holds no {name!r}; it holds {known}.")
        return self.path / name

    def table(self, name: str, *, columns: list[str] | None = None) -> "pa.Table":
        """Read a table, or some columns of it; `StoreError` when it is absent or damaged."""
        from storage.tables import read_table

        return read_table(self.file(f"{name}.parquet"), columns=columns)

    def batches(self, name: str, *, columns: list[str]) -> "Iterator[pa.RecordBatch]":
        """Some columns of a table, some rows at a time; raises as `table`."""
        from storage.tables import read_batches

        return read_batches(self.file(f"{name}.parquet"), columns=columns)

    def schema(self, name: str) -> "pa.Schema":
        """Columns of a table with their descriptions, without reading rows."""
        from storage.tables import read_schema

        return read_schema(self.file(f"{name}.parquet"))

    def ledger(self, name: str) -> "pa.Table":
        """One row per unit of a filled table: unit, label, status (`ok` or `quarantined`), reason, rows."""
        return self.table(f"{name}.ledger")

    def quarantine(self, name: str) -> "pa.Table":
        """The units of a filled table that have no result: unit, label, reason."""
        import pyarrow.compute as pc

        ledger = self.ledger(name)
        rows = ledger.filter(pc.equal(ledger["status"], "quarantined"))
        return rows.select(["unit", "label", "reason"])


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The place of one artifact while its lock is held: either complete, or a work folder to fill and commit."""

    stage: str
    fingerprint: str
    recipe: Mapping[str, Any]
    root: Path
    complete: bool = False
    """The object exists; there is nothing to do."""

    @property
    def target(self) -> Path:
        """Where the object lies once it is committed."""
        return self.root / "objects" / self.stage / self.fingerprint

    @property
    def partial(self) -> Path:
        """Everything of the unfinished object."""
        return self.root / "partial" / self.stage / self.fingerprint

    @property
    def content(self) -> Path:
        """Folder whose files become the artifact; survives a kill. Write files whole or write them again on resume."""
        return self.partial / "content"

    @property
    def scratch(self) -> Path:
        """Folder for shards and training checkpoints: survives a kill, never becomes part of the artifact."""
        return self.partial / "scratch"

    def commit(
        self,
        *,
        rows: Mapping[str, Tally] | None = None,
        inputs: Mapping[str, str] | None = None,
        metrics: Mapping[str, float | int | str] | None = None,
        versions: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Turn the work folder into the artifact: checksums, fsync, manifest last, one rename.

        Raises:
            StoreError: the disk refuses (the work folder stays), or the work folder holds a link.
            TypeError: recipe, metrics or extra hold something that JSON does not know.
        """
        manifest = Manifest(
            stage=self.stage,
            fingerprint=self.fingerprint,
            recipe=dict(self.recipe),
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            checksums=_seal(self.content),
            inputs=dict(inputs or {}),
            rows=dict(rows or {}),
            metrics=dict(metrics or {}),
            versions=dict(versions or {}),
            extra=dict(extra or {}),
        )
        write_bytes(self.content / MANIFEST, manifest.to_json())
        return self.promote()

    def promote(self) -> Artifact:
        """The last step of `commit`, by itself for one that was interrupted just before it."""
        note_manifest(self.root, self.target, self.content)
        with explain(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            trash = put_aside(self.root, self.target) if self.target.exists() else None  # a forced run replaces it
            self.content.replace(self.target)
            sync_folder(self.target.parent)
            for leftover in (self.partial, trash):
                if leftover is not None:
                    shutil.rmtree(leftover, ignore_errors=True)
        return Artifact(self.target)


@dataclass(frozen=True)
class Store:
    """A content-addressed store in one folder; many processes may use it at once."""

    root: Path
    log: Callable[[str], None] = field(default=lambda _: None, compare=False)

    @contextmanager
    def claim(
        self,
        stage: str,
        fingerprint: str,
        *,
        recipe: Mapping[str, Any],
        force: bool = False,
        timeout: float = 86_400.0,
        log: Callable[[str], None] | None = None,
    ) -> Iterator[Slot]:
        """Hold the only right to make one object; waits while another process has it.

        Args:
            stage: folder name of the stage.
            fingerprint: digest of everything that determines the object.
            recipe: JSON mapping kept in the manifest; `siblings` compares its entry `own`.
            force: make the object again although it exists; a killed forced run resumes.
            timeout: seconds to wait for another process.
            log: told once when there is something to wait for, and what was found.

        Raises:
            StoreError: unsafe names, the wait was too long, or the disk refuses.
        """
        say = log or self.log
        slot = Slot(root=self.root, stage=safe_part(stage), fingerprint=safe_part(fingerprint), recipe=recipe)
        with explain(self.root):
            mark_store(self.root, log=say)
            adopt_manifests(self.root, log=say)
        with exclusive(self.root / "locks" / stage / fingerprint, timeout=timeout, log=say):
            with explain(slot.target):
                complete = _prepare(slot, force=force, log=say)
            yield replace(slot, complete=complete)

    def point(self, key: Sequence[str], stage: str, fingerprint: str, *, planned: str = "") -> None:
        """Let `key` mean an existing object from now on, in one step; `StoreError` when there is no such object."""
        target = self._object(stage, fingerprint)
        with explain(target, act="read"):
            there = target.is_dir()
        if not there:
            raise StoreError(
                f"There is no {stage} {fingerprint} in {self.root} to point {'/'.join(key)} at; commit it first."
            )
        manifest = check_manifest(self.root, target)
        ref = Ref(key=tuple(key), stage=stage, fingerprint=fingerprint, planned=planned, manifest=manifest)
        write_ref(self.root, ref)

    def resolve(self, key: Sequence[str]) -> Artifact:
        """The artifact that `key` means now.

        Raises:
            StoreError: nothing was stored under the key, or the object is gone or damaged; says what to run.
        """
        name, before = "/".join(key), None
        while True:
            ref = read_ref(self.root, ref_path(self.root, tuple(key)))
            if ref is None:
                raise StoreError(f"Nothing is stored for {name} in {self.root} yet; materialize {name} first.")
            artifact = Artifact(ref.object_in(self.root), planned=ref.planned)
            with explain(artifact.path, act="read"):
                there = self._is_there(artifact.path)
            if there:
                check_manifest(self.root, artifact.path, promised=ref.manifest)
                return artifact
            if ref == before:  # else the key was moved, and what it meant deleted, while we looked
                raise StoreError(f"The object of {name} is gone from {artifact.path}; materialize {name} again.")
            before = ref

    @contextmanager
    def reading(self, artifacts: Iterable[Artifact]) -> Iterator[None]:
        """Keep artifacts from being deleted while they are read, whatever becomes of the keys that led to them."""
        with ExitStack() as stack:
            for artifact in artifacts:
                stack.enter_context(shared(reading_lock(self.root, artifact.path)))
            yield

    def holds(self, stage: str, fingerprint: str) -> bool:
        """Whether an object exists."""
        return self._object(stage, fingerprint).is_dir()

    def siblings(self, stage: str, own_recipe: str) -> list[Artifact]:
        """Artifacts of a stage made by the same own recipe from whatever inputs, newest first: rows to reuse."""
        found = []
        for folder in subfolders(self.root / "objects" / safe_part(stage)):
            try:
                check_manifest(self.root, folder)
                manifest = Artifact(folder).manifest
            except StoreError as error:
                self.log(f"skipping a damaged artifact: {error}")
                continue
            if manifest.recipe.get("own") == own_recipe:
                found.append((manifest.created, Artifact(folder)))
        return [artifact for _, artifact in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def artifacts(self) -> list[Artifact]:
        """Every object, sorted by stage and fingerprint; their manifests are read when asked for."""
        return [Artifact(path) for stage in subfolders(self.root / "objects") for path in subfolders(stage)]

    def refs(self) -> dict[tuple[str, ...], Artifact]:
        """Every key that means an existing object, sorted; the others (object gone, file damaged) go to the log."""
        found = {}
        for path in ref_files(self.root):
            key = key_of(self.root, path)
            try:
                found[key] = self.resolve(key)
            except StoreError as error:
                self.log(str(error))
        return found

    def verify(self, artifact: Artifact) -> tuple[str, ...]:
        """Read every byte again and compare; one sentence per damaged, missing or foreign file, none when sound."""
        return problems_of(self.root, artifact.path)

    def verify_pointers(self) -> list[tuple[str, str]]:
        """(file, problem) of each ref that leads to no sound manifest, and of each damaged line of the index."""
        problems = []
        for path in ref_files(self.root):
            try:
                self.resolve(key_of(self.root, path))
            except StoreError as error:
                problems.append((path.relative_to(self.root).as_posix(), str(error)))
        return problems + [(INDEX, problem) for problem in index_problems(self.root)]

    def collect_garbage(self, dry_run: bool = True, *, min_age: timedelta = timedelta(days=1)) -> Garbage:
        """Find objects that no key means and abandoned work, and delete them unless `dry_run`.

        Args:
            dry_run: only list.
            min_age: what was touched within this time stays: a run may be about to point at it or to resume it.

        Raises:
            StoreError: a ref is damaged (nothing is deleted then), or the disk refuses.
        """
        return find_garbage(self.root, min_age=min_age, dry_run=dry_run, log=self.log)

    def _object(self, stage: str, fingerprint: str) -> Path:
        return self.root / "objects" / safe_part(stage) / safe_part(fingerprint)

    def _is_there(self, target: Path) -> bool:
        """Whether an object exists; one that a forced run is just replacing is waited for."""
        deadline = time.monotonic() + REPLACING_SECONDS
        while not target.is_dir():
            if is_free(self.root / "locks" / target.parent.name / target.name) or time.monotonic() > deadline:
                return target.is_dir()
            time.sleep(0.01)
        return True


def _prepare(slot: Slot, *, force: bool, log: Callable[[str], None]) -> bool:
    """Make a slot ready to be worked in; whether there is nothing left to do."""
    resuming = (slot.partial / FORCED).exists() and slot.content.exists()  # no content: promoted, then killed
    if slot.target.exists() and not force:
        check_manifest(slot.root, slot.target)
        read_manifest(slot.target)  # a damaged object is told of here, not three stages later
        shutil.rmtree(slot.partial, ignore_errors=True)
        return True
    if force and not resuming:
        shutil.rmtree(slot.partial, ignore_errors=True)
    if (slot.content / MANIFEST).exists():
        if is_sound(slot.content):
            log(f"{slot.stage} {slot.fingerprint}: finishing an interrupted commit")
            slot.promote()
            return True
        (slot.content / MANIFEST).unlink()
    make_folder(slot.content)
    make_folder(slot.scratch)
    if force and not resuming:
        write_bytes(slot.partial / FORCED, b"")
    return False


def _seal(folder: Path) -> dict[str, FileSum]:
    """Drop what a kill left half written, put the rest on the disk, and sum it up."""
    sums = {}
    with explain(folder):
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                raise StoreError(f"{path} is a link; an artifact holds plain files, copy the content instead.")
            if path.is_dir():
                sync_folder(path)
            elif path.name.endswith(TEMPORARY):
                path.unlink()
            elif path != folder / MANIFEST:
                sync_file(path)
                sums[path.relative_to(folder).as_posix()] = FileSum(sha256_of(path), path.stat().st_size)
    return sums
