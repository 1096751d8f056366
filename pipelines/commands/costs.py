"""What the networks of the experiments cost, as a table for the terminal."""

from rich.table import Table

from assets.segmenters.knobs import SupervisedKnobs
from assets.stages import STAGES
from assets.tris.knobs import ResponseKnobs, SegmenterKnobs
from pipelines.commands.terminal_tables import folding
from pipelines.config.experiment_files import read_experiments
from pipelines.config.yaml_files import experiment_folders

EXPERIMENTS = {"full": ("tris_full", "meres_full"), "embedded": ("tris", "meres")}
"""Whose knobs say how large TRIS is, and LAVT and MERES."""


def cost_table(size: str, *, repeats: int) -> Table:
    """Parameters, multiply-adds and, with repeats, milliseconds of TRIS's steps, LAVT and MERES (TRIS supplement 2)."""
    from assets.tris.train import response_config, segmenter_config
    from resources.models.costs import bert_candidates, costs_of, tris_candidates
    from resources.runtime import Runtime

    device = Runtime().torch_device()
    known = read_experiments(experiment_folders(), STAGES)
    tris, others = (known[name].knobs for name in EXPERIMENTS[size])
    response, segmenter, lavt = tris["tris_response_model"], tris["tris_segmenter"], others["supervised"]
    assert isinstance(response, ResponseKnobs)
    assert isinstance(segmenter, SegmenterKnobs)
    assert isinstance(lavt, SupervisedKnobs)
    candidates = [
        *tris_candidates(response.clip, response_config(response), segmenter_config(segmenter)),
        *bert_candidates(lavt.size),
    ]
    names = ("network", "image", "parameters", "GMAC", "GMAC without norms and enlargement", f"ms on {device}")
    table = folding(*names, title=f"One image and one sentence, {size} size, random weights")
    for one in costs_of(candidates, repeats=repeats, device=device):
        table.add_row(
            one.name,
            f"{one.image_size} x {one.image_size}",
            f"{one.parameters:,}",
            f"{one.multiply_adds.total / 1e9:.2f}",
            f"{one.multiply_adds.products / 1e9:.2f}",
            "-" if one.milliseconds is None else f"{one.milliseconds:.0f}",
        )
    return table
