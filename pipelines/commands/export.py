"""The masks of an experiment as COCO annotations and pictures, for people to take away."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from assets.segmenters.coco_export import export_masks, masks_table
from ops.refusal import Refused
from pipelines.commands.terminal import folding
from pipelines.graph.load import planned
from pipelines.graph.state import ready


def export(
    dataset: str,
    experiment: str,
    folder: Path,
    *,
    stages: Sequence[str] = (),
    png: bool = False,
    guard_formulas: bool = False,
) -> Table:
    """Write the masks of the named stages, or of all that give any, a folder each; what was written, for the terminal.

    Raises:
        Refused: a stage is not finished or gives no masks; says which do.
        StoreError: the disk refuses.
    """
    artifacts = ready(planned(dataset, experiment))
    tables = {name: table for name, artifact in artifacts.items() if (table := masks_table(artifact))}
    lacking = sorted(set(stages) - set(tables))
    if lacking or not tables:
        raise Refused(
            f"no masks of {', '.join(lacking) or 'any stage'} yet: `wordmask run -d {dataset} -e {experiment}` makes "
            f"them; finished are {', '.join(tables) or 'none'}"
        )
    summary = folding("stage", "masks", "without a pixel", "folder")
    for name in stages or tables:
        done = export_masks(
            artifacts["references"],
            artifacts[name],
            tables[name],
            folder / name,
            png=png,
            guard_formulas=guard_formulas,
        )
        summary.add_row(name, str(done.masks), str(done.missing), str(folder / name))
    return summary
