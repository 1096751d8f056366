"""The shared store as a run sees it: asked before something is computed, told after; and it ends no run.

What could not be done is said once, and no run of this home asks again for a while: a run of twenty stages does not
wait twenty times. What was not sent is marked, until `wordmask push` or a later run sends it.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from storage.digest import digest
from storage.files import StoreError, explain, make_folder, read_if_there, subfolders, write_bytes
from storage.refs import Ref
from storage.remote.bucket import RemoteDamagedError, RemoteError, RemoteReadOnlyError
from storage.remote.objects import Place
from storage.remote.shared import Shared

REST_SECONDS = 300.0
"""After a failure no run of this home asks for so long."""
RESTING = "remote_failed.txt"
"""Below the root of the local store: which shared store failed last, and why."""
UNSENT = "unsent"
"""Below it: an empty file for each object that is not in the shared store yet."""
Say = Callable[[str], None]
T = TypeVar("T")


class Forgiving:
    """A shared store beside the local one below `root`."""

    def __init__(self, shared: Shared, root: Path) -> None:
        self.shared, self.root = shared, root
        self._said = self._read_only = False
        self._replacing: dict[Place, str] = {}
        self._forced: set[Place] = set()

    def fetch(self, place: Place, *, own: str, into: Path, say: Say) -> bool:
        """Whether `into` holds the object now; otherwise it is to be computed, and owed."""
        size = self._tried(lambda: self.shared.fetch(place, own=own, into=into), place, say)
        if size is None:
            self.owe(place)
            return False
        say(f"{place}: {size / 1e6:.2f} MB from the shared store; nothing to compute")
        return True

    def send(self, place: Place, folder: Path, *, into: Path, say: Say) -> bool:
        """Send what is owed; whether `into` holds another's result that was there first."""
        keep, replacing = place in self._forced, self._replacing.get(place)
        send = self.shared.send
        first = self._tried(lambda: send(place, folder, into=None if keep else into, replacing=replacing), place, say)
        if first is None:
            if self._read_only:
                self.settle(place)  # others would have to send it
            where = "it may only be read from here" if self._read_only else "`wordmask push` sends it later"
            say(f"{place} was not sent to the shared store; {where}")
            return False
        self.settle(place)
        if first:
            return False
        kept = "`wordmask push --replace` puts this one in its place" if keep else "it is taken over"
        say(f"{place}: another result was in the shared store first; {kept}")
        return not keep

    def point(self, ref: Ref, *, say: Say) -> None:
        """Share a ref; one that could not be shared is owed with its object."""
        place = Place(ref.stage, ref.fingerprint)
        if self._tried(lambda: self.shared.point(ref), place, say) is None and not self._read_only:
            self.owe(place)

    def force(self, place: Place) -> None:
        """This object is computed although there may be another, which then stays where it is."""
        self._forced.add(place)
        self.owe(place)

    def owe(self, place: Place) -> None:
        """Remember that an object is to be sent."""
        path = self._mark(place)
        make_folder(path.parent)
        with explain(path):
            path.touch()

    def owes(self, place: Place) -> bool:
        """Whether an object is still to be sent."""
        return self._mark(place).exists()

    def settle(self, place: Place) -> None:
        """An object is in the shared store."""
        self._mark(place).unlink(missing_ok=True)

    def unsent(self) -> list[Place]:
        """Objects of this machine that are still to be sent."""
        marks = [path for stage in subfolders(self.root / UNSENT) for path in sorted(stage.iterdir())]
        places = [Place(path.parent.name, path.name) for path in marks]
        return [place for place in places if (self.root / "objects" / place.stage / place.fingerprint).is_dir()]

    def wake(self) -> None:
        """It was reached: runs may ask again."""
        (self.root / RESTING).unlink(missing_ok=True)

    def _mark(self, place: Place) -> Path:
        return self.root / UNSENT / place.stage / place.fingerprint

    def _tried(self, act: Callable[[], T], place: Place, say: Say) -> T | None:
        """What an act gives; None when it failed, or was not begun because another one did."""
        if reason := self._reason_to_rest():
            self._say_once(f"the shared store failed a while ago ({reason}): this run goes on without it", say)
            return None
        try:
            return act()
        except RemoteDamagedError as error:
            self._replacing[place] = error.digest
            say(f"refused from the shared store: {error}")
        except RemoteReadOnlyError:
            self._read_only = True  # others may be asked for what they have
        except RemoteError as error:
            with suppress(StoreError):  # a full disk: then every stage asks for itself
                write_bytes(self.root / RESTING, f"{self._name}\n{error}".encode())
            self._say_once(f"the shared store failed ({error}): this run goes on without it", say)
        except StoreError as error:
            say(f"nothing comes from the shared store: {error}")
        return None

    def _reason_to_rest(self) -> str:
        path = self.root / RESTING
        try:
            if time.time() - path.stat().st_mtime > REST_SECONDS:
                return ""
            name, _, reason = (read_if_there(path) or b"").decode(errors="replace").partition("\n")
        except OSError:
            return ""
        return reason if name == self._name else ""

    @property
    def _name(self) -> str:
        """Of the bucket, in the file of the last failure: an address may hold a secret by mistake."""
        return digest(self.shared.url)

    def _say_once(self, text: str, say: Say) -> None:
        if not self._said:
            self._said = True
            say(text)
