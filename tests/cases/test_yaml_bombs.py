"""A file of settings that unfolds to too much, or is none, is refused in one line that names it, at once."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from assets.framework.knobs import Knobs
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.config.dataset_files import DatasetFile, read_datasets
from pipelines.config.experiment_files import ExperimentFile, read_experiments
from pipelines.config.paper_tables import TablesFile, paper_tables
from pipelines.config.plain_yaml import read_yaml
from pipelines.config.yaml_files import SHIPPED, read_files

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(8)
)
MERGES = "a: &a {x: 1}\n" + "".join(f"k{i}: &k{i} {{<<: [{','.join(['*a'] * 50)}], y: *a}}\n" for i in range(3000))
BOMBS: dict[str, tuple[bytes, str]] = {
    "laughs": (LAUGHS.encode(), "more than 100,000 values"),
    "merges": (MERGES.encode(), "more than 100,000 values"),
    "deep_list": (b"a: " + b"[" * 3000 + b"]" * 3000, "deeper than 50"),
    "deep_map": (b"".join(b" " * i + b"a:\n" for i in range(300)), "deeper than 50"),
    "deep_alias": (
        b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 99)),
        "deeper than 50",
    ),
    "open_only": (b"[" * 500_000, "deeper than 50"),
    "holds_itself": (b"a: &a [*a]", "stands inside"),
    "holds_itself_as_key": (b"&a {b: *a}", "stands inside"),
    "no_anchor": (b"a: *b", "stands inside of what it means, or for nothing"),
    "not_utf8": (b"description: \xff", "is no UTF-8"),
    "utf16": ("description: x".encode("utf-16"), "is UTF-16"),
    "huge_number": (b"extends: " + b"9" * 5000, "not what it claims"),
    "huge_hex": (b"extends: 0x" + b"f" * 5000, "more than 18 digits"),
    "huge_float": (b"a: .inf", "finite"),
    "no_number": (b"a: .nan", "finite"),
    "python": (b"a: !!python/object/apply:os.system [exit 3]", "python/object/apply:os.system' are not read"),
    "own_kind": (b"a: !mine x", "are not read"),
    "bytes": (b"a: !!binary aGk=", "are not read"),
    "no_switch": (b"a: !!bool maybe", "not what it claims"),
    "no_date": (b"a: 2020-99-01", "not what it claims"),
    "twice": (b"knobs: {a: 1, b: 2, 'a': 3}", "the key 'a' stands twice"),
    "list_as_key": (b"? [a]\n: b", "cannot be a key"),
    "two_documents": (b"a: 1\n---\nb: 2", "line 2"),
    "tab": (b"a:\n\t- b", "line 2, column 1"),
    "nul": (b'description: "a\\0b"', "a character that is none"),
    "long": (b"description: " + b"x" * (1 << 20), "1,048,589 bytes, more than"),
    "sixties": (b"extends: 1" + b":1" * 400_000, "line 1: 1:1:.* counts in sixties"),
    "directives": (b"".join(b"%%TAG !a%d! x\n" % i for i in range(30_000)) + b"--- x", "more than 100 directives"),
    "page": (b"<!DOCTYPE html>\n<html>", "page"),
}


@pytest.mark.parametrize("model", [ExperimentFile, DatasetFile, TablesFile])
@pytest.mark.parametrize("name", BOMBS)
def test_it_is_refused_in_one_line_that_names_the_file(tmp_path: Path, name: str, model: type[BaseModel]) -> None:
    content, told = BOMBS[name]
    (tmp_path / f"{name}.yaml").write_bytes(content)
    began = time.process_time()
    with pytest.raises(Refused, match=told) as refused:
        read_files([tmp_path], model)
    said = str(refused.value)
    assert time.process_time() - began < 2
    assert f"{name}.yaml" in said
    assert "\n" not in said
    assert len(said) < 500 + len(str(tmp_path))


def test_a_pipe_and_a_folder_are_no_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(Refused, match=r"pipe\.yaml is a named pipe"):
        read_files([tmp_path], ExperimentFile)
    (tmp_path / "pipe.yaml").unlink()
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(Refused, match=r"folder\.yaml is a folder"):
        read_files([tmp_path], ExperimentFile)


def test_aliases_merges_and_marks_of_byte_order_stay_welcome(tmp_path: Path) -> None:
    path = tmp_path / "fine.yaml"
    path.write_bytes(
        b"\xef\xbb\xbfa: &a {p: 1, q: [*x]}\n".replace(b"*x", b"2") + b"b: {<<: *a, p: 3}\nc: *a\nd: 2020-01-01\n"
    )
    read = read_yaml(path)
    assert (read["b"], read["c"]) == ({"p": 3, "q": [2]}, {"p": 1, "q": [2]})


def test_what_ships_is_read(tmp_path: Path) -> None:
    assert len(read_experiments([SHIPPED / "experiments"], STAGES)) == 131
    assert len(paper_tables()) == 24
    assert read_datasets([SHIPPED / "datasets"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"3", "valid dictionary"),
        (b"[]", "valid dictionary"),
        (b"false", "valid dictionary"),
        (b"{kinds: 3, tables: [{number: 1, title: t, rows: [{kind: x, label: l}]}]}", "no kind is called x"),
        (b"{kinds: {x: 3}, tables: [{number: 1, title: t, rows: [{kind: [x], label: l}]}]}", "no kind is called"),
        (b"{tables: [3]}", "tables.0"),
        (b"{tables: {a: 1}}", "tables"),
        (b"{tables: [{number: 1, title: t, rows: [3]}]}", r"tables\.0\.rows\.0"),
    ],
)
def test_tables_of_another_shape_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "tables.yaml").write_bytes(content)
    with pytest.raises(Refused, match=rf"tables\.yaml: .*{told}"):
        read_files([tmp_path], TablesFile)


NUMBERS = [
    (stage, name)
    for stage in STAGES
    for name, value in STAGES[stage].knobs().model_dump().items()
    if isinstance(value, int | float) and not isinstance(value, bool)
]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", -(10**17), 10**17, True, "x", None, [1]])
def test_every_number_has_its_bounds(value: Any) -> None:
    for stage, name in NUMBERS:
        nothing = value is None and type(None) in getattr(
            STAGES[stage].knobs.model_fields[name].annotation, "__args__", ()
        )
        if not nothing:
            with pytest.raises(ValueError, match=name):
                STAGES[stage].knobs.model_validate({name: value})


@pytest.mark.parametrize(
    ("stage", "knobs", "told"),
    [
        ("zs_bootstrap", "{epochs: 0}", "epochs: .*greater than or equal to 1 .*it is '0'"),
        ("zs_bootstrap", "{epochs: -3}", "epochs"),
        ("zs_bootstrap", "{epochs: yes}", "epochs is true, and a number is wanted"),
        ("zs_bootstrap", "{batch_size: 0}", "batch_size"),
        ("zs_bootstrap", "{learning_rate: -0.1}", "learning_rate"),
        ("zs_bootstrap", "{learning_rate: nan}", "learning_rate"),
        ("zs_bootstrap", "{clip_norm: no}", "clip_norm is false"),
        ("candidate_masks", "{box_threshold: 1.5}", "box_threshold"),
        ("refined_labels", "{foreground: 30}", "foreground"),
        ("tris_segmenter", "{laterals: [0, 1, 1, 1]}", r"laterals\.0"),
        ("tris_segmenter", "{laterals: [8, true, 8, 8]}", "laterals is true, and a number is wanted"),
        ("meres", "{looking_stages: [true, 2]}", "looking_stages is true, and a number is wanted"),
        ("meres", "{looking_stages: []}", "looking_stages: .*at least 1 item"),
        ("projected_classes", "{labels: []}", "labels.*at least 1 item"),
    ],
)
def test_numbers_beyond_their_bounds_are_refused_by_name(tmp_path: Path, stage: str, knobs: str, told: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"knobs: {{{stage}: {knobs}}}")
    with pytest.raises(Refused, match=rf"mine\.yaml: stage {stage}: .*{told}") as refused:
        read_experiments([tmp_path], STAGES).named("mine")
    assert "\n" not in str(refused.value)


def test_numbers_written_as_texts_and_powers_of_ten_stay_welcome() -> None:
    knobs: Knobs = STAGES["zs_bootstrap"].knobs.model_validate(
        {"learning_rate": "1e-3", "epochs": 3.0, "clip_norm": None}
    )
    assert knobs.recipe()["learning_rate"] == 0.001
    assert knobs.recipe()["epochs"] == 3


@pytest.mark.parametrize("written", ["1:30", "-1:30.5", "010", "!!int '010'", "+0_7"])
def test_a_number_that_yaml_counts_in_another_way_than_people_is_none(tmp_path: Path, written: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"# a file\nepochs: {written}\n")
    with pytest.raises(Refused, match=r"mine\.yaml: line 2: .* counts in (sixties|eights)"):
        read_yaml(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [("'1:30'", "1:30"), ("0", 0), ("-0", 0), ("0.5", 0.5), ("0x1f", 31), ("1_000", 1000), ("08", "08")],
)
def test_what_is_one_number_to_both_stays_welcome(tmp_path: Path, written: str, value: object) -> None:
    (tmp_path / "mine.yaml").write_text(f"a: {written}")
    assert read_yaml(tmp_path / "mine.yaml") == {"a": value}
