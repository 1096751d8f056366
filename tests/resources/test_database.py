"""A shared database tells who is alive and who makes what, also after it was away."""

import threading
import time
from collections.abc import Iterator

import pytest

from ops.refusal import Refused
from resources import database
from resources.database import VARIABLE, alive, claim, claimed, connect, database_address, living, wait_while_held
from tests.databases import PASSWORD, Server, needs_postgres, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as running:
        yield running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(database, "CLAIM_SECONDS", 0.05)
    monkeypatch.setattr(database, "SILENT_SECONDS", 0.9)


def await_that(is_so: object, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("address", ["mysql://a@b/c", "localhost:5432", "/var/run/postgres"])
def test_what_is_no_address_of_postgres_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(Refused, match="postgresql://user:password@host"):
        database_address()
    monkeypatch.setenv(VARIABLE, "")
    assert database_address() is None


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(Refused, match=r"database at 127\.0\.0\.1:9/runs does not serve") as refused:
        connect("postgresql://me:a-secret@127.0.0.1:9/runs")
    assert "a-secret" not in str(refused.value)
    assert living("postgresql://me:a-secret@127.0.0.1:9/runs") is None, "nobody can tell"


@needs_postgres
def test_a_wrong_password_is_told_and_not_shown(server: Server) -> None:
    with pytest.raises(Refused, match="password authentication failed") as refused:
        connect(server.address.replace(PASSWORD, "another-secret"))
    assert "another-secret" not in str(refused.value)


@needs_postgres
@pytest.mark.usefixtures("quick")
def test_who_gives_no_sign_of_life_is_dead(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with alive(server.address, "one"), alive(server.address, "other"):
        time.sleep(1.2)
        assert living(server.address) == {"one", "other"}
        monkeypatch.setattr(database, "_beat", lambda *_: None)
        with alive(server.address, "silent"):
            assert living(server.address) == {"one", "other", "silent"}
            await_that(lambda: living(server.address) == {"one", "other"})
    assert living(server.address) == set()


@needs_postgres
@pytest.mark.usefixtures("quick")
def test_a_database_that_comes_back_calls_nobody_dead(server: Server) -> None:
    with alive(server.address, "mine"):
        server.kill()
        assert living(server.address) is None
        time.sleep(1.2)  # longer than a process may be silent
        server.start()
        assert living(server.address) == {"mine"}
        time.sleep(1.2)
        assert living(server.address) == {"mine"}, "it goes on to give signs"


@needs_postgres
@pytest.mark.usefixtures("quick")
def test_one_makes_what_others_wait_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, server.address)
    order, told = list[str](), list[str]()

    def make() -> None:
        with claimed("choices/abc", told.append):
            order.append("second")

    thread = threading.Thread(target=make)
    with claimed("choices/abc", told.append), claimed("choices/another", told.append):
        thread.start()
        await_that(lambda: told)
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]
    assert told == ["choices/abc: waits for another process or host that holds it"]


@needs_postgres
@pytest.mark.usefixtures("quick")
def test_work_goes_on_while_the_database_is_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, server.address)
    held, told, made = claim(server.address, "daemon", lambda _: None), list[str](), list[bool]()
    server.kill()
    wait_while_held(held)
    with claimed("choices/abc", told.append):
        made.append(True)
    server.start()
    assert made
    assert "nobody else was asked" in told[0]
    assert PASSWORD not in told[0]
    claim(server.address, "daemon", lambda _: pytest.fail("nobody holds it any more")).close()
