"""Empty shared stores."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.buckets import s3_server

_NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def s3(server: str) -> str:
    return f"s3://shared/prefix-{next(_NUMBERS)}"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "mounted").mkdir()
    return str(tmp_path / "mounted")


@pytest.fixture(params=["s3", "folder"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))
