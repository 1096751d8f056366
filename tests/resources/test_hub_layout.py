"""Which files of a repository make a model, and what its name gives: paths, presence and identity. Nothing is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.checkpoints import (
    MissingCheckpoint,
    examine_one,
    identity,
    locate,
    registered,
    revision_of,
    revisions_of,
)
from resources.hub_layout import Part, Record, Recorded, chosen, weight_files, write_record
from resources.model_entries import Layout
from resources.models.refs import ModelRef
from tests.paths import ROOT

PIECES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("layout", "names", "wanted"),
    [
        (
            "transformers",
            ["config.json", "model.safetensors", "pytorch_model.bin"],
            ["config.json", "model.safetensors"],
        ),
        (
            "transformers",
            ["config.json", "pytorch_model.bin", "flax_model.msgpack"],
            ["config.json", "pytorch_model.bin"],
        ),
        ("transformers", ["config.json", "model.fp16.safetensors", "model.onnx", "x.py", "model.pt"], ["config.json"]),
        ("transformers", [INDEX, *PIECES, "model.bin", "config.json"], ["config.json", INDEX, *PIECES]),
        ("transformers", [INDEX, "pytorch_model.bin", "onnx/model.safetensors"], ["pytorch_model.bin"]),
        (
            "open_clip",
            ["open_clip_pytorch_model.bin", "open_clip_model.safetensors", "model.safetensors", "tokenizer.json"],
            ["tokenizer.json", "open_clip_model.safetensors"],
        ),
    ],
)
def test_tensors_are_preferred_and_nothing_else_is_taken(layout: Layout, names: list[str], wanted: list[str]) -> None:
    assert list(chosen(names, layout)) == wanted


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("IDEA-Research/grounding-dino-tiny", "hub/IDEA-Research--grounding-dino-tiny"),
        ("some-one/un.listed_model", "hub/some-one--un.listed_model"),
        ("facebook/sam3@0a1b2c3", "hub/facebook--sam3@0a1b2c3"),
        ("ViT-B-16:laion2b_s34b_b88k", "open_clip/ViT-B-16/laion2b_s34b_b88k"),
        ("de_core_news_sm", "de_core_news_sm"),
    ],
)
def test_a_name_gives_a_place_of_its_own(name: str, path: str, tmp_path: Path) -> None:
    assert registered(name).path == path
    assert identity(name, tmp_path) == "missing"
    with pytest.raises(MissingCheckpoint):
        locate(name, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("owner/na/me", "owner/../x", "../../etc/passwd@x", "own--er/x", "owner/a--b", "owner/x@../y", "owner/", "/"),
        *("embedded/x", "embedded", "ViT-Q:webli", "ViT-B-16:../x", "vit_g", "a/b@", "", "x" * 200),
        *(
            "__main__",
            "sys",
            "tests",
            "os.path",
            "a/b@c/d",
            "a\0/b",
            "a/b\n",
            "\u00e9/b",
            "ViT-B-16:",
            ":webli",
            "C:\\x",
        ),
    ],
)
def test_a_name_of_no_form_is_no_model_and_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    try:
        found = registered(name)
    except Refused:
        return
    assert found.layout == "spacy"  # the path of a folder
    with pytest.raises(MissingCheckpoint):
        locate(name, tmp_path)


def fill(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_folder_put_there_by_hand_is_a_model_by_its_content(tmp_path: Path) -> None:
    ref = ModelRef("detector", "some/detector")
    folder = tmp_path / "hub" / "some--detector"
    fill(folder, model__safetensors="weights", README__md="text", modeling__py="code")
    with pytest.raises(MissingCheckpoint, match=r"type `wordmask models get some/detector`, or get config\.json from"):
        ref.path(tmp_path)
    fill(folder, config__json="{}")
    assert ref.path(tmp_path) == folder
    before = ref.identity(tmp_path)
    fill(folder, README__md="another", pytorch_model__bin="not read")
    assert ref.identity(tmp_path) == before
    for name in ("config__json", "model__safetensors", "vocab__txt"):
        fill(folder, **{name: "changed"})
        assert ref.identity(tmp_path) not in (before, "missing")
        before = ref.identity(tmp_path)


def test_the_pieces_that_an_index_names_belong_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "some--large"
    index = json.dumps({"weight_map": {"a": PIECES[0], "b": PIECES[1]}})
    fill(folder, config__json="{}", **{INDEX: index, PIECES[0]: "1"})
    with pytest.raises(MissingCheckpoint, match=PIECES[1]):
        locate("some/large", tmp_path)
    fill(folder, **{PIECES[1]: "2"})
    assert locate("some/large", tmp_path) == folder
    assert [path.name for path in weight_files(folder, "transformers")] == [*PIECES]
    before = identity("some/large", tmp_path)
    fill(folder, **{PIECES[1]: "3"})
    assert identity("some/large", tmp_path) != before
    fill(folder, **{INDEX: json.dumps({"weight_map": {"a": "../../secret"}})})
    assert examine_one(registered("some/large"), tmp_path).state == "no model"
    assert identity("some/large", tmp_path) == "unreadable"


def test_what_the_hub_said_of_a_file_is_verified(tmp_path: Path) -> None:
    folder = tmp_path / "hub" / "some--model"
    fill(folder, config__json="{}", model__safetensors="weights")
    digest = "9b6b1d3e8f7a0f8c0f7d5f1f6f0a3f3d5f6c6e5e6a5a8d0a2b1c0d9e8f7a6b5c"
    files = {"model.safetensors": Recorded(size=7, sha256=digest), "vocab.txt": Recorded(size=1)}
    write_record(
        folder,
        Record(name="some/model", licence="MIT", parts=[Part(repository="some/model", revision="c0ffee", files=files)]),
    )
    finding = examine_one(registered("some/model"), tmp_path)
    assert (finding.state, finding.revision) == ("begun", "c0ffee")
    assert "vocab.txt" in finding.advice
    fill(folder, vocab__txt="x")
    assert examine_one(registered("some/model"), tmp_path).state == "present"
    assert examine_one(registered("some/model"), tmp_path, thorough=True).state == "wrong hash"
    assert revisions_of(["some/model", "embedded/bert", "a/b"], tmp_path) == {"some/model": "c0ffee"}
    fill(folder, wordmask__json='{"name": 1, "parts": [{"files": {"../x": {}}}]}')
    assert revision_of("some/model", tmp_path) == ""


def test_a_spacy_folder_is_named_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    fill(folder, config__cfg="", meta__json="{}", tokenizer="x")
    ref = ModelRef("parser", str(folder))
    assert ref.path() == folder
    before = ref.identity()
    fill(folder, tokenizer="y")
    assert ref.identity() != before


def test_names_are_understood_without_anything_heavy() -> None:
    code = (
        "import sys; from resources.checkpoints import examine, identity\n"
        "examine(); [identity(n) for n in ('a/b', 'ViT-B-16:openai', 'en_core_web_sm')]\n"
        "print([m for m in ('torch', 'open_clip', 'huggingface_hub', 'httpx', 'spacy', 'numpy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
