"""Two processes that train a step of TRIS together end where one with the whole batch does.

Networks compute in float64, where no noise of rounding can turn the sign of a gradient, which is all that Adam's first
steps look at.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed

from ops.images import normalise
from ops.training.distributed import ALONE, ProcessGroup
from ops.training.train_state import State
from ops.tris.training import train_response, train_segmenter
from tests.ops.tris.training_data import PLAN, WEIGHTS, calibration_of, response_model, segmenter, some_data
from tests.ranks import in_two_processes, meet

ALL: dict[str, Any] = {"weights": WEIGHTS, "exclude": True, "negatives": None}
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "response": (5, 1, ALL),
    "resumed response": (5, 1, ALL),
    "response, all negatives": (5, 1, ALL | {"exclude": False}),
    "response, two negatives, blocks computed twice": (5, 2, ALL | {"negatives": 2}),
    "response, no calibration": (5, 1, ALL | {"weights": WEIGHTS.uncalibrated}),
    "response, last batches of one object": (3, 1, ALL),
    "segmenter": (5, 1, {}),
    "segmenter in two passes": (7, 2, {}),
    "segmenter, last batches of one object": (3, 1, {}),
}
"""Name -> objects of a batch, of which there are seven; passes of a step; what Step 1 is told."""
Trained = tuple[dict[str, Tensor], list[float]]


def in_double(images: Tensor) -> Tensor:
    return normalise(images).double()


def trained(case: str, group: ProcessGroup, **rest: Any) -> Trained:
    """Weights and losses."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("training", "segmenter"):
            patch.setattr(f"ops.tris.{module}.normalise", in_double)
        return trained_in_double(case, group, **rest)


def trained_in_double(case: str, group: ProcessGroup, **rest: Any) -> Trained:
    (batch_size, accumulate, told), data = CASES[case], some_data()
    plan = replace(PLAN, batch_size=batch_size, accumulate=accumulate)
    if not told:
        network = segmenter().double()
        return network.state_dict(), train_segmenter(network, data, plan, group=group, **rest).loss
    model, calibration = response_model().double(), None
    if told["weights"].calibrated:
        calibration = calibration_of(data)
        calibration.scorer.double()
        calibration = replace(calibration, texts=[text.double() for text in calibration.texts])
    history = train_response(model, data, plan, calibration=calibration, group=group, **told, **rest)
    return model.state_dict(), history.loss


def member(rank: int, size: int, port: int, out: Path) -> None:
    group = meet(rank, size, port)
    found = {
        case: trained(case, group, resume=torch.load(out / "second.pt") if case.startswith("resumed") else None)
        for case in CASES
    }
    torch.save(found, out / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Trained]]:
    """Case -> what each of two processes has."""
    out = tmp_path_factory.mktemp("out")

    def keep(state: State) -> None:
        if state["step"] == 2:
            torch.save(state, out / "second.pt")

    trained("resumed response", ALONE, save=keep)
    in_two_processes(member, out)
    return [torch.load(out / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_losses_and_weights_are_those_of_one_process(case: str, together: list[dict[str, Trained]]) -> None:
    weights, losses = trained(case, ALONE)
    (first, told), (second, also_told) = (found[case] for found in together)
    assert told == also_told
    assert told == pytest.approx(losses, rel=1e-6)
    assert first.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(first[name], value, atol=2e-5, rtol=0, msg=name)
        assert torch.equal(first[name], second[name]), name
