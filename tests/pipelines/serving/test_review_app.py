"""The server of a review: what it shows, what it writes down, and what it refuses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipelines.graph.load import identify
from pipelines.serving.review_app import build_review_app
from pipelines.serving.reviewing import Review, open_review
from resources.reviews import read_reviews, reviews_file
from tests.homes import TRY, copy_home
from tests.pipelines.test_cli import Run, run

__all__ = ["run"]
LOCAL = "http://127.0.0.1:3100"


@pytest.fixture
def reviewed(chosen: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pipelines.graph.load.identify", identify)
    return copy_home(chosen, home, experiments={"try": TRY})


@pytest.fixture
def review(reviewed: Path) -> Review:
    return open_review("little", "try", "ada")


@pytest.fixture
def client(review: Review) -> Iterator[TestClient]:
    with TestClient(build_review_app(review), base_url=LOCAL) as client:
        yield client


def standing() -> dict[str, str]:
    return {key: one.decision for key, one in read_reviews("little").counted.items()}


def test_referents_are_asked_by_margin_and_decided_undone_and_told_to_all(client: TestClient, review: Review) -> None:
    overview = client.get("/referents").json()
    margins = [margin for margin in overview["margins"] if margin is not None]
    assert margins == sorted(margins) == overview["margins"][: len(margins)]
    assert (overview["who"], set(overview["decided"]), overview["notes"]) == ("ada", {None}, [])
    first, second = (client.get(f"/referents/{key}").json() for key in overview["keys"][:2])
    picture = client.get(f"/{first['picture']}")
    assert (picture.status_code, picture.headers["content-type"], picture.content[:2]) == (
        200,
        "image/jpeg",
        b"\xff\xd8",
    )
    mask = first["candidates"][-1]["key"]
    said = client.post("/decisions", json={"referent": first["key"], "decision": "mask", "mask": mask}).json()
    assert (said["decision"]["mask"], said["decision"]["who"]) == (mask, "ada")
    for decision in ("none", "absent"):
        assert client.post("/decisions", json={"referent": second["key"], "decision": decision}).status_code == 200
    assert standing() == {first["key"]: "mask", second["key"]: "absent"}
    assert client.get(f"/referents/{first['key']}").json()["decision"]["mask"] == mask
    assert client.get("/referents").json()["decided"][:3] == ["mask", "absent", None]

    other = TestClient(build_review_app(open_review("little", "try", "bob")), base_url=LOCAL)  # at the same time
    assert other.get("/referents").json()["decided"][:3] == ["mask", "absent", None]
    refused = other.post("/undo", json={"referent": second["key"]})
    assert (refused.status_code, "ada has decided since" in refused.json()["error"]["message"]) == (409, True)
    assert other.post("/decisions", json={"referent": first["key"], "decision": "none"}).status_code == 200
    assert client.post("/undo", json={"referent": first["key"]}).status_code == 409
    assert client.post("/undo", json={"referent": second["key"]}).json()["decision"]["what"] == "none"
    assert standing() == {first["key"]: "none", second["key"]: "none"}
    with reviews_file("little").open("ab") as file:
        file.write(b"2026-01-01T00:00:00Z,ada,ab")  # a writer was killed here
    assert "line 7" in client.get("/referents").json()["notes"][0]
    assert str(review.questions[first["key"]].referent.ref_id) not in reviews_file("little").read_text().split(",")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"decision": "mask", "mask": "0" * 20}, {}, 422),
        ({"decision": "mask", "mask": "../../etc"}, {}, 422),
        ({"decision": "mask"}, {}, 422),
        ({"decision": "none", "mask": "0" * 20}, {}, 422),
        ({"decision": "undo"}, {}, 422),
        ({"decision": "none", "who": "eve"}, {}, 422),
        ({"decision": "none", "referent": "f" * 20}, {}, 404),
        ({"decision": "none", "referent": ["x"]}, {}, 422),
        ({"decision": "none", "referent": "x" * 9000}, {}, 413),
        ({"decision": "none"}, {"Content-Type": "text/plain"}, 415),
        ({"decision": "none"}, {"Origin": "http://evil.example"}, 403),
        ({"decision": "none"}, {"Origin": "http://127.0.0.1:8080"}, 403),
        ({"decision": "none"}, {"Sec-Fetch-Site": "cross-site"}, 403),
        ({"decision": "none"}, {"Host": "evil.example"}, 403),
    ],
)
def test_nothing_is_written_that_is_no_decision_or_comes_from_elsewhere(
    served: tuple[TestClient, str], body: Mapping[str, Any], headers: Mapping[str, str], status: int
) -> None:
    client, key = served
    reply = client.post("/decisions", json={"referent": key, **body}, headers=headers)
    assert reply.status_code == status, reply.text
    assert not reviews_file("little").exists()


@pytest.fixture(scope="module")
def served(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    """A client of a review that nothing is written to, and a referent."""
    home = copy_home(chosen, tmp_path_factory.mktemp("served") / "home", experiments={"try": TRY})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDMASK_HOME", str(home))
        opened = open_review("little", "try", "ada")
        yield TestClient(build_review_app(opened), base_url=LOCAL), next(iter(opened.questions))


def test_pages_run_no_script_of_others_and_nothing_else_is_there(client: TestClient) -> None:
    page = client.get("/")
    assert "Review of little" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert {client.get(f"/{name}").status_code for name in ("review.js", "shared.js", "review.css", "gallery.css")} == {
        200
    }
    for path in ("/gallery.js", "/referents/x", "/images/x.jpg", "/gallery/index.html", "/..%2freviews"):
        assert client.get(path).status_code == 404
    assert client.get("/undo").status_code == 404


def test_a_review_wants_choices_that_belong_to_the_candidates_and_a_name(reviewed: Path, run: Run) -> None:
    for words, wanted in (
        (("-d", "little", "-e", "try", "--as", "=1"), "cannot be a name"),
        (("-d", "little", "-e", "tryy"), "did you mean try?"),
        (("-d", "litle", "-e", "try"), "did you mean little?"),
    ):
        code, said = run("review", *words)
        assert (code, wanted in said, "Traceback" in said) == (1, True, False), said
    next((reviewed / "store" / "refs").rglob("mask_choices.json")).unlink()
    code, said = run("review", "-d", "little", "-e", "try")
    assert (code, "wordmask run -d little -e try --until mask_choices" in " ".join(said.split())) == (1, True), said
