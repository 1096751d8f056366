"""A look at a folder sees what names, sizes and times tell, and nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.refusal import Refused
from resources.datasets import DatasetConfig, folder_look
from resources.datasets.raw_state import RawDataGone

look = folder_look.folder_look
Change = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("refcoco/refs.p", "images/a/1.jpg", "elsewhere/2.jpg"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "root" / "elsewhere")
    (tmp_path / "root" / "linked" / "back").symlink_to(tmp_path / "root")
    return tmp_path / "root"


def touch(root: Path) -> None:
    os.utime(root / "images/a/1.jpg", ns=(1, 1))


CHANGES: dict[str, tuple[Change, str]] = {
    "a new file": (lambda root: (root / "images/a/new.jpg").touch(), "folder refer"),
    "a file gone": (lambda root: (root / "images/a/1.jpg").unlink(), "folder refer"),
    "another size": (lambda root: (root / "refcoco/refs.p").write_text("longer than it was"), "folder refer"),
    "another time": (touch, "folder refer"),
    "another name": (lambda root: (root / "images/a/1.jpg").rename(root / "images/a/9.jpg"), "folder refer"),
    "what a link leads to": (lambda root: (root / "elsewhere/3.jpg").touch(), "folder"),
    "a hidden file": (lambda root: (root / "images/.DS_Store").touch(), ""),
    "an empty folder": (lambda root: (root / "images/more").mkdir(), ""),
    "a link to nothing": (lambda root: (root / "images/nothing").symlink_to("nowhere"), ""),
    "a file that is read": (lambda root: (root / "refcoco/refs.p").read_text(), ""),
}


@pytest.mark.parametrize(("change", "seen"), CHANGES.values(), ids=list(CHANGES))
def test_a_look_sees(root: Path, change: Change, seen: str) -> None:
    configs = {
        "folder": DatasetConfig(kind="folder", root=root, name="mine"),
        "refer": DatasetConfig(kind="refer", root=root, name="refcoco"),
    }
    before = {kind: look(config) for kind, config in configs.items()}
    assert before == {kind: look(config) for kind, config in configs.items()}
    change(root)
    assert {kind for kind, config in configs.items() if look(config) != before[kind]} == set(seen.split())


def test_a_folder_that_is_gone_or_too_full_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RawDataGone, match="refcocog is not there"):
        look(DatasetConfig(kind="refer", root=root, name="refcocog"))
    monkeypatch.setattr(folder_look, "MOST_ENTRIES", 3)
    with pytest.raises(Refused, match="more than 3 files"):
        look(DatasetConfig(kind="folder", root=root, name="mine"))
