"""SIGKILL in the middle of MERES and of TRIS's steps."""

from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.kills.victim import HOW_OFTEN, TRIS_STAGES, compare


@pytest.mark.parametrize("kills", HOW_OFTEN)
def test_training_of_meres_survives_kills(context: ForkServerContext, home: Path, tmp_path: Path, kills: int) -> None:
    compare(context, home, tmp_path, "meres", kills=kills, before=())


@pytest.mark.parametrize("kills", HOW_OFTEN)
@pytest.mark.parametrize("stage", ["tris_response_model", "refined_labels", "tris_segmenter"])
def test_tris_survives_kills(context: ForkServerContext, home: Path, tmp_path: Path, stage: str, kills: int) -> None:
    compare(context, home, tmp_path, stage, kills=kills, before=TRIS_STAGES[: TRIS_STAGES.index(stage)])
