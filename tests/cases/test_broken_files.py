"""One broken file of an experiment or a data set is left out with its error; all others load."""

import io
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from ops.refusal import Refused
from pipelines.commands.doctor import doctor_table
from pipelines.commands.status import status_table
from pipelines.config.dataset_files import ask_for, write_dataset
from pipelines.graph.build import build_defs
from pipelines.graph.load import load_plan, planned, read_plan
from pipelines.graph.maintenance import NewExperiment, register

SOUND = {"base", "correct", "tris", "meres"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("WORDMASK_HOME", str(folder))
    (folder / "experiments").mkdir(parents=True)
    (folder / "datasets").mkdir()
    return folder


def wanted() -> set[str]:
    return {name for instance in load_plan() if instance.dataset == "toyref" for name in instance.used_by}


TOYREF = "datasets: [toyref]\nextends: base\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("knobs: {", "odd.yaml is no YAML: line 2, column 1"),
        ("- a list", "odd.yaml: Input should be a valid dictionary"),
        ("extends: \x00", "odd.yaml: "),
        ("extends: basse", "its parent does not exist: no experiment is called basse; did you mean base"),
        ("extends: odd", "it extends odd"),
        ("extend: base", "no key is called extend; did you mean extends? keys: extends, description"),
        (
            f"{TOYREF}targets: [report, noun_phrase]",
            "no stage is called noun_phrase; did you mean noun_phrases? stages: ",
        ),
        (
            f"{TOYREF}knobs: {{zs_bootstrp: {{}}}}",
            "no stage is called zs_bootstrp; did you mean zs_bootstrap? stages: ",
        ),
        (
            f"{TOYREF}knobs: {{noun_phrases: {{ruel: nltk}}}}",
            "stage noun_phrases: no knob is called ruel; did you mean rule? knobs of noun_phrases: parser, rule",
        ),
        (
            f"{TOYREF}knobs: {{noun_phrases: {{rule: nlkt}}}}",
            "rule: Input should be 'spacy', 'nltk' or 'chunk' (it is 'nlkt')",
        ),
        (
            f"{TOYREF}knobs: {{noun_phrases: {{parser: en_core_web_xl}}}}",
            "no model is called en_core_web_xl; did you mean en_core_web_",
        ),
        ("extends: base\ndatasets: [toyreff]", "it names the data set toyreff; did you mean toyref?"),
    ],
)
def test_a_broken_experiment_is_told_everywhere_and_takes_nothing_with_it(home: Path, text: str, told: str) -> None:
    (home / "experiments" / "odd.yaml").write_text(text)
    (home / "experiments" / "good.yaml").write_text(TOYREF)
    assert wanted() == SOUND | {"good"}
    assert [told in str(file) for file in read_plan().left_out] == [True]
    for refused in (lambda: planned("toyref", "odd"), lambda: ask_for("toyref", ["odd"])):
        with pytest.raises(Refused) as refusal:
            refused()
        assert told in str(refusal.value)
    assert ask_for("toyref", ["red_ellipse"]) == ["red_ellipse"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: folder\nroot: x\nroots: y", "no key is called roots; did you mean root?"),
        ("kind: foldr", "kind: Input should be 'refer', 'referit', 'folder' or 'toyref' (it is 'foldr')"),
        ("root: x", "kind: Field required"),
        ("kind: toyref\nexperiments: [basse]", "it names the experiment basse; did you mean base?"),
        ("kind: toyref\ntoy: {style: toyrf}", "toy.style: "),
        ("kind: toyref\ntoy: {stile: toyref}", "no key is called stile; did you mean style? keys of toy: style, size"),
        ("kind: toyref\ntoy: {seed: true}", "seed is true, and a number is wanted"),
        ("kind: toyref\ntoy: {<<: {seed: no}}", "seed is false, and a number is wanted"),
        ("kind: folder\nroot: .\ntoy: {}", "toy draws a world of the kind toyref, the kind is folder"),
        ("kind: refer", "root is lacking; name the folder"),
        ("kind: folder\nroot: around/x", "around/x leads nowhere"),
    ],
)
def test_a_broken_data_set_is_told_and_takes_nothing_with_it(home: Path, text: str, told: str) -> None:
    (home / "datasets" / "around").symlink_to("around")
    (home / "datasets" / "odd.yaml").write_text(text)
    assert wanted() == SOUND
    with pytest.raises(Refused) as refusal:
        planned("odd", "base")
    assert told in str(refusal.value)
    with pytest.raises(Refused, match=r"odd\.yaml"):
        ask_for("odd", ["base"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda home: (home / "experiments" / "odd.yml").write_text(TOYREF),
        lambda home: (home / "experiments" / "odd.yaml").mkdir(),
        lambda home: (home / "experiments" / "odd.yaml").symlink_to("nowhere"),
        lambda home: (home / "experiments" / "odd.yaml").write_bytes(b"extends: \xff"),
        lambda home: (home / "experiments" / "base.yaml").write_text(TOYREF),
        lambda home: (home / "experiments" / "BASE.yaml").write_text(TOYREF),
        lambda home: (home / "experiments" / "my blur.yaml").write_text(TOYREF),
        lambda home: (home / "datasets" / "Toyref.yaml").write_text("kind: toyref"),
        lambda home: (home / "asked.yaml").write_text("toyref: 3"),
        lambda home: (home / "asked.yaml").write_bytes(b"\xff"),
    ],
)
def test_whatever_is_wrong_with_a_file_the_others_load(home: Path, spoil: Callable[[Path], object]) -> None:
    spoil(home)
    assert wanted() == SOUND
    assert len(read_plan().left_out) == 1


def test_what_extends_a_broken_experiment_is_left_out_with_it(home: Path) -> None:
    for name, parent in (("a_child", "odd"), ("a_grandchild", "a_child"), ("aunt", "base")):
        (home / "experiments" / f"{name}.yaml").write_text(f"extends: {parent}\ndatasets: [toyref]\n")
    (home / "experiments" / "odd.yaml").write_text("extends: base\nknobs: 3\n")
    assert wanted() == SOUND | {"aunt"}
    assert {file.path.stem for file in read_plan().left_out} == {"odd", "a_child", "a_grandchild"}
    with pytest.raises(Refused, match="it extends odd, which is left out"):
        planned("toyref", "a_child")


def test_a_data_set_that_is_left_out_costs_an_experiment_only_that_pair(home: Path) -> None:
    (home / "datasets" / "odd.yaml").write_text("kind: foldr")
    (home / "experiments" / "mine.yaml").write_text("extends: base\ndatasets: [odd, toyref]\n")
    assert "mine" in wanted()
    assert [file.path.stem for file in read_plan().left_out] == ["odd"]


def test_status_and_doctor_show_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "experiments" / "odd.yaml").write_text("extends: basse")
    monkeypatch.setattr("pipelines.commands.doctor.diagnose", lambda **_: [])
    table, healthy = doctor_table(thorough=False)
    assert not healthy
    console = Console(width=400, file=io.StringIO(), record=True)
    console.print(table, status_table("toyref", "base"))
    assert console.export_text().count("no experiment is called basse; did you mean base?") == 2


def test_the_graph_shows_it_as_an_asset_with_the_error_for_its_description(home: Path) -> None:
    text = "extends: base\nknobs: {noun_phrases: {rule: '`</code> **bold** ![x](http://y) \\e[31m'}}"
    (home / "experiments" / "odd.yaml").write_text(text.replace("'`", '"`').replace("m'", 'm"'))
    defs = build_defs()
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    (shown,) = [graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).group_name == "left_out"]
    assert not shown.is_materializable
    first, *_, fence, _, _ = (shown.description or "").split("\n")
    assert first == "```text"
    assert fence == "```"
    assert "\x1b" not in (shown.description or "")
    assert "stage noun_phrases: rule: Input should be" in (shown.description or "")
    made = {tuple(key.path) for key in graph.materializable_asset_keys}
    stages = {key for key in made if key[0] != "pretraining" and key[-1] not in ("gallery", "comparison")}
    assert stages == {one.key for one in load_plan()}


def test_experiments_and_data_sets_can_be_added_beside_a_broken_one(home: Path, tmp_path: Path) -> None:
    (home / "experiments" / "odd.yaml").write_text("extends: basse")
    (home / "datasets" / "odd.yaml").write_text("kind: foldr")
    path = register(NewExperiment(name="mine", extends="base", knobs={"mask_choices": {"sigma": 0.15}}))
    assert path.is_file()
    with pytest.raises(Refused, match=r"odd\.yaml"):
        register(NewExperiment(name="odd", extends="base"))
    with pytest.raises(
        Refused, match="experiment other: stage mask_choices: no knob is called sigmma; did you mean sigma"
    ):
        register(NewExperiment(name="other", extends="base", knobs={"mask_choices": {"sigmma": 0.15}}))
    with pytest.raises(Refused, match=r"odd\.yaml"):
        write_dataset("odd", folder=tmp_path, manifest=None, experiment="base")
