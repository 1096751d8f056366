"""The local store in front of a shared one: a claim looks there before it computes, a key that is set is sent there."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from storage.artifact import Slot, Store
from storage.files import StoreError, explain
from storage.garbage import reading_lock
from storage.locks import attempted, exclusive
from storage.refs import Ref, read_ref, ref_path
from storage.remote.forgiving import Forgiving
from storage.remote.objects import Place

PULLED = "pulled"
"""In the folder of unfinished work: an object on its way from the shared store."""
PATIENCE_SECONDS = 3600.0
"""Longest wait of a push or a pull for a run that makes the object."""
Sent = Literal["sent", "taken over", "kept"]
"""What became of an object: it lies there; another was there first and lies here now, too; or both stay as they are."""


@dataclass(frozen=True, kw_only=True)
class SharedStore(Store):
    """A store whose misses are looked up in a shared one, and whose results go there."""

    remote: Forgiving = field(compare=False)

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
        """As `Store.claim`; complete, too, where the shared store had the object."""
        with super().claim(stage, fingerprint, recipe=recipe, force=force, timeout=timeout, log=log) as slot:
            place = Place(stage, fingerprint)
            if force:
                self.remote.force(place)
            elif not slot.complete and self.remote.fetch(
                place, own=str(recipe.get("own")), into=slot.partial / PULLED, say=log or self.log
            ):
                _take(slot)
                slot = replace(slot, complete=True)
            yield slot

    def point(self, key: Sequence[str], stage: str, fingerprint: str, *, planned: str = "") -> None:
        """As `Store.point`, while the object is held; an object that is owed to the shared store goes there first."""
        place, before = Place(stage, fingerprint), self._ref(key)
        owed = self.remote.owes(place) and self.holds(stage, fingerprint)
        if owed:
            slot = self._slot(place)
            if self.remote.send(place, slot.target, into=slot.partial / PULLED, say=self.log):
                _take(slot)
        super().point(key, stage, fingerprint, planned=planned)
        now = self._ref(key)
        if now and (owed or now != before) and not self.remote.owes(place):
            self.remote.point(now, say=self.log)

    def push(self, key: Sequence[str], *, replacing: bool = False) -> Sent:
        """Send what a key means, and the key.

        Args:
            key: of an artifact.
            replacing: put it in the place of another's result.

        Raises:
            RemoteError: the shared store cannot be asked.
            StoreError: there is no such artifact, it is damaged, or a run makes it for an hour.
        """
        artifact = self.resolve(key)
        place = Place(artifact.path.parent.name, artifact.path.name)
        slot, shared = self._slot(place), self.remote.shared
        with self._held(place), attempted(reading_lock(self.root, artifact.path)) as free:
            over = shared.digest_of(place) if replacing else None
            first = shared.send(place, slot.target, into=slot.partial / PULLED if free else None, replacing=over)
            if not first and free:
                _take(slot)
            super().point(key, *place, planned=artifact.planned)
            if ref := self._ref(key):
                shared.point(ref)
            self.remote.settle(place)
        return "sent" if first else "taken over" if free else "kept"

    def pull(self, ref: Ref, *, own: str) -> int | None:
        """Bring what a ref of the shared store means, and let its key mean it here; its bytes.

        Args:
            ref: which object, under which key.
            own: the recipe that it must have been made by.

        Returns:
            Bytes that came, 0 where the object was here already, None where it is not there.

        Raises:
            RemoteError: the shared store cannot be asked, or what it has is damaged.
            StoreError: the disk refuses, or a run makes the object for an hour.
        """
        place = Place(ref.stage, ref.fingerprint)
        slot, size = self._slot(place), 0
        with self._held(place):
            if not self.holds(*place):
                came = self.remote.shared.fetch(place, own=own, into=slot.partial / PULLED)
                if came is None:
                    return None
                _take(slot)
                size = came
            super().point(ref.key, *place, planned=ref.planned)
        return size

    def _slot(self, place: Place) -> Slot:
        return Slot(root=self.root, stage=place.stage, fingerprint=place.fingerprint, recipe={})

    def _ref(self, key: Sequence[str]) -> Ref | None:
        try:
            return read_ref(self.root, ref_path(self.root, tuple(key)))
        except StoreError:
            return None

    @contextmanager
    def _held(self, place: Place) -> Iterator[None]:
        lock = self.root / "locks" / place.stage / place.fingerprint
        with exclusive(lock, timeout=PATIENCE_SECONDS, log=self.log):
            yield


def _take(slot: Slot) -> None:
    """Make what came from the shared store the object of this machine, in one step."""
    with explain(slot.content):
        shutil.rmtree(slot.content, ignore_errors=True)
        (slot.partial / PULLED).replace(slot.content)
    slot.promote()
