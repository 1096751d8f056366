"""What lies in place of weights is told by its name and kind, by every reader alike, and loads nothing."""

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from ops.refusal import Refused
from resources.checkpoints import examine, identity
from resources.models.grounding_dino import read_published
from resources.models.spacy_parser import load_parser
from resources.models.swin_bert import load_bert, load_swin
from resources.models.tris import new_irnet
from resources.models.weights import accounted, load_strictly, read_safetensors, read_torch
from storage.artifact import StoreError
from storage.weights import load_checkpoint, load_weights, save_weights
from tests.cases.checkpoints import READERS, layer, load_embedded, saved, sound, write_bert, write_embedded

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 440449768\n"
IMPOSTORS = {
    "pointer of git-lfs": POINTER,
    "web page": b"\n<!DOCTYPE html>\n<html><title>403</title></html>",
    "empty": b"",
}


@pytest.mark.parametrize("what", IMPOSTORS)
@pytest.mark.parametrize("kind", READERS)
def test_every_reader_tells_what_a_file_is_instead(tmp_path: Path, kind: str, what: str) -> None:
    (tmp_path / kind).write_bytes(IMPOSTORS[what])
    with pytest.raises(Refused, match=rf"{kind} is .*{what}.*fetch it again"):
        READERS[kind](tmp_path / kind)


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / kind)
    with pytest.raises(Refused, match="named pipe"):
        READERS[kind](tmp_path / kind)


@pytest.mark.parametrize("kind", ["torch.pth", "legacy.pth", "script.pt", "weights.safetensors"])
def test_sound_files_load_and_truncated_ones_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    path.write_bytes(sound()[kind])
    READERS[kind](path)
    for end in range(1, len(sound()[kind]), 61):
        path.write_bytes(sound()[kind][:end])
        with pytest.raises(Refused, match=kind):
            READERS[kind](path)


@pytest.mark.parametrize("length", [2**60, 2**31, 2, 0])
def test_a_header_that_lies_about_its_length_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "c.safetensors").write_bytes(struct.pack("<Q", length) + b"{}"[: length or 2] + b"x")
    with pytest.raises(Refused, match=r"c\.safetensors is no readable checkpoint"):
        read_safetensors(tmp_path / "c.safetensors")


def with_pickle(content: bytes, path: Path) -> Path:
    """A checkpoint of torch whose pickle is another."""
    (path.parent / "sound.pth").write_bytes(sound()["torch.pth"])
    with zipfile.ZipFile(path.parent / "sound.pth") as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, content if name.endswith("data.pkl") else source.read(name))
    return path


def tuples_of_tuples(levels: int) -> bytes:
    return b"\x80\x02}(" + b")" + b"q\x00h\x00\x86" * levels + b"K\x01u."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x80\x020.", "no readable checkpoint"),
        (b"\x80\x02h\x05.", "no readable checkpoint"),
        (b"\x80\x02X\x01\0\0\0\xff.", "no readable checkpoint"),
        (b"\x80\x02", "no readable checkpoint"),
        (b"", "no readable checkpoint"),
        (b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.", r"asks for os\.system"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "keeps a value under the number 4294967295"),
        (tuples_of_tuples(60), "tuple of more than"),
        (b"\x80\x02}(" + b")" + b"\x85" * 200 + b"K\x01u.", "100 levels"),
        (b"\x80\x02]q\x00.", "holds a list"),
        (b"\x80\x02}K\x01K\x02s.", "keys that are no names"),
    ],
)
def test_damaged_and_foreign_pickles_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(Refused, match=rf"w\.pth.*{told}"):
        read_torch(with_pickle(content, tmp_path / "w.pth"))


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/data/0", bytes(80 << 20))
    for reader in ("torch.pth", "script.pt"):
        with pytest.raises(Refused, match=r"w\.pth.*unpack to 83,886,"):
            READERS[reader](tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({1: torch.zeros(1)}, r"1 keys that are no names \(1\)"),
        ({"bias": 3}, r"1 keys without a dense tensor \(bias int\)"),
        ({"bias": "x"}, r"1 keys without a dense tensor \(bias str\)"),
        ({"bias": torch.zeros(4).to_sparse()}, r"bias sparse_coo float32 on cpu"),
        ({"bias": torch.zeros(4, dtype=torch.complex64)}, r"bias strided complex64"),
        ({"bias": torch.zeros(4, device="meta")}, r"bias strided float32 on meta"),
        ({"bias": torch.quantize_per_tensor(torch.zeros(4), 1.0, 0, torch.qint8)}, r"bias strided qint8"),
        ({"bias": torch.tensor([0, float("nan"), 0, 0])}, r"1 keys with numbers that are none \(bias\)"),
        ({"weight": torch.full((4, 3), -float("inf")).half()}, r"1 keys with numbers that are none \(weight\)"),
        ({"bias": torch.zeros(1).expand(2**40)}, r"of another shape \(bias \(1099511627776,\) for \(4,\)\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*quantize:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_no_dense_tensor_under_a_name_is_refused(tmp_path: Path, change: dict[Any, Any], told: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(saved({**layer().state_dict(), **change}))
    with pytest.raises(Refused, match=rf"w\.pth.*{told}"):
        load_strictly(layer(), read_torch(path), source=path)


def test_values_of_any_kind_are_accounted() -> None:
    with pytest.raises(Refused, match=r"x\.pth does not fit.*without a dense tensor \(a str\)"):
        accounted({"a": "x"}, {"a": torch.Size([1])}, source="x.pth")
    with pytest.raises(Refused, match=r"2 keys unknown \('?1'?, b\)|2 keys unknown"):
        accounted({1: "x", "b": None}, {}, source="x.pth")  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"model": [1]}, "holds a list where a dict"),
        ({"model": {1: torch.zeros(1)}}, "keys that are no names"),
        ({"model": torch.zeros(1)}, "holds a Tensor"),
        ({}, "model"),
    ],
)
@pytest.mark.parametrize("read", [load_swin, read_published])
def test_published_files_hold_a_model(tmp_path: Path, read: Callable[[Path], object], content: Any, told: str) -> None:
    path = tmp_path / "published.pth"
    path.write_bytes(saved(content))
    with pytest.raises(Refused, match=rf"published\.pth.*{told}"):
        read(path)


def test_names_that_become_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.pth"
    path.write_bytes(saved({"model": {"a": torch.zeros(1), "module.a": torch.ones(1)}}))
    with pytest.raises(Refused, match="holds a twice"):
        read_published(path)


@pytest.mark.parametrize(
    "table", [torch.zeros(7, 3), torch.zeros(4), torch.zeros(0, 3), 3, torch.zeros(4, 3).to_sparse()]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_bias_table_of_no_window_is_refused_and_not_resized(tmp_path: Path, table: object) -> None:
    path, key = tmp_path / "swin.pth", "layers.0.blocks.0.attn.relative_position_bias_table"
    path.write_bytes(saved({"model": {key: table}}))
    with pytest.raises(Refused, match=r"swin\.pth does not fit"):
        load_swin(path)


def test_a_resnet_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "resnet.pth").write_bytes(saved({"fc.weight": torch.zeros(1), "conv1.weight": torch.zeros(2)}))
    with pytest.raises(Refused, match=r"resnet\.pth does not fit"):
        new_irnet("resnet50", checkpoint=tmp_path / "resnet.pth")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", b"<html>", "is a web page"),
        ("config.json", b"[1]", "holds a list"),
        ("config.json", b"{", "is no JSON"),
        ("config.json", b"[" * 100_000, "is no JSON"),
        ("config.json", b'{"hidden_size": NaN}', "is no JSON"),
        ("config.json", b'{"hidden_size": ' + b"9" * 5000 + b"}", "is no JSON"),
        ("config.json", b'{"hidden_size": "4"}', "hidden_size is 4"),
        ("config.json", b'{"hidden_size": 9999999996}', "parameters"),
        ("config.json", b'{"num_hidden_layers": 100000, "hidden_size": 12}', "parameters"),
        ("config.json", b'{"hidden_size": 5}', "not divided"),
        ("config.json", b'{"hidden_act": "none such"}', "no model that can be built"),
        ("vocab.txt", "[PAD]".encode("utf-16"), "is UTF-16"),
        ("vocab.txt", b"[PAD]\n\xff", "is no UTF-8"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\ndog\ndog", "names 'dog' twice"),
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n1\n2\n3\n4", "8 word pieces, the model 7"),
        ("vocab.txt", b"dog", "no BERT vocabulary"),
        ("model.safetensors", POINTER, "pointer of git-lfs"),
        ("model.safetensors", struct.pack("<Q", 2**60) + b"{}", "no readable checkpoint"),
        ("model.safetensors", save({"a": torch.zeros(1)}), "does not fit"),
    ],
)
def test_each_file_of_a_bert_folder_is_read_with_care(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    folder = write_bert(tmp_path / "bert-base-uncased")
    load_bert(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(Refused, match=told):
        load_bert(folder)


def test_a_vocabulary_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = write_bert(tmp_path / "bert-base-uncased")
    (folder / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + sound()["vocab.txt"].replace(b"\n", b"\r\n"))
    assert load_bert(folder)[1].vocabulary[0] == "[PAD]"


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": None},
        {"aliases": None},
        {"aliases": {"x": "nothing"}},
        {"aliases": [1]},
        {"architecture": None},
        {"architecture": {"width": 10**9}},
    ],
)
def test_a_card_that_lacks_what_cards_say_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = write_embedded(tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | change))
    with pytest.raises(Refused, match="restore"):
        load_embedded(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("meta.json", b"<html>"),
        ("config.cfg", POINTER),
        ("config.cfg", b"[nlp]\nlang = 3\n"),
        ("parser/model", POINTER),
        ("parser/model", b"\xc1" * 100),
        ("tokenizer", b"\x81"),
        ("vocab/strings.json", b"{"),
    ],
)
def test_a_damaged_parser_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    import shutil

    from resources.embedded.cards import EMBEDDED_FOLDER

    shutil.copytree(EMBEDDED_FOLDER / "parser", tmp_path / "parser")
    (tmp_path / "parser" / name).write_bytes(content)
    with pytest.raises(Refused, match="fetch it again"):
        load_parser(tmp_path / "parser")


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"\x80\x02}.", POINTER])
def test_our_own_weights_and_states_are_told_damaged(tmp_path: Path, damage: bytes) -> None:
    save_weights(tmp_path / "weights.safetensors", layer().state_dict(), {})
    for name, read in {
        "weights.json": load_weights,
        "weights.safetensors": load_weights,
        "1.pt": load_checkpoint,
    }.items():
        (tmp_path / name).write_bytes(damage)
        with pytest.raises(StoreError):
            read(tmp_path / name if name == "1.pt" else tmp_path / "weights.safetensors")


def test_the_doctor_sees_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "resnet50-0676ba61.pth").write_bytes(POINTER)
    (found,) = [finding for finding in examine(tmp_path) if finding.name == "resnet50"]
    assert found.state == "no model"
    assert "pointer of git-lfs" in found.advice


def test_weights_that_may_not_be_read_do_not_end_the_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resnet50-0676ba61.pth").write_bytes(b"x")

    def forbidden(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("resources.digests.sha256_of", forbidden)
    assert identity("resnet50", tmp_path) == "unreadable"


def test_modules_within_each_other_without_end_are_refused(tmp_path: Path) -> None:
    module = nn.Module()
    whole = tmp_path / "script.pt"
    whole.write_bytes(sound()["script.pt"])
    laughs = b"\x80\x02c__torch__\nM\n)\x81q\x00"
    for _ in range(40):  # each holds the one before under two names
        laughs += b"c__torch__\nM\n)\x81}(X\x01\0\0\0ah\x00X\x01\0\0\0bh\x00ubq\x00"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "laughs.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, laughs + b"." if name.endswith("data.pkl") else source.read(name))
    with pytest.raises(Refused, match=r"laughs\.pt.*without end"):
        load_strictly(module, READERS["script.pt"](tmp_path / "laughs.pt"), source="")  # type: ignore[arg-type]
