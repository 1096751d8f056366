"""SIGKILL in the middle of candidate masks, ZSBootstrap, correction and the report."""

from pathlib import Path

import pytest

from tests.kills.victim import HOW_OFTEN, OFTEN, SCORED, Victim, compare


@pytest.mark.parametrize("kills", HOW_OFTEN)
def test_candidate_masks_survive_kills(victims: dict[int, Victim], tmp_path: Path, kills: int) -> None:
    compare(victims, tmp_path, "candidate_masks", kills=kills, before=())


@pytest.mark.parametrize("kills", HOW_OFTEN)
def test_training_survives_kills(victims: dict[int, Victim], tmp_path: Path, kills: int) -> None:
    before = ("candidate_masks", "mask_choices")
    compare(victims, tmp_path, "zs_bootstrap", kills=kills, before=before)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [OFTEN])
def test_correction_survives_kills(victims: dict[int, Victim], tmp_path: Path, kills: int) -> None:
    before = ("candidate_masks", "mask_choices", "zs_bootstrap")
    compare(victims, tmp_path, "corrected", kills=kills, before=before)


@pytest.mark.slow
def test_a_report_survives_kills(victims: dict[int, Victim], tmp_path: Path) -> None:
    before = ("candidate_masks", "mask_choices", "zs_bootstrap", *SCORED)
    small = {OFTEN: victims[2]}
    compare(small, tmp_path, "report", kills=OFTEN, before=before, blindly=True)
