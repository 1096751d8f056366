"""Data files of one pipeline come out of an archive, into one folder; code, links and ways out of it do not."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources import spacy_archives
from resources.spacy_archives import unpack

ROOT = "en_core_web_sm/en_core_web_sm-3.8.0"
SOUND = {f"{ROOT}/config.cfg": b"[nlp]", f"{ROOT}/meta.json": b"{}", f"{ROOT}/vocab/strings.json": b"[]"}
OUTSIDE = {"en_core_web_sm/__init__.py": b"code", "en_core_web_sm-3.8.0.dist-info/RECORD": b""}


def zipped(files: Mapping[str, bytes], *, modes: Mapping[str, int] = {}, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as packed:
        for name, content in files.items():
            item = zipfile.ZipInfo(name)
            item.external_attr = modes.get(name, stat.S_IFREG | 0o644) << 16
            packed.writestr(item, content)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes], *, kinds: Mapping[str, bytes] = {}) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size, item.type, item.linkname = len(content), kinds.get(name, tarfile.REGTYPE), "/etc/passwd"
            packed.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [zipped({**SOUND, **OUTSIDE}), tarred({f"en_core_web_sm-3.8.0/{n}": c for n, c in {**SOUND, **OUTSIDE}.items()})],
)
def test_the_data_of_a_wheel_and_of_a_source_archive_come_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "packed").write_bytes(content)
    target = tmp_path / "en_core_web_sm"
    (target / "old").mkdir(parents=True)
    unpack(tmp_path / "packed", target)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()) == [
        "config.cfg",
        "meta.json",
        "vocab/strings.json",
    ]


BOMB = b"\0" * 3_000_000
WRONG = {
    "out of it": (zipped({**SOUND, f"{ROOT}/../../../evil": b"x"}), "leads out of its folder"),
    "absolute": (zipped({**SOUND, "/evil": b"x"}), "leads out of its folder"),
    "backslash": (zipped({**SOUND, f"{ROOT}/a\\..\\b": b"x"}), "leads out of its folder"),
    "a link": (zipped({**SOUND, f"{ROOT}/a": b"/etc"}, modes={f"{ROOT}/a": stat.S_IFLNK | 0o777}), "no plain file"),
    "a link in a tar": (tarred({**SOUND, f"{ROOT}/a": b""}, kinds={f"{ROOT}/a": tarfile.SYMTYPE}), "no plain file"),
    "a hard link": (tarred({**SOUND, f"{ROOT}/a": b""}, kinds={f"{ROOT}/a": tarfile.LNKTYPE}), "no plain file"),
    "a device": (tarred({**SOUND, f"{ROOT}/a": b""}, kinds={f"{ROOT}/a": tarfile.CHRTYPE}), "no plain file"),
    "code": (zipped({**SOUND, f"{ROOT}/run.PY": b"x"}), "holds code among its data"),
    "a pickle": (zipped({**SOUND, f"{ROOT}/model.pkl": b"x"}), "holds code among its data"),
    "a bomb": (zipped({**SOUND, f"{ROOT}/vocab/vectors": BOMB}), "unpacks to more"),
    "nothing": (zipped(OUTSIDE), "holds no spaCy pipelines"),
    "two": (zipped({**SOUND, "a/b/config.cfg": b""}), "holds several spaCy pipelines"),
    "cut": (zipped(SOUND)[:-40], "no wheel|can not be unpacked"),
    "changed": (zipped(SOUND, packing=zipfile.ZIP_STORED).replace(b"[nlp]", b"[nlq]"), "can not be unpacked"),
    "text": (b"not an archive", "can not be unpacked"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_leaves_everything_as_it_was(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacy_archives, "MOST_BYTES", 2_000_000)
    content, reason = WRONG[case]
    folder = tmp_path / "models"
    (folder / "en_core_web_sm").mkdir(parents=True)
    (folder / "en_core_web_sm" / "config.cfg").write_text("before")
    (tmp_path / "packed.whl").write_bytes(content)
    with pytest.raises(Refused, match=f"packed.whl.*({reason})"):
        unpack(tmp_path / "packed.whl", folder / "en_core_web_sm")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {
        "packed.whl",
        "models/en_core_web_sm/config.cfg",
    }
