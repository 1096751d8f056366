"""A database that several hosts share: Dagster's history, who is alive, and who makes what.

It is named by `$WORDMASK_DATABASE`, an address of Postgres with its password, which is never written down or shown.
Without one everything stays in files of the home, for one host.
"""

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ops.refusal import Refused

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

VARIABLE = "WORDMASK_DATABASE"
SCHEMES = ("postgresql", "postgres")
_ESCAPED = re.compile("%[0-9a-fA-F]{2}")
KEEPALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""The database drops the connection of a host that is gone after a minute."""
CONNECT_SECONDS = 5
"""How long an address may take to answer."""
BEAT_SECONDS = 5.0
"""Between two signs of life."""
SILENT_SECONDS = 60.0
"""Without a sign of life for so long, by the database's clock, a process is dead. A database that was away itself waits
as long after it has come back."""
CLAIM_SECONDS = 1.0
"""Between two looks at what somebody else makes."""
TABLE = """CREATE TABLE IF NOT EXISTS wordmask_alive (
  owner text PRIMARY KEY, host text NOT NULL, seen timestamptz NOT NULL DEFAULT now())"""
BEAT = """INSERT INTO wordmask_alive (owner, host) VALUES (%s, %s)
  ON CONFLICT (owner) DO UPDATE SET seen = now()"""
ALIVE = """SELECT owner FROM wordmask_alive
  WHERE now() - greatest(seen, pg_postmaster_start_time()) < %s * interval '1 second'"""


def database_address() -> str | None:
    """The address of the shared database; None where there is none.

    Raises:
        Refused: it is none of Postgres, or what speaks to it is not installed.
    """
    address = os.environ.get(VARIABLE)
    if not address:
        return None
    if not _is_address(address):
        raise Refused(
            f"{VARIABLE} is no address of Postgres; one looks like postgresql://user:password@host:5432/name, "
            "where a password has %25 %2F %40 %23 %3F for % / @ # ?"
        )
    if not (find_spec("dagster_postgres") and find_spec("psycopg2")):
        raise Refused(f"{VARIABLE} names a database, which needs `pip install 'wordmask[postgres]'`")
    return address


def _is_address(address: str) -> bool:
    """Whether all who read it find the same parts in it: elsewhere a piece of the password counts as host or port."""
    try:
        parts = urlsplit(address)
        readable = parts.port != 0 and "%" not in _ESCAPED.sub("", address)
    except ValueError:  # whose text holds a piece of the password
        return False
    known = address.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))
    return known and readable and parts.netloc.count("@") <= 1 and not parts.fragment


def shown_address(address: str) -> str:
    """The address as people may see it: without user and password."""
    parts = urlsplit(address)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


def connect(address: str) -> "Connection":
    """A connection of its own, every statement of which is at once done.

    Raises:
        Refused: nobody answers, or not to this user; the password is in no message.
    """
    import psycopg2

    try:
        connection = psycopg2.connect(
            address, connect_timeout=CONNECT_SECONDS, application_name="wordmask", options=KEEPALIVE
        )
    except psycopg2.OperationalError as problem:
        lines = [line for line in str(problem).splitlines() if line.strip()]
        said = lines[-1].replace(urlsplit(address).password or "\n", "***") if lines else "no reason was given"
        raise Refused(f"the database at {shown_address(address)} does not serve ({said}); see {VARIABLE}") from None
    connection.autocommit = True
    return connection


def asked(connection: "Connection", query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows that a query answers; none for what is only done."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()


def living(address: str) -> set[str] | None:
    """The owners that gave a sign of life lately; None where nobody can tell, for the database is away."""
    try:
        with closing(connect(address)) as connection:
            asked(connection, TABLE)
            return {owner for (owner,) in asked(connection, ALIVE, SILENT_SECONDS)}
    except _gone():
        return None


@contextmanager
def alive(address: str, owner: str) -> Iterator[None]:
    """Give signs of life for an owner until the end, also after a database that was away has come back.

    Raises:
        Refused: the database does not serve at the beginning.
    """
    with closing(connect(address)) as connection:
        asked(connection, TABLE)
        asked(connection, BEAT, owner, socket.gethostname())
    left = threading.Event()
    thread = threading.Thread(target=_beat, args=(address, owner, left), daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join(CONNECT_SECONDS)
        forget(address, owner)


def forget(address: str, owner: str) -> None:
    """Take back an owner's signs of life; a database that is away forgets by itself."""
    with suppress(*_gone()), closing(connect(address)) as connection:
        asked(connection, "DELETE FROM wordmask_alive WHERE owner = %s", owner)


def _beat(address: str, owner: str, left: threading.Event) -> None:
    while not left.wait(BEAT_SECONDS):
        with suppress(*_gone()), closing(connect(address)) as connection:
            asked(connection, BEAT, owner, socket.gethostname())


@contextmanager
def claimed(name: str, log: Callable[[str], None]) -> Iterator[None]:
    """Be the only one of all hosts that makes something; without a database, or while it is away, nobody is asked.

    The database drops a claim with the connection of who holds it. What two make all the same is equal.

    Args:
        name: of what is made, such as `stage/fingerprint`.
        log: told once of somebody else who makes it.
    """
    address, connection = database_address(), None
    if address is not None:
        try:
            connection = claim(address, name, log)
        except _gone() as problem:
            log(f"{name}: nobody else was asked whether they make it ({str(problem).strip()})")
    try:
        yield
    finally:
        if connection is not None:
            connection.close()


def claim(address: str, name: str, log: Callable[[str], None]) -> "Connection":
    """Wait until nobody else holds a name; the connection that holds it then.

    Raises:
        Refused: the database does not serve.
        psycopg2.Error: it went away meanwhile.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    connection, told = connect(address), False
    while not asked(connection, "SELECT pg_try_advisory_lock(%s)", key)[0][0]:
        if not told:
            log(f"{name}: waits for another process or host that holds it")
            told = True
        time.sleep(CLAIM_SECONDS)
    return connection


def wait_while_held(connection: "Connection") -> None:
    """Return when the database has dropped what a connection held, since one of the two went away."""
    with suppress(*_gone()):
        while True:
            asked(connection, "SELECT 1")
            time.sleep(BEAT_SECONDS)


@contextmanager
def history_kept() -> Iterator[None]:
    """Within it Dagster may lose the database: that is said in a line.

    Raises:
        Refused: it does not serve, or was away for longer than Dagster waits.
    """
    try:
        yield
    except Exception as error:
        address = database_address()
        if address is None or not any(type(one).__module__.startswith("psycopg2") for one in _causes(error)):
            raise
        connect(address).close()  # why not, where it still does not serve
        raise Refused(f"the database at {shown_address(address)} went away, and the run with it") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _gone() -> tuple[type[Exception], ...]:
    """What is raised where the database is away, or goes away."""
    import psycopg2

    return Refused, psycopg2.Error
