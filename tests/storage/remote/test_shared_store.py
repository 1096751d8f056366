"""Results of one machine are found by another, over a real S3 server and over a plain folder."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from storage.artifact import Store
from storage.remote.bucket import Bucket, RemoteError
from storage.remote.objects import Place
from storage.remote.shared import Shared
from tests.buckets import FILES, IMPATIENT, KEY, RECIPE, content_of, home_of, made, names_in, s3_server

PLACE = Place("numbers", "f1")
PAGE = "objects/numbers/f1/manifest.json"
BIG = {"big.bin": bytes(range(256)) * 70_000}
"""17.9 MB: three parts of an upload."""
_NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(params=["s3", "folder"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty shared store."""
    if request.param == "folder":
        (tmp_path / "mounted").mkdir(mode=0o770)
        return str(tmp_path / "mounted")
    request.getfixturevalue("server")
    return f"s3://shared/prefix-{next(_NUMBERS)}"


@pytest.fixture
def s3(server: str) -> str:
    return f"s3://shared/prefix-{next(_NUMBERS)}"


@pytest.mark.parametrize("files", [FILES, BIG], ids=["small", "big"])
def test_a_second_machine_finds_the_result_and_computes_nothing(
    url: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    lines: list[str] = []
    first, computed = made(home_of(tmp_path / "first", url), files)
    second, again = made(home_of(tmp_path / "second", url, log=lines.append), files)
    assert (computed, again) == (True, False)
    assert content_of(second) == content_of(first)
    assert Store(tmp_path / "second").verify(second) == ()
    assert second.planned == first.planned
    assert any("from the shared store" in line for line in lines)
    assert names_in(url) == {
        PAGE,
        "refs/default/toyref/base/numbers.json",
        *(f"objects/numbers/f1/{hashlib.sha256(content).hexdigest()}" for content in files.values()),
    }
    assert not list((tmp_path / "second" / "partial" / "numbers").iterdir())
