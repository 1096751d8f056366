"""Every stage's code is recorded beside its version, so that a change cannot pass unnoticed.

After a change: raise the stage's version in the `stages.py` of its folder if equal knobs and inputs now give another
result; then, in either case, record with `python -m tests.pipelines.test_versions --record`.
"""

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from assets.stages import STAGES
from tests.pipelines.sources import code_of, normalised, reached

FILE = Path(__file__).with_name("stage_sources.json")
RECORD = "python -m tests.pipelines.test_versions --record"


def current(name: str) -> dict[str, Any]:
    return {"version": STAGES[name].version, "code": code_of(STAGES[name])}


def complaint(name: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What to do about a stage whose code or version is not the recorded one."""
    if saved == now:
        return None
    before, after = saved.get("code", {}), now["code"]
    changed = sorted(module for module in {*before, *after} if before.get(module) != after.get(module))
    where = f"stage {name}: code changed in {', '.join(changed)}" if changed else f"stage {name}: another version"
    if changed and saved.get("version") == now["version"]:
        return (
            f"{where}, but its version is still {now['version']}. If the same knobs and inputs now give another "
            f"result, raise the version where the stage is declared. Then run `{RECORD}`."
        )
    return f"{where}; run `{RECORD}`."


@pytest.mark.parametrize("name", STAGES)
def test_code_and_version_of_a_stage_are_the_recorded_ones(name: str) -> None:
    saved = json.loads(FILE.read_text())
    message = complaint(name, saved.get(name, {}), current(name))
    assert message is None, message


def test_the_record_names_no_stage_that_is_gone() -> None:
    assert set(json.loads(FILE.read_text())) == set(STAGES)


# the recording itself


def test_a_stage_is_made_by_its_own_module_and_by_the_ops_behind_it() -> None:
    modules = set(code_of(STAGES["mask_choices"]))
    assert modules >= {
        "assets.ssc.mask_choices",
        "assets.data.tables",
        "ops.ssc.mask_selection",
        "ops.images",
        "resources.models.clip",
    }
    assert not modules & {"assets.reports.previews", "ops.visualisation", "ops.segmenters.lavt", "resources.runtime"}


def test_the_first_stages_are_made_by_the_readers_of_every_layout() -> None:
    modules = set(code_of(STAGES["references"]))
    assert modules >= {f"resources.datasets.{name}" for name in ("refer", "referit", "folder", "reading", "images")}


def test_a_function_that_nobody_calls_is_not_part_of_a_stage() -> None:
    found = reached(("assets.ssc.corrected_labels", "corrected_labels"))
    assert ("ops.ssc.matching", "match") in found
    assert ("assets.ssc.tables", "nouns_of") not in found


def tree(code: str) -> str:
    return normalised(ast.parse(dedent(code)).body[0])


def test_comments_docstrings_formatting_and_annotations_do_not_count() -> None:
    plain = "def area(w, h):\n    return w*h"
    dressed = '''
        def area(w: int, h: int) -> int:
            """Pixels."""
            # both sides count
            return (w
                    * h)
    '''
    assert tree(plain) == tree(dressed)


def test_a_changed_number_counts() -> None:
    assert tree("def area(w):\n    return w * 2") != tree("def area(w):\n    return w * 3")


def test_the_description_of_a_column_does_not_count_but_its_type_does() -> None:
    assert tree('A = column("a", int, "one")') == tree('A = column("a", int, "two")')
    assert tree('A = column("a", int, "one")') != tree('A = column("a", str, "one")')


def test_a_changed_stage_is_told_what_to_do() -> None:
    saved = {"version": 1, "code": {"ops.x": "a"}}
    assert complaint("x", saved, saved) is None
    unraised = complaint("x", saved, {"version": 1, "code": {"ops.x": "b"}})
    raised = complaint("x", saved, {"version": 2, "code": {"ops.x": "b"}})
    assert unraised is not None
    assert raised is not None
    assert "ops.x" in unraised
    assert "raise the version" in unraised
    assert "raise the version" not in raised
    assert RECORD in raised


if __name__ == "__main__" and sys.argv[1:] == ["--record"]:
    FILE.write_text(json.dumps({name: current(name) for name in STAGES}, indent=2, sort_keys=True) + "\n")
    sys.stdout.write(f"recorded {len(STAGES)} stages in {FILE}\n")
