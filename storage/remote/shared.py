"""A shared store: objects and refs of several machines in one bucket, and whether it can be reached."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from storage.files import safe_part
from storage.manifest import read_manifest
from storage.refs import Ref, page_of, parse_ref
from storage.remote.bucket import QUICK, Bucket, Patience, RemoteDamagedError, RemoteError, checked
from storage.remote.objects import LARGEST_MARK, MARK, MARKER, Page, Place, fetch, read_page, send

LARGEST_REF = 64 * 2**10
"""Bytes."""


@dataclass(frozen=True)
class Shared:
    """A bucket and the name under which a project keeps its refs there; what it cannot do is a `RemoteError`."""

    url: str
    project: str = "default"
    patience: Patience = field(default_factory=Patience)

    @cached_property
    def bucket(self) -> Bucket:
        """Where it lies."""
        return Bucket(checked(self.url), self.patience)

    def fetch(self, place: Place, *, own: str, into: Path) -> int | None:
        """Bring an object into a folder; its bytes, or None where there is none.

        Args:
            place: which object.
            own: the recipe that it must have been made by.
            into: a private folder.

        Raises:
            RemoteDamagedError: it is not what its page says, or was made by another recipe.
            RemoteError: the bucket cannot be asked, or is too slow.
            StoreError: the disk refuses.
        """
        page = read_page(self.bucket, place)
        if page is None:
            return None
        self._bring(place, page, own=own, into=into)
        return sum(page.sizes.values())

    def send(self, place: Place, folder: Path, *, into: Path | None, replacing: str | None = None) -> bool:
        """Put an object there, or, where another is there already, bring that one into a folder.

        Args:
            place: which object.
            folder: holds it.
            into: a private folder for the other one; None: it is left where it is.
            replacing: as `objects.send`.

        Returns:
            Whether it is now the one that lies there.

        Raises:
            RemoteError, StoreError: as `objects.send` and `fetch`.
        """
        theirs = send(self.bucket, place, folder, replacing=replacing)
        if theirs is not None and into is not None:
            own = str(read_manifest(folder).recipe.get("own"))
            try:
                self._bring(place, theirs, own=own, into=into, beside=folder)
            except RemoteDamagedError as error:  # what was first is not whole, so it is none
                return send(self.bucket, place, folder, replacing=error.digest) is None
        return theirs is None

    def digest_of(self, place: Place) -> str | None:
        """Digest of the page of an object, empty where it is damaged; None where there is none."""
        try:
            page = read_page(self.bucket, place)
        except RemoteDamagedError:
            return ""
        return None if page is None else page.digest

    def point(self, ref: Ref) -> bool:
        """Let a key of the project mean an object for all; whether it meant another."""
        name, page = self._ref_name(ref.key), page_of(ref)
        return self.bucket.read(name, at_most=LARGEST_REF) != page and self.bucket.write(name, page)

    def resolve(self, key: tuple[str, ...]) -> Ref | None:
        """What a key of the project means; None where nobody said so. Raises as `fetch`."""
        name = self._ref_name(key)
        content = self.bucket.read(name, at_most=LARGEST_REF)
        try:
            return None if content is None else parse_ref(content, key)
        except ValueError as error:
            raise RemoteDamagedError(f"{name} is damaged ({error}); `wordmask push` writes it anew") from error

    def problem(self) -> str:
        """Why it cannot be reached; empty where it can. Takes a few seconds at most."""
        try:
            mark = Bucket(checked(self.url), QUICK).read(MARKER, at_most=LARGEST_MARK)
        except RemoteError as error:
            return str(error)
        return "" if mark in (None, MARK) else f"its {MARKER} is none of wordmask's: choose another prefix"

    def _ref_name(self, key: tuple[str, ...]) -> str:
        return f"refs/{safe_part(self.project)}/{'/'.join(map(safe_part, key))}.json"

    def _bring(self, place: Place, page: Page, *, own: str, into: Path, beside: Path | None = None) -> None:
        try:
            if page.manifest.recipe.get("own") != own:
                raise RemoteDamagedError(f"{place.prefix} was made by another recipe")
            fetch(self.bucket, place, page, into=into, beside=beside)
        except RemoteDamagedError as error:
            raise RemoteDamagedError(str(error), digest=page.digest) from error
