"""A regular file or a reason, within a moment."""

import os
import socket
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.opening import open_file, read_file


def test_a_regular_file_and_a_link_to_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"words")
    (tmp_path / "link.txt").symlink_to("a.txt")
    assert read_file(tmp_path / "a.txt") == read_file(tmp_path / "link.txt") == b"words"
    with open_file(tmp_path / "a.txt") as file:
        assert os.get_blocking(file.fileno())


def test_what_is_no_regular_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for path, kind in {
            tmp_path / "pipe": "a named pipe",
            tmp_path / "link": "a named pipe",
            tmp_path: "a folder",
            Path("/dev/zero"): "a device",
            tmp_path / "socket": "can not be opened",
            tmp_path / "none": "is missing",
            tmp_path / "none" / "below": "is missing",
            tmp_path / ("a" * 300): "can not be opened",
            tmp_path / "a\0b": "can not be opened",
        }.items():
            with pytest.raises(Refused, match=kind):
                open_file(path)


def test_a_longer_file_than_allowed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"12345")
    assert read_file(tmp_path / "long", at_most=5) == b"12345"
    with pytest.raises(Refused, match="has 5 bytes, more than 4"):
        read_file(tmp_path / "long", at_most=4)
