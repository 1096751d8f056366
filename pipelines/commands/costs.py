"""What the networks of the experiments cost, as a table for the terminal."""

from rich.table import Table

from assets.segmenters.knobs import SupervisedKnobs
from assets.stages import STAGES
from assets.tris.knobs import ResponseKnobs, SegmenterKnobs
from assets.tris.train import response_config, segmenter_config
from pipelines.commands.terminal import folding
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import experiment_folders
from resources.models.network_costs import Network, costs_of, lavt_and_meres, students, tris_steps
from resources.runtime import Runtime

EXPERIMENTS = {"full": ("tris_full", "meres_full"), "embedded": ("tris", "meres")}
"""Whose knobs say how large TRIS is, and LAVT and MERES."""


def networks(size: str) -> list[Network]:
    """TRIS's steps, LAVT and MERES of a size; of the full size LAVT's students too, which are also a size."""
    if size == "student":
        return students()
    experiments = read_experiments(experiment_folders(), STAGES)
    tris, others = (experiments[name].knobs for name in EXPERIMENTS[size])
    response, segmenter, lavt = tris["tris_response_model"], tris["tris_segmenter"], others["supervised"]
    assert isinstance(response, ResponseKnobs)
    assert isinstance(segmenter, SegmenterKnobs)
    assert isinstance(lavt, SupervisedKnobs)
    return [
        *tris_steps(response.clip, response_config(response), segmenter_config(segmenter)),
        *lavt_and_meres(lavt.size),
        *(students() if size == "full" else ()),
    ]


def cost_table(size: str, *, repeats: int) -> Table:
    """Parameters, multiply-adds and, with repeats, milliseconds of the networks (TRIS supplement 2)."""
    device = Runtime().torch_device()
    names = ("network", "image", "parameters", "GMAC", "GMAC without norms and enlargement", f"ms on {device}")
    table = folding(*names, title=f"One image and one expression, {size} size, random weights")
    for cost in costs_of(networks(size), repeats=repeats, device=device):
        table.add_row(
            cost.name,
            f"{cost.image_size} x {cost.image_size}",
            f"{cost.parameters:,}",
            f"{cost.multiply_adds.total / 1e9:.2f}",
            f"{cost.multiply_adds.products / 1e9:.2f}",
            "-" if cost.milliseconds is None else f"{cost.milliseconds:.0f}",
        )
    return table
