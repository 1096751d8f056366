"""Pages that wordmask wrote, as `wordmask ui` serves them: those alone, and behind the guard."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pipelines.commands.guard import Guard
from pipelines.serving.written_pages import written_pages

LOCAL = "http://127.0.0.1:3000"
WRITTEN = {
    "gallery/street/index.html": "a gallery",
    "gallery/street/data/index.js": "data",
    "comparison/street/a_and_b/index.html": "a comparison",
    "store/objects/report/mark/report.html": "a report",
    "store/objects/report/mark/manifest.json": "{}",
    "datasets/secret.yaml": "secret",
}


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    for name, text in WRITTEN.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (home / "gallery" / "out").symlink_to(home / "datasets")
    dagster = Route("/{path:path}", lambda _: PlainTextResponse("Dagster's page"))
    app = Starlette(routes=[*written_pages(), dagster], middleware=[Middleware(Guard)])
    with TestClient(app, base_url=LOCAL) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/gallery/street/", 200, "a gallery"),
        ("/gallery/street/data/index.js", 200, "data"),
        ("/comparison/street/", 200, "a comparison"),
        ("/comparison/street/a_and_b/index.html", 200, "a comparison"),
        ("/store/objects/report/mark/report.html", 200, "a report"),
        ("/store/objects/report/mark/manifest.json", 404, "no such page"),
        ("/gallery/other/", 404, "`wordmask gallery -d DATA_SET`"),
        ("/comparison/other/", 404, "`wordmask compare -d DATA_SET`"),
        ("/comparison/../", 200, "Dagster's page"),
        ("/comparison/%2e%2e/", 404, "no comparison"),
        ("/comparison/*/", 404, "no comparison"),
        ("/gallery/..%2f..%2fdatasets/secret.yaml", 404, "no such page"),
        ("/gallery/out/secret.yaml", 404, "no such page"),
        ("/assets/street", 200, "Dagster's page"),
    ],
)
def test_what_was_written_is_served_and_nothing_else(client: TestClient, path: str, status: int, text: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert "secret" not in answer.text
    if "Dagster" not in text:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src" not in policy


def test_another_host_name_gets_nothing(client: TestClient) -> None:
    assert client.get("/gallery/street/", headers={"Host": "elsewhere.example"}).status_code == 403
