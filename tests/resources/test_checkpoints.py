"""The registry says what is there, what is missing and what to do."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from resources import checkpoints
from resources.checkpoints import (
    CHECKPOINTS,
    MissingCheckpoint,
    checkpoint_folder,
    examine,
    identity,
    locate,
)
from resources.model_entries import Checkpoint, CheckpointFile


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    """Register a checkpoint whose published content is four bytes."""
    file = CheckpointFile(path="small.pt", size=4, sha256=hashlib.sha256(b"good").hexdigest())
    checkpoint = replace(CHECKPOINTS["RN50"], name="small", path="small.pt", files=(file,))
    monkeypatch.setitem(CHECKPOINTS, "small", checkpoint)
    return checkpoint


def state(folder: Path, name: str, *, thorough: bool = False) -> str:
    return next(finding.state for finding in examine(folder, thorough=thorough) if finding.name == name)


def test_a_missing_checkpoint_says_which_where_from_and_where_to(tmp_path: Path) -> None:
    with pytest.raises(MissingCheckpoint) as caught:
        locate("vit_h", tmp_path)
    message = str(caught.value)
    assert "sam_vit_h_4b8939.pth" in message
    assert "github.com/facebookresearch/segment-anything" in message
    assert str(tmp_path) in message
    assert isinstance(caught.value, FileNotFoundError)
    assert identity("vit_h", tmp_path) == "missing"


def test_a_present_checkpoint_is_located_and_judged(tmp_path: Path, small: Checkpoint) -> None:
    path = tmp_path / "small.pt"
    path.write_bytes(b"good")
    assert locate("small", tmp_path) == path
    assert state(tmp_path, "small", thorough=True) == "present"
    path.write_bytes(b"evil")
    assert state(tmp_path, "small") == "present", "content is hashed on request only"
    assert state(tmp_path, "small", thorough=True) == "wrong hash"
    path.write_bytes(b"short")
    assert state(tmp_path, "small") == "wrong size"


def test_a_published_file_has_its_published_identity(tmp_path: Path, small: Checkpoint) -> None:
    (tmp_path / "small.pt").write_bytes(b"good")
    assert identity("small", tmp_path) == small.files[0].sha256
    for content in (b"other", b"evil"):  # of another size, and of the published one
        (tmp_path / "small.pt").write_bytes(content)
        assert identity("small", tmp_path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_took_the_place_of_another_is_hashed_anew(tmp_path: Path, small: Checkpoint) -> None:
    for number, content in enumerate((b"good", b"evil")):
        written = tmp_path / f"download{number}"
        written.write_bytes(content)
        os.utime(written, ns=(1, 1))
        written.replace(tmp_path / "small.pt")
        assert identity("small", tmp_path) == hashlib.sha256(content).hexdigest()


def test_an_unpublished_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINTS["swin_b"].path
    path.write_bytes(b"first")
    os.utime(path, ns=(1, 1))
    assert identity("swin_b", tmp_path) == hashlib.sha256(b"first").hexdigest()
    memory = tmp_path / f"{path.name}.sha256.json"
    remembered = json.loads(memory.read_text())
    memory.write_text(json.dumps({**remembered, "sha256": "remembered"}))
    assert identity("swin_b", tmp_path) == "remembered"
    path.write_bytes(b"secon")
    assert identity("swin_b", tmp_path) == hashlib.sha256(b"secon").hexdigest()
    memory.write_text("{")
    assert identity("swin_b", tmp_path) == hashlib.sha256(b"secon").hexdigest()


def test_a_folder_checkpoint_needs_all_its_files_and_takes_either_weights(tmp_path: Path) -> None:
    folder = tmp_path / "bert-base-uncased"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"weights")
    with pytest.raises(MissingCheckpoint, match=r"get vocab\.txt from huggingface\.co"):
        locate("bert-base-uncased", tmp_path)
    (folder / "vocab.txt").write_text("[PAD]")
    assert locate("bert-base-uncased", tmp_path) == folder
    assert state(tmp_path, "bert-base-uncased") == "present"
    before = identity("bert-base-uncased", tmp_path)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]")
    assert identity("bert-base-uncased", tmp_path) != before


def test_an_installed_package_stands_in_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "site" / "en_core_web_md" / "en_core_web_md-3.8.0"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").touch()
    (inner / "config.cfg").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert locate("en_core_web_md", tmp_path / "empty") == inner
    assert state(tmp_path / "empty", "en_core_web_md") == "present"
    assert identity("en_core_web_md", tmp_path / "empty") != "missing"


def test_an_embedded_model_is_checked_against_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EMBEDDED_FOLDER", tmp_path)
    assert state(tmp_path, "embedded/detector") == "missing"
    folder = tmp_path / "detector"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights")
    (folder / "card.json").write_text(json.dumps({"sha256": hashlib.sha256(b"weights").hexdigest(), "date": "1"}))
    assert state(tmp_path, "embedded/detector") == "embedded"
    assert locate("embedded/detector") == folder
    before = identity("embedded/detector")
    (folder / "card.json").write_text(json.dumps({"sha256": hashlib.sha256(b"weights").hexdigest(), "date": "2"}))
    assert identity("embedded/detector") == before, "a date changes no weights"
    (folder / "weights.safetensors").write_bytes(b"others")
    assert identity("embedded/detector") != before
    assert state(tmp_path, "embedded/detector") == "wrong hash"


def test_the_folder_is_the_environments_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    assert checkpoint_folder() == tmp_path
    monkeypatch.delenv("WORDMASK_CHECKPOINTS")
    assert checkpoint_folder() == Path.home() / ".cache" / "wordmask" / "checkpoints"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"known are en_core_web_md, en_core_web_sm, ViT-B-32.*owner/name"):
        locate("vit_g")


@pytest.mark.parametrize("checkpoint", CHECKPOINTS.values(), ids=lambda one: one.name)
def test_every_entry_says_what_it_is_for_and_where_it_comes_from(checkpoint: Checkpoint) -> None:
    assert checkpoint.stage
    assert checkpoint.licence
    assert checkpoint.source
    for file in checkpoint.files:
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.size is not None or file.sha256 is None, "a size is checked before a hash"
