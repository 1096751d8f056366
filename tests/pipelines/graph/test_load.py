"""The instances of an experiment, whole or up to a stage."""

from pathlib import Path
from typing import Any

import pytest

from ops.refusal import Refused
from pipelines.graph.load import in_use, leading_to
from tests.pipelines.planning import planned


def test_an_experiment_uses_shared_stages_and_its_own(tmp_path: Path) -> None:
    files: dict[str, dict[str, Any]] = {
        "base": {"targets": ["choice_scores"]},
        "blur": {"extends": "base", "knobs": {"mask_choices": {"sigma": 5.0}}},
    }
    instances = list(planned(tmp_path, files).values())
    used = {instance.key[-1]: instance.experiment for instance in in_use(instances, "set", "blur")}
    assert used["candidate_masks"] == "base"
    assert used["mask_choices"] == "blur"
    assert not in_use(instances, "elsewhere", "blur")


def test_a_run_may_end_in_a_stage_with_what_it_needs(tmp_path: Path) -> None:
    instances = list(planned(tmp_path / "files", {"base": {"targets": ["projected_classes"]}}).values())
    names = [instance.stage.name for instance in leading_to("noun_phrases", instances)]
    assert names == ["dataset_index", "references", "noun_phrases"]
    assert leading_to(None, instances) == instances
    with pytest.raises(Refused, match="there is no stage here that is called report"):
        leading_to("report", instances)
    with pytest.raises(Refused, match="no stage is called noun_phrase; did you mean noun_phrases"):
        leading_to("noun_phrase", instances)
