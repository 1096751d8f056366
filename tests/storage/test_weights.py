import errno
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from storage.files import StoreError
from storage.weights import latest_checkpoint, load_checkpoint, load_weights, save_checkpoint, save_weights
from tests.paths import ROOT


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(6, 4, generator=generator)
    return {
        "matrix": matrix,
        "tied": matrix,
        "view": matrix.T[1:],
        "half": matrix.to(torch.bfloat16),
        "steps": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }


def training(step: int) -> dict[str, object]:
    moments = {"step": torch.tensor(float(step)), "exp_avg": torch.randn(4, 3)}
    group = {"lr": 5e-5, "betas": (0.9, 0.999), "params": [0], "foreach": None}
    return {
        "model": {"weight": torch.randn(4, 3)},
        "optimiser": {"state": {0: moments}, "param_groups": [group]},
        "step": step,
        "history": [{"loss": 0.5}],
        "random": torch.get_rng_state(),
    }


def save(folder: Path, step: int) -> Path:
    save_checkpoint(folder, training(step))
    return folder / f"{step:08d}.pt"


def test_weights_and_card_come_back(tmp_path: Path) -> None:
    path = tmp_path / "model/weights.safetensors"
    save_weights(path, state(), {"licence": "Apache-2.0", "scores": {"oIoU": 0.5}})
    tensors, card = load_weights(path)
    assert card == {"licence": "Apache-2.0", "scores": {"oIoU": 0.5}}
    assert tensors.keys() == state().keys()
    for name, tensor in state().items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_equal_weights_give_equal_bytes_whatever_their_order(tmp_path: Path) -> None:
    save_weights(tmp_path / "a.safetensors", state(), {"b": 1, "a": 2})
    save_weights(tmp_path / "b.safetensors", dict(reversed(state().items())), {"a": 2, "b": 1})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_damaged_missing_or_swapped_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(StoreError, match="missing or damaged"):
        load_weights(path)
    save_weights(path, state(0), {})
    card = path.with_suffix(".json").read_bytes()
    save_weights(path, state(1), {})
    path.with_suffix(".json").write_bytes(card)
    with pytest.raises(StoreError, match="not the file that its card describes"):
        load_weights(path)
    path.with_suffix(".json").write_bytes(b"[]")
    with pytest.raises(StoreError, match="missing or damaged"):
        load_weights(path)


def test_a_training_state_comes_back_and_only_two_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert latest_checkpoint(folder) is None
    for step in range(12):
        save(folder, step)
    assert [path.name for path in sorted(folder.iterdir())] == ["00000010.pt", "00000011.pt"]
    found = latest_checkpoint(folder)
    assert found is not None
    assert found["step"] == 11
    assert found["optimiser"]["param_groups"][0]["betas"] == (0.9, 0.999)
    assert set(found) == set(training(0))


def test_a_checkpoint_that_a_later_one_would_hide_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 10)
    with pytest.raises(ValueError, match="later checkpoint than step 9"):
        save(tmp_path, 9)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2  # the random state, which no loader has reason to doubt
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def zero(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, flip, zero])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    newest.write_bytes(damage(newest.read_bytes()))
    lines: list[str] = []
    found = latest_checkpoint(tmp_path, log=lines.append)
    assert found is not None
    assert found["step"] == 1
    assert newest.name in lines[0]
    save(tmp_path, 3)
    assert len(list(tmp_path.glob("*.pt"))) == 2
    assert (tmp_path / f"{newest.name}.damaged").exists()


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code of a checkpoint ran')",))


def test_a_checkpoint_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    torch.save({"step": Trap()}, tmp_path / "zip.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"step": Trap()}))
    for name in ("zip.pt", "pickle.pt", "absent.pt"):
        with pytest.raises(StoreError, match=f"{name} cannot be read as a checkpoint"):
            load_checkpoint(tmp_path / name)


def test_a_full_disk_keeps_the_earlier_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        save(tmp_path, step)

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("storage.files.os.fsync", refuse)
        with pytest.raises(StoreError, match="free space"):
            save(tmp_path, 3)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found["step"] == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_half_written_checkpoints_are_swept_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "00000004.pt.17.writing").write_bytes(b"PK")
    save(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["00000005.pt"]


def test_storage_loads_neither_torch_nor_dagster() -> None:
    modules = [f"storage.{path.stem}" for path in (ROOT / "storage").glob("[!_]*.py")]
    program = f"import sys, {', '.join(modules)}; sys.exit(sorted({{'torch', 'dagster'}} & set(sys.modules)) or 0)"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
