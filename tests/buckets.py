"""A real S3 server on the loopback, and small artifacts to share through it."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage.artifact import Artifact, Store
from storage.files import write_bytes
from storage.remote.bucket import Bucket, Patience
from storage.remote.forgiving import Forgiving
from storage.remote.shared import Shared
from storage.remote.store import SharedStore

IMPATIENT = Patience(connect=1.0, request=5.0, retries=0, altogether=5.0)
"""Of tests, whose server is near."""
RECIPE = {"own": "own-1"}
KEY = ("toyref", "base", "numbers")
Files = Mapping[str, bytes]
FILES: Files = {"a.parquet": b"table" * 1000, "maps/c/0": b"", "maps/c/1": b"array" * 50, "again.bin": b"table" * 1000}
"""With an empty file and one whose bytes are another's."""
BIG: Files = {"big.bin": bytes(range(256)) * 70_000}
"""17.9 MB: three parts of an upload."""
PAGE, REF = "objects/numbers/f1/manifest.json", "refs/default/toyref/base/numbers.json"
"""Where the page and the key of `made` lie."""


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server of its own, with the bucket `shared`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("werkzeug.serving.WSGIRequestHandler.log", lambda *_: None)
        server.start()
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        try:
            for name, value in environment(address).items():
                patch.setenv(name, value)
            make_bucket("shared")
            yield address
        finally:
            server.stop()


def environment(address: str, *, key: str = "tests") -> dict[str, str]:
    """What a person sets to reach the server."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
        "AWS_REGION": "us-east-1",
    }


def make_bucket(name: str) -> None:
    """As an administrator would."""
    import httpx

    httpx.put(f"{os.environ['AWS_ENDPOINT_URL']}/{name}", timeout=30).raise_for_status()


def home_of(root: Path, url: str, *, log: Callable[[str], None] = lambda _: None) -> SharedStore:
    """A machine's store before the shared one at an address."""
    return SharedStore(root, log=log, remote=Forgiving(Shared(url, patience=IMPATIENT), root))


def made(store: Store, files: Files = FILES, *, fingerprint: str = "f1", force: bool = False) -> tuple[Artifact, bool]:
    """A whole stage: claim, write, commit, point; the artifact, and whether it had to be computed."""
    with store.claim("numbers", fingerprint, recipe=RECIPE, force=force) as slot:
        computed = not slot.complete
        if computed:
            for name, content in files.items():
                write_bytes(slot.content / name, content)
            slot.commit(metrics={"made": 1})
        store.point(KEY, "numbers", fingerprint, planned="planned-1")
    return store.resolve(KEY), computed


def content_of(artifact: Artifact) -> dict[str, bytes]:
    """Every file, the manifest too."""
    return {name: (artifact.path / name).read_bytes() for name in (*artifact.manifest.checksums, "manifest.json")}


def names_in(url: str) -> set[str]:
    """All that lies in a shared store."""
    bucket = Bucket(url, IMPATIENT)
    return {one.name for prefix in ("objects/", "refs/") for one in bucket.entries(prefix)}


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What several threads give that begin together."""
    barrier, found = threading.Barrier(len(acts)), [None] * len(acts)

    def run(number: int, act: Callable[[], Any]) -> None:
        barrier.wait()
        found[number] = act()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
