"""The main job over real photographs and real sentences: it ends, and every reference is accounted for."""

from pathlib import Path

import pytest

from assets.framework.asset_factory import run_stage
from pipelines.graph.load import load_plan
from resources.runtime import Runtime
from storage.artifact import Artifact, Store
from tests.paths import SHARED

DATA = SHARED / "data" / "refer_mini"
SETS = {
    "refcoco": ("refcoco", "unc", "testA, testB"),
    "refcoco_plus": ("refcoco+", "unc", "testA, testB"),
    "refcocog_umd": ("refcocog", "umd", "test"),
    "refcocog_google": ("refcocog", "google", "val"),
}
EACH = [
    "refcoco",
    "refcocog_umd",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("refcoco_plus", "refcocog_google")),
]
"""One of each way of splitting; the others read the same images again."""
EXPERIMENT = "extends: base\nknobs: {zs_bootstrap: {epochs: 1, batch_size: 8}, report: {examples: 1}}\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent: real photographs are not part of the project")
    folder = tmp_path_factory.mktemp("home")
    (folder / "experiments").mkdir()
    (folder / "experiments" / "short.yaml").write_text(EXPERIMENT)
    (folder / "datasets").mkdir()
    for dataset, (name, split_by, evaluate) in SETS.items():
        (folder / "datasets" / f"{dataset}.yaml").write_text(
            f"kind: refer\nroot: {DATA}\nname: {name}\nsplit_by: {split_by}\n"
            f"train: [val]\nevaluate: [{evaluate}]\nexperiments: [short]\n"
        )
    return folder


@pytest.mark.parametrize("dataset", EACH)
def test_every_reference_of_a_real_set_is_accounted_for(
    home: Path, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDMASK_HOME", str(home))
    monkeypatch.setattr("assets.reports.previews.SHOWN", 1)  # more photographs take seconds to fit into a preview
    monkeypatch.setattr("assets.reports.html.PREVIEWED", 0)
    store = Store(home / "store")
    planned = [one for one in load_plan() if one.dataset == dataset]
    made = {one.stage.name: run_stage(one, store, Runtime(), lambda _: None) for one in planned}

    references = made["references"]
    refs = set(references.table("expressions")["ref_id"].to_pylist())
    lost = set(references.table("quarantine")["ref_id"].to_pylist())
    decided = {row["ref_id"]: row for row in made["mask_choices"].table("choices").to_pylist()}
    assert refs | lost == refs_in_the_file(made["dataset_index"], refs | lost)
    assert refs - set(decided) == set(), "a reference has neither a mask nor a reason"
    assert all(row["rle"] is not None or row["reason"] in ("no candidate", "all too small") for row in decided.values())

    scored = {
        row["sent_id"] for row in references.table("expressions").to_pylist() if row["split"] in evaluated(dataset)
    }
    assert set(made["predictions"].table("masks")["sent_id"].to_pylist()) == scored
    page = made["report"].file("report.html").read_text()
    assert "on photographs they mean little" in page


def refs_in_the_file(index: Artifact, seen: set[int]) -> set[int]:
    """The references that the index counted; only their number is known there."""
    counted = sum(row["objects"] for row in index.table("splits").to_pylist())
    assert counted == len(seen)
    return seen


def evaluated(dataset: str) -> set[str]:
    return {split.strip() for split in SETS[dataset][2].split(",")}
