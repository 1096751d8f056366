"""SIGKILL in the middle of candidate masks, ZSBootstrap and correction."""

from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.kills.victim import HOW_OFTEN, compare


@pytest.mark.parametrize("kills", HOW_OFTEN)
def test_candidate_masks_survive_kills(context: ForkServerContext, home: Path, tmp_path: Path, kills: int) -> None:
    compare(context, home, tmp_path, "candidate_masks", kills=kills, before=())


@pytest.mark.parametrize("kills", HOW_OFTEN)
def test_training_survives_kills(context: ForkServerContext, home: Path, tmp_path: Path, kills: int) -> None:
    before = ("candidate_masks", "mask_choices")
    compare(context, home, tmp_path, "zs_bootstrap", kills=kills, before=before)


@pytest.mark.parametrize("kills", HOW_OFTEN)
def test_correction_survives_kills(context: ForkServerContext, home: Path, tmp_path: Path, kills: int) -> None:
    before = ("candidate_masks", "mask_choices", "zs_bootstrap")
    compare(context, home, tmp_path, "corrected", kills=kills, before=before)
