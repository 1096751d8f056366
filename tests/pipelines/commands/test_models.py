"""Fetching the models of a name, and telling what is there."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.refusal import Refused
from pipelines.cli import app
from pipelines.commands import models
from pipelines.commands.doctor import doctor_table
from pipelines.graph.load import models_of
from resources import fetching
from resources.checkpoints import CHECKPOINTS, examine
from resources.downloading import Download


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Download]:
    """What would be downloaded; the folder is empty."""
    asked: list[Download] = []
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(fetching, "download", lambda wanted, **_: asked.append(wanted))
    monkeypatch.setattr(fetching, "measured", lambda wanted: wanted)
    monkeypatch.setattr(fetching, "WORKERS", 1)
    return asked


def test_a_model_brings_what_its_loader_reads(fetched: list[Download], tmp_path: Path) -> None:
    models.get_models(["swint_ogc"], workers=1)
    assert [wanted.target.relative_to(tmp_path).as_posix() for wanted in fetched] == [
        "groundingdino_swint_ogc.pth",
        "bert-base-uncased/model.safetensors",
        "bert-base-uncased/config.json",
        "bert-base-uncased/vocab.txt",
    ]
    assert fetched[0].sha256 == CHECKPOINTS["swint_ogc"].files[0].sha256


def test_an_experiment_brings_what_its_stages_load(fetched: list[Download], tmp_path: Path) -> None:
    (tmp_path / "en_core_web_md").mkdir()
    for name in ("config.cfg", "meta.json"):
        (tmp_path / "en_core_web_md" / name).write_text("there")
    models.get_models([], experiment="full", workers=1)
    assert {wanted.target.name for wanted in fetched} == {
        "ViT-B-32.pt",
        "ViT-L-14-336px.pt",
        "groundingdino_swint_ogc.pth",
        "sam_vit_h_4b8939.pth",
        "swin_base_patch4_window12_384_22k.pth",
        "model.safetensors",
        "config.json",
        "vocab.txt",
    }
    fetched.clear()
    models.get_models([], experiment="base")
    assert fetched == []
    with pytest.raises(Refused, match="no experiment is called ful; did you mean full"):
        models.get_models([], experiment="ful")


def test_what_can_not_be_fetched_is_said_and_stops_nothing_else(
    fetched: list[Download], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refused, match="1 of 2 models did not come"):
        models.get_models(["de_core_news_sm", "vit_b"])
    assert "de_core_news_sm can not be fetched as files" in " ".join(capsys.readouterr().out.split())
    assert [wanted.target.name for wanted in fetched] == ["sam_vit_b_01ec64.pth"]
    with pytest.raises(Refused, match="unknown checkpoint 'vitb'"):
        models.get_models(["vit_b", "vitb"])
    assert len(fetched) == 1


def test_a_missing_model_names_the_command(tmp_path: Path) -> None:
    advice = {finding.name: finding.advice for finding in examine(tmp_path)}
    for checkpoint in CHECKPOINTS.values():
        if not checkpoint.embedded:
            assert (f"`wordmask models get {checkpoint.name}`" in advice[checkpoint.name]) == checkpoint.can_be_fetched


def test_a_model_is_verified_and_removed_with_what_lies_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    for name in ("RN50.pt", "RN50.pt.partial", "RN50.pt.lock"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "mine.json").write_text(json.dumps({}))
    _, broken = models.models_table()
    assert [line.split(":")[0] for line in broken] == ["RN50"]
    told = CliRunner().invoke(app, ["models", "remove", "RN50"])
    assert told.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]
    with pytest.raises(Refused, match="comes with the project"):
        models.remove_models(["embedded/detector"])


def test_without_names_only_what_is_there_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    table, broken = models.models_table(thorough=True)
    assert {str(cell) for cell in table.columns[4].cells} == {"embedded"}
    assert broken == []
    assert "missing" in {str(cell) for cell in models.models_table()[0].columns[4].cells}


def test_a_misspelt_model_is_met_with_what_was_meant() -> None:
    with pytest.raises(Refused, match="unknown checkpoint 'VIT-B-32'; did you mean ViT-B-32"):
        models.models_table(["VIT-B-32"])


def test_the_doctor_says_what_a_preset_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDMASK_CHECKPOINTS", str(tmp_path))
    table, _ = doctor_table(thorough=False)
    rows = dict(zip(*(map(str, table.columns[number].cells) for number in (0, 2)), strict=True))
    wanted = len(models_of("photo"))
    assert rows["experiment photo"] == f"0 of {wanted} models are here"
