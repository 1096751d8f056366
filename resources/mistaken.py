"""What often lies in the place of a file that was fetched, told by its first bytes."""

HEAD = 512
"""Bytes that are enough to tell."""
WEB_PAGE = "a web page, as servers send it in place of a file that they refuse or do not have"
_POINTER = "a pointer of git-lfs and not the file itself (run `git lfs pull` where it came from)"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def mistaken_for(head: bytes) -> str | None:
    """What a file certainly is instead of data or a model; None: it may be one."""
    text = head[:HEAD].removeprefix(_BYTE_ORDER_MARK).lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return _POINTER
    return WEB_PAGE if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")) else None
