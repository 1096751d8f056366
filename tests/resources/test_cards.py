"""Embedded models come back from disk as they were saved, and say where they come from."""

import importlib.util
import json
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch

from resources.checkpoints import CHECKPOINTS
from resources.embedded.cards import (
    EMBEDDED_FOLDER,
    embedded_folder,
    load_embedded,
    read_card,
    save_embedded,
    training_command,
)

CARD: dict[str, Any] = {
    "data": "none",
    "command": "python -m nothing",
    "seconds": 1.0,
    "scores": {"recall": 0.5},
    "architecture": {"width": 3},
    "licence": "Apache-2.0",
}


def test_floats_come_back_as_float32_rounded_to_half_precision(tmp_path: Path) -> None:
    weight = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    save_embedded(tmp_path / "model", {"weight": weight}, CARD)
    state, _ = load_embedded(tmp_path / "model")
    assert state["weight"].dtype == torch.float32
    assert torch.equal(state["weight"], weight.half().float())


def test_integer_buffers_keep_type_and_value(tmp_path: Path) -> None:
    save_embedded(tmp_path, {"num_batches_tracked": torch.tensor(70_001)}, CARD)
    state, _ = load_embedded(tmp_path)
    assert state["num_batches_tracked"].dtype == torch.int64
    assert state["num_batches_tracked"].item() == 70_001


def test_tied_weights_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    head = torch.nn.Linear(64, 64)
    twins = torch.nn.ModuleList([head, head])
    save_embedded(tmp_path / "tied", twins.state_dict(), CARD)
    save_embedded(tmp_path / "single", head.state_dict(), CARD)
    assert read_card(tmp_path / "tied")["bytes"] == pytest.approx(read_card(tmp_path / "single")["bytes"], abs=16)
    state, card = load_embedded(tmp_path / "tied")
    assert card["aliases"] == {"1.weight": "0.weight", "1.bias": "0.bias"}
    assert state["1.weight"] is state["0.weight"]
    twins.load_state_dict(state)


def test_slices_of_one_memory_are_not_mistaken_for_each_other(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    save_embedded(tmp_path, {"all": base, "transposed": base.T, "row": base[0]}, CARD)
    state, _ = load_embedded(tmp_path)
    assert torch.equal(state["transposed"], base.T)
    assert torch.equal(state["row"], base[0])


def test_the_card_tells_origin_size_and_checksum(tmp_path: Path) -> None:
    save_embedded(tmp_path, {"weight": torch.ones(7)}, CARD)
    card = read_card(tmp_path)
    assert card["scores"] == {"recall": 0.5}
    assert card["parameters"] == 7
    assert card["bytes"] == (tmp_path / "weights.safetensors").stat().st_size
    assert len(card["sha256"]) == 64
    assert card["date"][:2] == "20"


@pytest.mark.parametrize("key", ["data", "command", "seconds", "scores", "architecture", "licence"])
def test_a_card_without_origin_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match=key):
        save_embedded(tmp_path, {}, {k: v for k, v in CARD.items() if k != key})


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    save_embedded(tmp_path, {"weight": torch.ones(7)}, CARD)
    data = bytearray((tmp_path / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="not the file its card describes"):
        load_embedded(tmp_path)


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scale holds values"):
        save_embedded(tmp_path, {"scale": torch.tensor([1e6])}, CARD)


def test_a_card_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps([1, 2]))
    with pytest.raises(ValueError, match="no JSON object"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in EMBEDDED_FOLDER.glob("*/card.json")), ids=attrgetter("name")
)
def test_cards_and_messages_name_training_scripts_that_are_there(folder: Path) -> None:
    commands = [*str(read_card(folder)["command"]).split(" && "), training_command(folder.name)]
    assert commands[-1] in CHECKPOINTS[f"embedded/{folder.name}"].source
    for command in commands:
        module = command.removeprefix("python -m ").split()[0]
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        assert '__name__ == "__main__"' in Path(spec.origin).read_text(encoding="utf-8"), module
    assert module in commands[-2], "the last run was by the script that messages name"


def test_an_unknown_model_is_named_with_its_training_script() -> None:
    with pytest.raises(ValueError, match=r"pretraining\.unicorn"):
        embedded_folder("unicorn")


def test_reading_a_card_needs_no_torch() -> None:
    program = "import sys, resources.embedded.cards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
