"""The victims of a few kills and of many."""

from pathlib import Path

import pytest

from tests.homes import copy_home, write_home
from tests.kills.victim import OFTEN, VICTIM, Victim, experiments
from tests.processes import warm_processes


@pytest.fixture(scope="module")
def victims(described: Path, chosen: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Victim]:
    """Number of kills -> what they hit."""
    few = copy_home(
        described,
        tmp_path_factory.mktemp("few"),
        experiments=experiments("little", epochs=1, batch=3, tris_batch=3, irnet_epochs=1, irnet_batch=2),
    )
    many = write_home(
        tmp_path_factory.mktemp("many"),
        datasets={"victim": VICTIM},
        experiments=experiments("victim", epochs=6, batch=8, tris_batch=12, irnet_epochs=4, irnet_batch=4),
    )
    candidates = {("candidate_masks",): chosen / "store", ("candidate_masks", "mask_choices"): chosen / "store"}
    prepared = {(): described / "store", **candidates}
    larger = Victim(context=warm_processes(), home=many, dataset="victim", prepared={})
    return {
        2: Victim(context=warm_processes(), home=few, dataset="little", prepared=prepared),
        1: larger,
        OFTEN: larger,
    }
