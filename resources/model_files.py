"""Files of models that other people made: told from what often lies in their place, and read as text or JSON.

Nothing heavy is imported here; tensors are read in `resources.models.weights`.
"""

import json
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ops.refusal import Refused
from resources.mistaken import HEAD, mistaken_for
from resources.opening import open_file, read_file

AGAIN = "fetch it again; `wordmask doctor` says where from"
MOST_TEXT = 32 << 20
"""Bytes of a vocabulary or configuration; that of the largest published BERT has five million."""
_MARKS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def impostor(head: bytes) -> str | None:
    """What a file is that is certainly no model, by its first bytes; None: it may be a model."""
    if not head:
        return "is empty"
    kind = mistaken_for(head)
    return f"is {kind}" if kind else None


def open_model_file(path: Path) -> BinaryIO:
    """Open a regular file that may be a model.

    Raises:
        Refused: as `resources.opening.open_file`; or it is empty, a pointer of git-lfs, or a web page.
    """
    try:
        file = open_file(path)
    except Refused as problem:
        raise Refused(f"{problem} (`wordmask doctor` says which file is meant)") from problem
    try:
        if what := impostor(file.read(HEAD)):
            raise Refused(f"{path} {what}; {AGAIN}")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def demand_model_files(folder: Path) -> None:
    """Look at the beginning of every file below a folder.

    Raises:
        Refused: as `open_model_file`, for the first one in alphabetical order.
    """
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        with open_file(path) as file:
            head = file.read(HEAD)
        if head and (what := impostor(head)):
            raise Refused(f"{path} {what}; {AGAIN}")


def read_text(path: Path) -> str:
    """The UTF-8 text of a file of a model, without a byte-order mark.

    Raises:
        Refused: as `open_model_file`; or it is too long, or another encoding.
    """
    open_model_file(path).close()
    content = read_file(path, at_most=MOST_TEXT)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        kind = next((kind for mark, kind in _MARKS if content.startswith(mark)), "no UTF-8")
        raise Refused(f"{path} is {kind} (byte {problem.start}), UTF-8 is wanted; {AGAIN}") from problem


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model.

    Raises:
        Refused: as `read_text`; or it is no JSON object of finite numbers.
    """
    text = read_text(path)
    try:
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as problem:
        raise Refused(f"{path} is no JSON ({said(problem)}); {AGAIN}") from problem
    if not isinstance(content, dict):
        raise Refused(f"{path} holds a {type(content).__name__} and no JSON object; {AGAIN}")
    return content


def said(problem: BaseException, most: int = 120) -> str:
    """What a library says, as one short line."""
    line = " ".join(str(problem).split())
    if not line or isinstance(problem, KeyError):
        line = f"{type(problem).__name__} {line}".rstrip()
    shown = "".join(sign if sign.isprintable() else "?" for sign in line[:most])
    return shown + ("..." if len(line) > most else "")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
