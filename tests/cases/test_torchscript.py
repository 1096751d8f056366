"""A checkpoint is data: loading one runs no code of it, and gives the tensors that torch itself would give."""

import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ops.refusal import Refused
from resources.models.clip import load_clip, read_state
from resources.models.torchscript import is_torchscript, read_torchscript

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Writes(nn.Module):
    """Writes a file when `torch.jit.load` restores it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path: str = path
        self.training = False
        self.register_buffer("w", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return (self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.tensor([1.0, 2.0]), self.path)
        self.w = torch.zeros(1)


def scripted(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(path)
    return path


def test_an_archive_that_writes_when_it_is_restored_writes_nothing(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    archive = scripted(Writes(str(notes)), tmp_path / "clip.pt")
    notes.write_text("my precious notes")
    with pytest.raises(Refused):
        load_clip("ViT-B-32", checkpoint=archive)
    assert notes.read_text() == "my precious notes"


def test_tensors_are_those_of_torch_views_and_precisions_included(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2).half())
    whole = torch.arange(12.0).reshape(3, 4)
    module.register_buffer("column", whole[:, 1])
    module.register_buffer("row", whole[1].to(torch.bfloat16))
    module.register_buffer("nothing", torch.empty(0, 3))
    path = scripted(module, tmp_path / "any.pt")
    assert is_torchscript(path)
    ours, theirs = read_state(path), dict(torch.jit.load(path).state_dict())
    assert theirs.keys() <= ours.keys()
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype
        torch.testing.assert_close(ours[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("member", "content", "told"),
    [
        ("data.pkl", b"cos\nsystem\n(S'true'\ntR.", r"asks for os\.system; only modules and tensors are read"),
        ("data.pkl", b"\x80\x02cbuiltins\neval\n.", r"asks for builtins\.eval"),
        ("data.pkl", b"\x80\x02}.", "holds a dict, not a module"),
        ("data.pkl", b"\x80\x02(", "no readable checkpoint"),
        ("data.pkl", b"", "no readable checkpoint"),
        ("data/0", b"1234567", "bytes instead of"),
    ],
)
def test_damaged_and_foreign_archives_are_refused_by_name(
    tmp_path: Path, member: str, content: bytes, told: str
) -> None:
    whole, spoilt = scripted(nn.Linear(3, 4), tmp_path / "whole.pt"), tmp_path / "spoilt.pt"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(spoilt, "w") as target:
        for info in source.infolist():
            own = info.filename.endswith(f"/{member}")
            target.writestr(info.filename, content if own else source.read(info))
    with pytest.raises(Refused, match=rf"spoilt\.pt.*{told}"):
        read_torchscript(spoilt)
