"""Where a person says that results are shared: in the environment, or in a file of the home."""

from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.sharing_state import shared_store_check
from resources.store import Sharing, demand_shared_store, open_store, settled
from storage.artifact import Store
from storage.remote.store import SharedStore

FILE = "remote: s3://ours/prefix\nproject: seven\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WORDMASK_REMOTE", "WORDMASK_PROJECT", "WORDMASK_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORDMASK_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "environment", "expected"),
    [
        (None, {}, Sharing()),
        (FILE, {}, Sharing("s3://ours/prefix", "seven")),
        ("", {}, Sharing()),
        ("project: seven", {"WORDMASK_REMOTE": "/mnt/results"}, Sharing("/mnt/results", "seven")),
        (FILE, {"WORDMASK_REMOTE": "gs://theirs", "WORDMASK_PROJECT": "one"}, Sharing("gs://theirs", "one")),
        (FILE, {"WORDMASK_REMOTE": ""}, Sharing("", "seven")),
    ],
)
def test_the_environment_goes_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, environment: dict[str, str], expected: Sharing
) -> None:
    if file is not None:
        (home / "store.yaml").write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert settled() == expected
    assert isinstance(open_store(), SharedStore) == bool(expected.remote)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("remote: [", "is no YAML"),
        ("- s3://ours", "more than texts"),
        ("remote: 3", "more than texts"),
        ("remote: s3://ours\nsecret: x", "no key is called secret; keys: remote, project"),
        ("remote: !!python/object/apply:os.system [x]", "is no YAML"),
        ("#" * 70_000, "more than 65,536"),
    ],
)
def test_a_damaged_file_is_told_and_ends_no_run(home: Path, file: str, reason: str) -> None:
    (home / "store.yaml").write_text(file)
    with pytest.raises(Refused, match=reason):
        settled()
    check = shared_store_check()
    assert check.verdict == "bad"
    assert reason in check.found
    assert type(open_store()) is Store


def test_without_a_network_a_bucket_is_not_asked_and_a_folder_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_OFFLINE", "1")
    (home / "store.yaml").write_text(FILE)
    assert type(open_store()) is Store
    assert shared_store_check().found == "not asked, since WORDMASK_OFFLINE is set"
    with pytest.raises(Refused, match="WORDMASK_OFFLINE is set"):
        demand_shared_store()
    monkeypatch.setenv("WORDMASK_REMOTE", str(home))
    assert isinstance(open_store(), SharedStore)
    assert shared_store_check().verdict == "good"
