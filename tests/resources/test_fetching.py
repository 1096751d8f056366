"""Whole models under their names, from a hub and the server behind it; this machine plays both."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import spacy
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.commands import models
from resources import checkpoints, fetching
from resources.checkpoints import examine_one, locate, registered, revision_of
from resources.hub_layout import RECORD, read_record
from resources.model_entries import spacy_package
from resources.models.refs import ModelRef
from resources.models.swin_bert import load_bert
from tests.cases.checkpoints import write_bert
from tests.paths import ROOT
from tests.resources.hub_server import LICENCE, Hub, running

TOKEN = "hf_secret_of_a_person"
PIECES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
DETECTOR, SHARDED, CLIP, SIGLIP = (
    "owner/detector",
    "owner/sharded",
    "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
    "timm/ViT-L-16-SigLIP-256",
)
WORDS = "timm/ViT-B-16-SigLIP"
UNWANTED = {"README.md": b"text", "modeling.py": b"code", "model.onnx": b"x", "flax_model.msgpack": b"x", "w.pt": b"x"}


def weights(seed: int, size: int = 300_000) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Small random models in the layouts in which models are published."""
    bert = write_bert(tmp_path_factory.mktemp("bert") / "bert")
    index = f'{{"weight_map": {{"a": "{PIECES[0]}", "b": "{PIECES[1]}"}}}}'.encode()
    return {
        "owner/words": {**{path.name: path.read_bytes() for path in bert.iterdir()}, **UNWANTED},
        DETECTOR: {"config.json": b"{}", "model.safetensors": weights(1), "pytorch_model.bin": weights(2), **UNWANTED},
        SHARDED: {"config.json": b"{}", INDEX: index, PIECES[0]: weights(3), PIECES[1]: weights(4), "vocab.txt": b"a"},
        CLIP: {"open_clip_config.json": b"{}", "open_clip_model.safetensors": weights(5), "model.safetensors": b"x"},
        SIGLIP: {"open_clip_config.json": b"{}", "open_clip_model.safetensors": weights(6)},
        WORDS: {"tokenizer.json": b"{}", "tokenizer_config.json": b"{}", "open_clip_model.safetensors": weights(7)},
    }


@pytest.fixture
def hub(published: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with running(Hub({name: dict(files) for name, files in published.items()})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.address)
        monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path / "models"))
        for name in ("WORDMASK_MIRROR", "HF_HUB_OFFLINE", "WORDMASK_OFFLINE", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(fetching, "PAUSE", 0.001)
        yield served


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "models"


def said(*names: str) -> tuple[int, str]:
    """Exit code of `wordmask models get NAMES` and what it prints, as one line."""
    told = CliRunner().invoke(app, ["models", "get", *names], env={"COLUMNS": "400"})
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    return told.exit_code, " ".join(told.output.split())


def names_in(folder: Path) -> list[str]:
    kept = (".lock", ".sha256.json", RECORD)
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(kept)) if folder.is_dir() else []


def test_models_of_all_layouts_come_whole_through_two_breaks(hub: Hub, home: Path) -> None:
    hub.breaks = 2
    code, told = said("owner/words", DETECTOR, SHARDED, "ViT-B-16:laion2b_s34b_b88k", "ViT-L-16-SigLIP-256:webli")
    assert code == 0, told
    assert f"owner/detector: 0 MB, licence {LICENCE}, revision {hub.commit(DETECTOR)[:12]}" in told
    assert names_in(home / "hub/owner--detector") == ["config.json", "model.safetensors"]
    assert names_in(home / "hub/owner--sharded") == ["config.json", *PIECES, INDEX, "vocab.txt"]
    siglip = home / "open_clip/ViT-L-16-SigLIP-256/webli"
    assert names_in(siglip) == [
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (siglip / "open_clip_model.safetensors").read_bytes() == weights(6)
    assert [part.repository for part in read_record(siglip).parts] == [SIGLIP, WORDS]  # type: ignore[union-attr]
    assert sum(one.begin > 0 for one in hub.asked if one.server == "second") == 2, "two went on from where they broke"
    load_bert(ModelRef("bert", "owner/words").path())
    asked = len(hub.asked)
    assert said(DETECTOR)[0] == 0
    assert len(hub.asked) == asked + 1, "whether the hub moved on is all that is asked"


def test_several_files_come_at_once(hub: Hub) -> None:
    hub.together = threading.Barrier(2)
    assert said(SHARDED)[0] == 0
    assert not hub.together.broken


def test_a_killed_process_is_gone_on_from(hub: Hub, home: Path) -> None:
    hub.stall = threading.Event()
    command = [sys.executable, "-c", "from pipelines.cli import app; app()", "models", "get", DETECTOR]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = home / "hub/owner--detector/model.safetensors.partial"
    deadline = time.monotonic() + 60
    while not (partial.is_file() and partial.stat().st_size >= 100_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    had = partial.stat().st_size
    hub.stall.set()
    assert examine_one(registered(DETECTOR), home).state == "begun"
    hub.moved += 1  # what was begun stays at its commit
    code, told = said(DETECTOR)
    assert code == 0
    assert "stays at" in told
    assert hub.begins("model.safetensors") == [0, had]
    assert (home / "hub/owner--detector/model.safetensors").read_bytes() == weights(1)


def sends(content: bytes, file: str = "model.safetensors") -> Callable[[Hub], None]:
    return lambda hub: hub.instead.update({f"{DETECTOR}/{file}": content})


def answers(status: int) -> Callable[[Hub], None]:
    return lambda hub: hub.status.update({f"{DETECTOR}/model.safetensors": status})


def holds(*names: str) -> Callable[[Hub], None]:
    return lambda hub: hub.repositories.update({DETECTOR: dict.fromkeys(names, b"{}")})


FAULTS: dict[str, tuple[Callable[[Hub], object], str]] = {
    "wrong digest": (sends(weights(9)), "its digest is"),
    "a web page": (sends(b"<html>log in</html>"), "it is a web page"),
    "a pointer": (sends(b"version https://git-lfs.github.com/spec"), "it is a pointer of git-lfs"),
    "another configuration": (sends(b"[]", "config.json"), "config.json .* its digest is"),
    "too much": (sends(weights(1) + b"more"), "sends more than the 300,000 bytes"),
    "404": (answers(404), "answers 404; there is no such file"),
    "403": (answers(403), r"answers 403; .*agree on its page \(https://huggingface.co/owner/detector\)"),
    "gated": (lambda hub: hub.gated.add(DETECTOR), "answers 401; .*agree on its page .*hf auth login"),
    "no such model": (lambda hub: hub.repositories.pop(DETECTOR), "answers 401: there is no such repository"),
    "a piece too few": (
        lambda hub: hub.repositories.update(
            {DETECTOR: {"config.json": b"{}", INDEX: b'{"weight_map": {"a": "b.safetensors"}}', PIECES[0]: b"x"}}
        ),
        "is still not whole .*b.safetensors",
    ),
    "no weights": (holds("config.json", "model.gguf"), "holds no weights that are known here"),
    "not of transformers": (holds("model.safetensors"), "has no config.json"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_is_one_line_and_leaves_nothing_under_a_final_name(hub: Hub, home: Path, fault: str) -> None:
    spoil, advice = FAULTS[fault]
    spoil(hub)
    code, told = said(SHARDED, DETECTOR)
    assert code == 1
    assert re.search(f"owner/detector.*{advice}", told), told
    assert "1 of 2 models did not come" in told
    assert locate(SHARDED), "the others have come"
    file = "config.json" if fault == "another configuration" else "model.safetensors"
    assert file not in names_in(home / "hub/owner--detector")


def test_consent_is_said_first_and_the_token_is_shown_to_the_hub_alone(
    hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated.add(DETECTOR)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, told = said(DETECTOR)
    assert code == 0, told
    consent = "owner/detector is given only to those who agree to its licence (apache-2.0) at https://huggingface.co/owner/detector"
    assert told.index(consent) < told.index("2 files,")
    assert TOKEN not in told
    assert {one.token for one in hub.asked if one.server == "first"} == {f"Bearer {TOKEN}"}
    assert {one.token for one in hub.asked if one.server == "second"} == {None}


def test_a_mirror_holds_descriptions_and_files_and_is_shown_no_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_MIRROR", hub.address)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert said(DETECTOR)[0] == 0
    assert {one.token for one in hub.asked} == {None}


def test_a_published_file_of_the_hub_is_asked_of_the_server_that_stands_for_it(hub: Hub, home: Path) -> None:
    words = hub.repositories["owner/words"]
    hub.repositories["google-bert/bert-base-uncased"] = words
    code, told = said("bert-base-uncased")
    assert code == 1, "its weights are others than the published ones"
    assert "bert-base-uncased: model.safetensors" in told
    assert (home / "bert-base-uncased" / "vocab.txt").read_bytes() == words["vocab.txt"]


def test_offline_what_is_there_is_kept_and_what_is_not_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(DETECTOR)[0] == 0
    monkeypatch.setenv("WORDMASK_OFFLINE", "1")
    asked = len(hub.asked)
    assert said(DETECTOR)[0] == 0
    code, told = said(SHARDED)
    assert code == 1
    assert "owner/sharded is not there and WORDMASK_OFFLINE is set" in told
    assert len(hub.asked) == asked


def test_a_full_disk_is_said_before_anything_begins(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Free", (), {"free": 1000})())
    code, told = said(DETECTOR)
    assert code == 1
    assert "nothing was begun" in told
    assert names_in(home / "hub/owner--detector") == []


def test_a_revision_stays_until_it_is_removed_or_named(hub: Hub, home: Path) -> None:
    said(DETECTOR)
    first = hub.commit(DETECTOR)
    before = ModelRef("detector", DETECTOR).identity()
    hub.moved += 1
    hub.repositories[DETECTOR]["model.safetensors"] = weights(8)
    code, told = said(DETECTOR)
    assert (code, revision_of(DETECTOR)) == (0, first)
    assert f"stays at {first[:12]}; the hub is at {hub.commit(DETECTOR)[:12]} now" in told
    assert ModelRef("detector", DETECTOR).identity() == before
    named = f"{DETECTOR}@{hub.commit(DETECTOR)}"
    assert said(named)[0] == 0
    assert ModelRef("detector", named).identity() != before
    assert "has no revision none" in said(f"{DETECTOR}@none")[1]
    listed = CliRunner().invoke(app, ["models", "list"], env={"COLUMNS": "300"}).output
    assert first[:12] in listed
    assert CliRunner().invoke(app, ["models", "verify", DETECTOR]).exit_code == 0
    (home / "hub/owner--detector/model.safetensors").write_bytes(weights(9))
    spoilt = CliRunner().invoke(app, ["models", "verify", DETECTOR], env={"COLUMNS": "300"})
    assert spoilt.exit_code == 1
    assert "`wordmask models get owner/detector` fetches it again" in spoilt.output
    hub.moved, hub.repositories[DETECTOR]["model.safetensors"] = 0, weights(1)
    assert said(DETECTOR)[0] == 0, "a spoilt file is fetched again"
    assert CliRunner().invoke(app, ["models", "verify", DETECTOR]).exit_code == 0
    (home / "hub/owner--detector/mine.txt").write_text("kept")
    models.remove_models([DETECTOR])
    assert [path.name for path in (home / "hub/owner--detector").iterdir()] == ["mine.txt"]
    models.remove_models([named])
    assert not (home / f"hub/owner--detector@{hub.commit(DETECTOR)}").exists()
    assert checkpoints.identity(DETECTOR) == "missing"


def test_a_folder_filled_by_hand_is_taken_as_it_is(hub: Hub, home: Path) -> None:
    folder = home / "hub/owner--detector"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    code, told = said(DETECTOR)
    assert code == 0
    assert "was filled by hand and is taken as it is" in told
    assert hub.asked == []
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert said(DETECTOR)[0] == 0
    assert (folder / "model.safetensors").read_bytes() == weights(1)


def test_clips_that_are_not_in_open_clips_table_are_named(hub: Hub) -> None:
    assert "open_clip has no weights 'laion' of ViT-B-16; it has openai" in said("ViT-B-16:laion")[1]
    assert "its text tower is roberta-base" in said("roberta-ViT-B-32:laion2b_s12b_b32k")[1]


def test_a_spacy_pipeline_is_fetched_as_its_wheel_and_loads(
    hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spacy.blank("en").to_disk(tmp_path / "pipeline")
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("en_core_web_xx/__init__.py", "raise SystemExit('code of a package ran')")
        for path in (tmp_path / "pipeline").rglob("*"):
            packed.write(path, f"en_core_web_xx/en_core_web_xx-3.8.0/{path.relative_to(tmp_path / 'pipeline')}")
    hub.repositories["some/place"] = {"en_core_web_xx-3.8.0-py3-none-any.whl": wheel.read_bytes()}
    entry = replace(
        spacy_package("en_core_web_xx"), archive=f"{hub.address}/some/place/en_core_web_xx-3.8.0-py3-none-any.whl"
    )
    monkeypatch.setitem(checkpoints.CHECKPOINTS, "en_core_web_xx", entry)
    assert said("en_core_web_xx")[0] == 0
    folder = ModelRef("parser", "en_core_web_xx").path()
    assert folder == home / "en_core_web_xx"
    assert [token.text for token in spacy.load(folder)("two dogs")] == ["two", "dogs"]
    assert not list(home.rglob("*.py"))
    assert [path.name for path in home.iterdir() if path.is_file() and path.suffix != ".lock"] == []
    assert revision_of("en_core_web_xx") == "en_core_web_xx-3.8.0"
    asked = len(hub.asked)
    assert "there already" in said("en_core_web_xx")[1]
    assert len(hub.asked) == asked
    assert models.remove_models(["en_core_web_xx"]) == [folder]
