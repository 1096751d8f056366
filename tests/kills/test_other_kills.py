"""SIGKILL in the middle of MERES and of TRIS's steps."""

from pathlib import Path

import pytest

from tests.kills.victim import OFTEN, TRIS_STAGES, Victim, compare

TRAINED = ("tris_response_model", "refined_labels", "tris_segmenter")
ROUGHLY = (
    ("refined_labels", 2),
    *(pytest.param(stage, 10, marks=pytest.mark.slow) for stage in (*TRAINED, "selected_responses")),
    pytest.param("response_maps", 1, marks=pytest.mark.slow),
)
"""Response maps are committed 256 at a time, and the larger world has few of those."""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [OFTEN])
def test_training_of_meres_survives_kills(victims: dict[int, Victim], tmp_path: Path, kills: int) -> None:
    compare(victims, tmp_path, "meres", kills=kills, before=())


@pytest.mark.parametrize(("stage", "kills"), ROUGHLY)
def test_tris_survives_kills(victims: dict[int, Victim], tmp_path: Path, stage: str, kills: int) -> None:
    compare(victims, tmp_path, stage, kills=kills, before=TRIS_STAGES[: TRIS_STAGES.index(stage)])
