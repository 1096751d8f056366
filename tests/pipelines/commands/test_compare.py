"""Comparisons of what a home holds: experiments that share stages, lack some, or have no ground truth."""

import csv
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from assets.framework.asset_factory import run_stage
from ops.refusal import Refused
from pipelines.cli import app
from pipelines.commands.compare import compare, compare_on
from pipelines.commands.gallery import gallery
from pipelines.commands.report import report_table, summary_of
from pipelines.config.dataset_files import ask_for
from pipelines.graph.load import identify, load_plan, read_plan
from pipelines.graph.page_assets import ends, page_assets
from resources.runtime import Runtime
from resources.store import open_store
from tests.assets.reports.gallery.test_writing import said
from tests.homes import CHOSEN, copy_home, finish

TRY = "{extends: correct, datasets: [little], targets: [choice_scores]}"
BLURRED = "{extends: correct, datasets: [little], targets: [mask_choices], knobs: {mask_choices: {sigma: 3}}}"
TRAINED = "{extends: correct, datasets: [little], targets: [zs_bootstrap]}"
FILES = {"try": TRY, "blurred": BLURRED, "with_training_2": TRAINED}


@pytest.fixture(autouse=True)
def real_weights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finished homes name their weights as they are."""
    monkeypatch.setattr("pipelines.graph.load.identify", identify)


@pytest.fixture(scope="module")
def two_choices(chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = copy_home(chosen, tmp_path_factory.mktemp("compare") / "home", experiments=FILES)
    finish(home, stages=(*CHOSEN, "choice_scores"))
    return home


@pytest.fixture
def compared(two_choices: Path, home: Path) -> Path:
    shutil.copytree(two_choices, home)
    return home


def told(experiments: Sequence[str], to: Sequence[Path] = ()) -> str:
    return shown(compare("little", experiments, to))


def shown(what: RenderableType) -> str:
    console = Console(width=250)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def test_two_choices_have_the_figures_of_their_report_and_the_knob_that_parts_them(
    compared: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "table.csv"
    said_there = told(["try", "blurred"], [out])
    assert re.search(r"mask_choices\.sigma +│ \S+ +│ 3\.0", said_there)
    page = compared / "comparison" / "little" / "try_and_blurred" / "index.html"
    assert f"The page with the masks that differ most: {page}" in said_there
    assert page.exists()
    with out.open(newline="") as file:
        rows = {(row["split"], row["experiment"], row["measure"]): row for row in csv.DictReader(file)}
    scored = open_store().resolve(read_plan().of("little", "try")[-1].key)
    for (split, method), figures in summary_of({"choice_scores": scored}).items():
        if method == "S+S":
            found = tuple(float(rows[split, "try", measure]["value"]) for measure in ("oIoU", "mIoU"))
            assert found == pytest.approx(figures)
    assert f"Compared with others: {page}" in shown(report_table("little", "try"))


def test_a_stage_that_one_lacks_is_told_and_the_rest_is_compared(compared: Path) -> None:
    said_there = told(["try", "with_training_2"])
    assert "with_training_2: zs_bootstrap not ready; `wordmask run -d little -e with_training_2`" in said_there
    assert "choice (S2), val: " in said_there
    assert re.search(r"zs_bootstrap +│ - +│ in use", said_there)
    assert "100.0 / 0.0 %" in said_there


def test_gallery_report_and_comparison_lead_to_each_other(compared: Path) -> None:
    links = compared / "gallery" / "little" / "data" / "links.js"
    gallery("little", None, show=False)
    assert said(links) == []
    page = compare_on("little", ["try", "blurred"]).written.page
    assert '<a href="../../../gallery/little/index.html">Gallery of little</a>' in page.read_text()
    ((text, href),) = said(links)
    assert text == "Comparison of try and blurred"
    assert (links.parent.parent / href).resolve() == page.resolve()
    before = links.read_bytes()
    gallery("little", None, show=False)
    assert links.read_bytes() == before


def test_one_experiment_is_compared_with_all_others_and_none_means_all(compared: Path) -> None:
    assert compare_on("little", ["blurred"]).measured.comparison.experiments == ("blurred", "try", "with_training_2")
    assert set(compare_on("little", []).measured.comparison.experiments) == {"try", "blurred", "with_training_2"}


@pytest.mark.parametrize(
    ("experiments", "to", "message"),
    [
        (["try", "blured"], [], "did you mean blurred"),
        (["try", "b|&<d>"], [], "no experiment is called"),
        (["try", "try"], [], "not with itself"),
        (["try", "blurred"], ["table.xls"], "table.xls says not what to write; end it in .csv, .md, .tex"),
        (["try", "blurred"], ["one", "two"], "one folder, not one and two"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    compared: Path, experiments: list[str], to: list[str], message: str
) -> None:
    with pytest.raises(Refused, match=re.escape(message)):
        compare("little", experiments, [Path(one) for one in to])
    assert not (compared / "comparison").exists()


def test_before_two_have_masks_the_command_that_runs_one_is_told(home: Path, tmp_path: Path) -> None:
    copy_home(tmp_path, home, experiments={})
    with pytest.raises(Refused, match="wordmask run -d toyref -e"):
        compare("toyref", [], [])
    with pytest.raises(Refused, match=r"base: dataset_index, .* not ready; `wordmask run -d toyref -e base`"):
        compare("toyref", ["base", "correct"], [])


def test_the_command_writes_what_endings_ask_for(compared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["compare", "try", "blurred", "-d", "little", "--to", str(out / "page")]
    words += [word for ending in ("csv", "md", "tex") for word in ("--to", str(out / f"t.{ending}"))]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert (out / "page" / "try_and_blurred" / "index.html").exists()
    assert r"\begin{tabular}" in (out / "t.tex").read_text()
    assert "| experiment | train oIoU" in (out / "t.md").read_text()
    assert not (compared / "comparison").exists()


def test_without_ground_truth_and_with_training_images_alone_there_is_a_comparison(
    home: Path, pictures: Callable[[Sequence[str]], Path]
) -> None:
    folder = pictures(["image,expression", "a.png,the red one", "b.png,it", "b.png,the blue one"])
    result = CliRunner().invoke(app, ["add", str(folder), "--name", "mine"])
    assert result.exit_code == 0, result.output
    ask_for("mine", ["base", "random_choice"])
    for instance in load_plan():
        if instance.dataset == "mine" and instance.stage.name in CHOSEN:
            run_stage(instance, open_store(), Runtime(threads=1), lambda _: None)
    done = compare_on("mine", ["base", "random_choice"])
    assert [(block.split, block.expressions) for block in done.measured.blocks] == [("train", 3)]
    names = {measure.name for measure in done.measured.blocks[0].measures}
    assert names >= {"no mask", "IoU with base", "no candidate"}
    assert "mIoU" not in names
    assert "There is no ground truth to compare with" in done.written.page.read_text()


def test_the_asset_writes_the_page_and_links_to_it(compared: Path) -> None:
    instances = [one for one in read_plan().instances if one.dataset == "little"]
    gallery, asset = page_assets(instances)
    assert {tuple(key.path) for key in asset.dependency_keys} == set(ends(instances))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [gallery, asset],
            instance=instance,
            run_config={"ops": {"little__comparison": {"config": {"experiments": ["try", "blurred"]}}}},
        )
        (made,) = result.asset_materializations_for_node("little__comparison")
        (drawn,) = result.asset_materializations_for_node("little__gallery")
    page = compared / "comparison" / "little" / "try_and_blurred" / "index.html"
    assert made.metadata["page"].value == "/comparison/little/try_and_blurred/index.html"
    assert drawn.metadata["page"].value == "/gallery/little/index.html"
    assert (compared / "gallery" / "little" / "index.html").exists()
    assert page.exists()
    assert "| experiment | train oIoU" in str(made.metadata["table"].value)
