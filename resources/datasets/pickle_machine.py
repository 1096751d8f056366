"""The stack machine that pickles are programs for, without any of its instructions that import or call something.

Each instruction costs no more than the bytes it reads: nothing is reserved for a length or an index that a file claims,
and only numbers and text are hashed. How much one program may do in all belongs in `plain_pickle`.
"""

from __future__ import annotations

import codecs
import re
import struct
from typing import Any, NoReturn

from ops.refusal import Refused
from resources.datasets.plain_values import HUGE, described
from resources.datasets.table_rows import shown

MOST_STEPS = 30_000_000
"""Instructions of a pickle; the largest published set has about 6 million."""
BROKEN = (IndexError, KeyError, TypeError, ValueError, struct.error, MemoryError, OverflowError)
"""What a program that is no whole pickle ends with."""
_LONGEST_NUMBER = 40
_WIDEST_NUMBER = 16
_SCALARS = (str, int, float, bool, type(None), bytes)
_ESCAPES = re.compile(rb"(?:[^\\]|\\(?:[\\'\"abfnrtv\n]|x[0-9a-fA-F]{2}|[0-3]?[0-7]{1,2}))*", re.DOTALL)
_STOP = ord(".")


class UnsafePickleError(Refused):
    """A pickle that asks for code instead of plain data."""


class _Unreadable:
    """A key that is no number or text."""


class PickleMachine:
    """The stack machine that pickles are programs for."""

    def __init__(self, data: bytes, encoding: str, name: str) -> None:
        self._data = data
        self._length = len(data)
        self._at = 0
        self._encoding = encoding
        self._name = name
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        """Stacks under each mark."""
        self._memo: dict[int, Any] = {}

    def run(self) -> object:
        """What the program leaves on the stack."""
        data, steps = self._data, {code: getattr(self, name) for code, name in _INSTRUCTIONS.items()}
        for _ in range(MOST_STEPS):
            code = data[self._at]
            self._at += 1
            if code == _STOP:
                return self._stack.pop()
            steps[code]()
        raise Refused(f"{self._name} has more than {MOST_STEPS:,} instructions; check that it is the right file")

    # --- bytes of the program

    def _take(self, number: int) -> bytes:
        start = self._at
        self._at = end = start + number
        if not start <= end <= self._length:
            raise ValueError("it is cut off")
        return self._data[start:end]

    def _line(self) -> bytes:
        return self._take(self._data.index(b"\n", self._at) + 1 - self._at)[:-1]

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _number(self, width: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._take(width), "little", signed=signed)

    def _name_in_line(self) -> str:
        return shown(self._line().decode("utf-8", "replace"))

    # --- the stack

    def _pop_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._stack = self._below.pop()

    def _twice(self) -> None:
        self._stack.append(self._stack[-1])

    def _frame(self) -> None:
        self._take(8)

    def _protocol(self) -> None:
        self._take(1)

    # --- numbers

    def _none(self) -> None:
        self._stack.append(None)

    def _true(self) -> None:
        self._stack.append(True)

    def _false(self) -> None:
        self._stack.append(False)

    def _written_int(self) -> None:
        line = self._line()
        self._stack.append({b"00": False, b"01": True}.get(line, _whole(line)))

    def _written_long(self) -> None:
        self._stack.append(_whole(self._line().removesuffix(b"L")))

    def _written_float(self) -> None:
        self._stack.append(float(self._line()))

    def _int4(self) -> None:
        self._stack.append(self._number(4, signed=True))

    def _int1(self) -> None:
        self._stack.append(self._byte())

    def _int2(self) -> None:
        self._stack.append(self._number(2))

    def _long1(self) -> None:
        self._long(1)

    def _long4(self) -> None:
        self._long(4)

    def _long(self, width: int) -> None:
        digits = self._take(self._number(width))
        wide = len(digits) > _WIDEST_NUMBER
        self._stack.append(HUGE if wide else int.from_bytes(digits, "little", signed=True))

    def _float8(self) -> None:
        self._stack.append(struct.unpack(">d", self._take(8))[0])

    # --- text

    def _old_text(self, data: bytes) -> None:
        self._stack.append(data.decode(self._encoding))

    def _written_text(self) -> None:
        line = self._line().rstrip()
        quoted = len(line) > 1 and line[:1] == line[-1:] and line[:1] in (b'"', b"'")
        if not quoted or not _ESCAPES.fullmatch(line[1:-1]):
            raise ValueError("a text is not quoted as Python quotes")
        self._old_text(codecs.escape_decode(line[1:-1])[0])

    def _old_text1(self) -> None:
        self._old_text(self._take(self._byte()))

    def _old_text4(self) -> None:
        self._old_text(self._take(self._number(4, signed=True)))

    def _written_unicode(self) -> None:
        self._stack.append(self._line().decode("raw-unicode-escape"))

    def _unicode(self, width: int) -> None:
        self._stack.append(self._take(self._number(width)).decode("utf-8", "surrogatepass"))

    def _unicode1(self) -> None:
        self._unicode(1)

    def _unicode4(self) -> None:
        self._unicode(4)

    def _unicode8(self) -> None:
        self._unicode(8)

    def _bytes1(self) -> None:
        self._stack.append(self._take(self._byte()))

    def _bytes4(self) -> None:
        self._stack.append(self._take(self._number(4)))

    def _bytes8(self) -> None:
        self._stack.append(self._take(self._number(8)))

    # --- lists and dicts

    def _empty_list(self) -> None:
        self._stack.append([])

    def _empty_dict(self) -> None:
        self._stack.append({})

    def _empty_tuple(self) -> None:
        self._stack.append(())

    def _list(self) -> None:
        items = self._pop_mark()
        self._stack.append(items)

    def _tuple(self) -> None:
        items = self._pop_mark()
        self._stack.append(tuple(items))

    def _tuple1(self) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _tuple2(self) -> None:
        first, second = self._stack[-2:]
        self._stack[-2:] = [(first, second)]

    def _tuple3(self) -> None:
        first, second, third = self._stack[-3:]
        self._stack[-3:] = [(first, second, third)]

    def _dict(self) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._fill(items)

    def _append(self) -> None:
        item = self._stack.pop()
        self._top(list).append(item)

    def _appends(self) -> None:
        items = self._pop_mark()
        self._top(list).extend(items)

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._fill([key, value])

    def _set_items(self) -> None:
        self._fill(self._pop_mark())

    def _fill(self, items: list[Any]) -> None:
        fields = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            fields[key if isinstance(key, _SCALARS) else _Unreadable()] = value

    def _top(self, kind: type) -> Any:
        top = self._stack[-1]
        if type(top) is not kind:
            raise TypeError(f"{described(top)} is filled as if it were {described(kind())}")
        return top

    # --- the memo

    def _keep(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _keep_line(self) -> None:
        self._keep(int(self._line()))

    def _keep1(self) -> None:
        self._memo[self._byte()] = self._stack[-1]

    def _keep4(self) -> None:
        self._memo[self._number(4)] = self._stack[-1]

    def _keep_next(self) -> None:
        self._keep(len(self._memo))

    def _kept_line(self) -> None:
        self._stack.append(self._memo[int(self._line())])

    def _kept1(self) -> None:
        self._stack.append(self._memo[self._byte()])

    def _kept4(self) -> None:
        self._stack.append(self._memo[self._number(4)])

    # --- what is refused

    def _refuse(self, asked: str) -> NoReturn:
        raise UnsafePickleError(f"{self._name} asks for {asked}; only plain data is read")

    def _global(self) -> None:
        self._refuse_name(self._name_in_line(), self._name_in_line())

    def _stacked_global(self) -> None:
        module, name = (shown(part) if isinstance(part, str) else described(part) for part in self._stack[-2:])
        self._refuse_name(module, name)

    def _refuse_name(self, module: str, name: str) -> None:
        self._refuse(f"{'os' if module in ('posix', 'nt') else module}.{name}")

    def _outside_line(self) -> None:
        self._refuse(f"the outside object '{self._name_in_line()}'")

    def _outside(self) -> None:
        self._refuse(f"the outside object {described(self._stack[-1])}")

    def _call(self) -> None:
        self._refuse("a function call")

    def _extension(self) -> None:
        self._refuse("a registered class")

    def _buffer(self) -> None:
        self._refuse("an outside buffer")


_INSTRUCTIONS = {
    ord(code): name
    for name, codes in {
        "_protocol": "\x80", "_frame": "\x95", "_mark": "(", "_pop": "0", "_pop_mark": "1", "_twice": "2",
        "_none": "N", "_true": "\x88", "_false": "\x89", "_written_int": "I", "_int4": "J", "_int1": "K",
        "_int2": "M", "_written_long": "L", "_long1": "\x8a", "_long4": "\x8b", "_written_float": "F",
        "_float8": "G", "_written_text": "S", "_old_text4": "T", "_old_text1": "U", "_written_unicode": "V",
        "_unicode4": "X", "_unicode1": "\x8c", "_unicode8": "\x8d", "_bytes4": "B", "_bytes1": "C",
        "_bytes8": "\x8e\x96", "_empty_list": "]\x8f", "_append": "a", "_appends": "e\x90", "_list": "l\x91",
        "_empty_tuple": ")", "_tuple": "t", "_tuple1": "\x85", "_tuple2": "\x86", "_tuple3": "\x87",
        "_empty_dict": "}", "_dict": "d", "_set_item": "s", "_set_items": "u", "_keep_line": "p", "_keep1": "q",
        "_keep4": "r", "_keep_next": "\x94", "_kept_line": "g", "_kept1": "h", "_kept4": "j",
        "_global": "ci", "_stacked_global": "\x93", "_outside_line": "P", "_outside": "Q",
        "_call": "Rbo\x81\x92", "_extension": "\x82\x83\x84", "_buffer": "\x97\x98",
    }.items()
    for code in codes
}  # fmt: skip
"""Code of an instruction -> what does it."""


def _whole(digits: bytes) -> int:
    return int(digits) if len(digits) <= _LONGEST_NUMBER or not digits.lstrip(b"-").isdigit() else HUGE
