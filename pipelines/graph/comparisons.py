"""The asset `comparison` of a data set: its experiments side by side, as `wordmask compare` writes them.

It spans experiments, so it is no stage: nothing reads it, it has no recipe, and no automation asks for it.
"""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from assets.framework.stage import AssetPath, StageInstance, group_name
from pipelines.graph.maintenance import refusals_as_failures

NAME = "comparison"


class Compared(dg.Config):
    """Which experiments."""

    experiments: list[str] = Field(
        default=[], description="The baseline first; none: all that have masks, with the first of them."
    )


def comparison_assets(instances: Sequence[StageInstance]) -> list[dg.AssetsDefinition]:
    """One for each data set that several experiments are asked for on."""
    datasets = dict.fromkeys(one.dataset for one in instances)
    planned = {name: [one for one in instances if one.dataset == name] for name in datasets}
    return [
        _comparison(name, some)
        for name, some in planned.items()
        if len({experiment for one in some for experiment in one.used_by}) > 1
    ]


def ends(instances: Sequence[StageInstance]) -> list[AssetPath]:
    """What no other instance reads."""
    read = {key for one in instances for key in one.inputs.values()}
    return [one.key for one in instances if one.key not in read]


def _comparison(dataset: str, instances: Sequence[StageInstance]) -> dg.AssetsDefinition:
    @dg.asset(
        key=[dataset, NAME],
        deps=[dg.AssetKey(list(key)) for key in ends(instances)],
        group_name=group_name(dataset, "data"),
        description="Experiments side by side: measures with intervals, knobs that differ, and the masks that differ "
        "most. Takes what is finished; open the page that it names.",
        kinds={"html"},
        tags={"dataset": dataset},
    )
    def comparison(context: dg.AssetExecutionContext, config: Compared) -> dg.MaterializeResult:  # type: ignore[type-arg]
        from assets.reports.comparison.exports import markdown_page  # brings numpy, which the definitions do without
        from pipelines.commands.compare import compare_on

        with refusals_as_failures():
            done = compare_on(dataset, config.experiments)
        for sentence in done.measured.comparison.lacking:
            context.log.info(sentence)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(str(done.written.page)),
                "experiments": dg.MetadataValue.json(list(done.measured.comparison.experiments)),
                "table": dg.MetadataValue.md(markdown_page(done.measured.blocks).decode()),
                "expressions shown": done.written.expressions,
            }
        )

    return comparison
