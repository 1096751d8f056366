"""Pickles of plain data, written by Python 2 or 3, read without running anything and in bounded memory and time.

Python's own unpickler reserves memory for whatever length or index a file claims, and hashes whatever it is asked to
use as a key. This one knows lists, dicts, numbers and text only, and each step costs no more than the bytes it read.
"""

from __future__ import annotations

from pathlib import Path

from ops.refusal import Refused
from resources.datasets.pickle_machine import BROKEN, PickleMachine
from resources.datasets.plain_json import refuse_mistaken
from resources.datasets.table_rows import shown
from resources.opening import read_file

MOST_BYTES = 512 << 20
DEEPEST = 50
"""Lists and dicts inside each other; references have four."""
MOST_SHARED = 4
"""Items that lists and dicts hold, counted each time they are held, to each byte of the file."""
_FEW = 100_000


def load_plain_pickle(path: Path) -> object:
    """Lists, tuples, dicts, numbers and text of a pickle. Sets are read as lists.

    Numbers beyond 64 bits may become `plain_values.HUGE`. Keys of dicts that are no numbers or text are unreadable.

    Raises:
        UnsafePickleError: it asks for a global or an outside object.
        Refused: no regular file, no readable pickle, or one that is nested or repeats itself without measure.
    """
    data = read_file(path, at_most=MOST_BYTES)
    refuse_mistaken(data, path.name)
    for encoding in ("utf-8", "latin-1"):  # text of Python 2 carries no encoding
        try:
            content = PickleMachine(data, encoding, path.name).run()
            _require_measure(content, most=max(_FEW, MOST_SHARED * len(data)))
        except UnicodeDecodeError:
            continue
        except Refused:
            raise
        except BROKEN as problem:
            raise Refused(f"{path.name} is no readable pickle ({_say(problem)}); fetch it again") from problem
        return content
    raise Refused(f"{path.name} holds text in no known encoding; fetch it again")


def _require_measure(content: object, *, most: int) -> None:
    """Refuse cycles, deep nesting, and a little data that stands for much because lists hold each other many times.

    Raises:
        Refused: says which.
    """
    known: dict[int, tuple[int, int]] = {}

    def measure(value: object, depth: int) -> tuple[int, int]:
        """(items, height), each list counted as often as it is held."""
        if id(value) in known:
            return known[id(value)]
        if depth > DEEPEST:
            raise Refused(f"the pickle nests more than {DEEPEST} lists and dicts; references have four")
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
        items, height = len(inside), 0
        for held in inside:
            if type(held) in (list, tuple, dict):
                more, below = measure(held, depth + 1)
                items, height = items + more, max(height, below + 1)
        if height > DEEPEST or items > most:
            raise Refused("the pickle holds the same lists over and over; write each reference out")
        known[id(value)] = items, height
        return items, height

    measure(content, 0)


def _say(problem: BaseException) -> str:
    if isinstance(problem, IndexError):
        return "it ends too early"
    if isinstance(problem, KeyError):
        return "an instruction that no pickle has"
    return shown(str(problem))
