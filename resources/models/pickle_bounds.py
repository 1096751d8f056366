"""Whether a pickle may be unpickled without eating time and memory, decided by reading its opcodes only.

An unpickler that takes plain data only still hangs on tuples of shared tuples that are hashed as a key, and grows with
the number that a memo is asked to keep. Here nothing is built: of every value only its size is known.
"""

import io
import pickletools
from typing import BinaryIO, NamedTuple

from ops.refusal import Refused

MOST_OPCODES = 5_000_000
MOST_MEMO = 5_000_000
"""Largest number under which a value may be kept."""
MOST_PARTS = 1_000_000
"""Of a tuple, those of its parts counted as often as they occur: what hashing it costs."""
DEEPEST = 100
"""Tuples within tuples; hashing them recurs."""
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")


class _Size(NamedTuple):
    parts: int = 1
    depth: int = 0


_PLAIN, _MARK = _Size(), _Size(parts=0)


def demand_bounded(content: bytes | BinaryIO) -> None:
    """Read one pickle up to its end.

    Args:
        content: the pickle, or a file that stands at its start and is left behind its end.

    Raises:
        Refused: it asks for more than any checkpoint does.
        ValueError: it is no pickle, as `pickletools.genops` says; or an IndexError or KeyError.
    """
    stack: list[_Size] = []
    memo: dict[int, _Size] = {}
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= MOST_OPCODES:
            raise Refused(f"its pickle has more than {MOST_OPCODES:,} steps")
        if opcode.name in _PUTS:
            if not 0 <= int(argument or 0) <= MOST_MEMO:
                raise Refused(f"its pickle keeps a value under the number {argument}")
            memo[int(argument or 0)] = stack[-1]
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif opcode.name in _GETS:
            stack.append(memo[int(argument or 0)])
        else:
            _step(stack, opcode)


def _step(stack: list[_Size], opcode: pickletools.OpcodeInfo) -> None:
    """Take what an opcode takes from the stack of sizes and put what it puts there."""
    if opcode.name in ("MARK", "DUP"):
        stack.append(_MARK if opcode.name == "MARK" else stack[-1])
        return
    taken = _taken(stack, opcode)
    size = _PLAIN
    if opcode.name in _TUPLES or opcode.name in ("REDUCE", "NEWOBJ"):
        deepest = max((part.depth for part in taken), default=0)
        size = _Size(1 + sum(part.parts for part in taken), deepest + (opcode.name in _TUPLES))
    if size.parts > MOST_PARTS or size.depth > DEEPEST:
        raise Refused(f"its pickle holds a tuple of more than {MOST_PARTS:,} parts or {DEEPEST} levels")
    stack.extend([size] * len(opcode.stack_after))


def _taken(stack: list[_Size], opcode: pickletools.OpcodeInfo) -> list[_Size]:
    taken, before = [], opcode.stack_before
    if pickletools.stackslice in before:
        while (size := stack.pop()) is not _MARK:
            taken.append(size)
        before = before[: before.index(pickletools.markobject)]
    return [*taken, *(stack.pop() for _ in before)]
