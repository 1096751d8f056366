"""The assets `gallery` and `comparison` of a data set: the pages that `wordmask gallery` and `wordmask compare` write.

They span experiments, so they are no stages: nothing reads them, they have no recipe, and no automation asks for them.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import dagster as dg
from pydantic import Field

from assets.framework.stage import AssetPath, StageInstance, group_name
from pipelines.graph.maintenance import refusals_as_failures
from pipelines.pages import COMPARISON, GALLERY, served_address


class Compared(dg.Config):
    """Which experiments."""

    experiments: list[str] = Field(
        default=[], description="The baseline first; none: all that have masks, with the first of them."
    )


def page_assets(instances: Sequence[StageInstance]) -> list[dg.AssetsDefinition]:
    """A gallery of each data set, and a comparison where several experiments are asked for on it."""
    made = []
    for name in dict.fromkeys(one.dataset for one in instances):
        some = [one for one in instances if one.dataset == name]
        made.append(_gallery(name, some))
        if len({experiment for one in some for experiment in one.used_by}) > 1:
            made.append(_comparison(name, some))
    return made


def with_links(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """An asset of a data set whose page leads to the gallery and to the newest comparison."""
    return asset.map_asset_specs(
        lambda spec: spec.merge_attributes(
            metadata={
                name: dg.MetadataValue.url(f"/{name}/{quote(spec.key.path[0])}/") for name in (GALLERY, COMPARISON)
            }
        )
    )


def ends(instances: Sequence[StageInstance]) -> list[AssetPath]:
    """What no other instance reads."""
    read = {key for one in instances for key in one.inputs.values()}
    return [one.key for one in instances if one.key not in read]


def _page_asset(
    key: AssetPath, instances: Sequence[StageInstance], description: str
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """What both pages declare: they lie behind all that nothing else of the data set reads."""
    return dg.asset(
        key=key,
        deps=[dg.AssetKey(list(path)) for path in ends(instances)],
        group_name=group_name(key[0], "data"),
        description=description,
        kinds={"html"},
        tags={"dataset": key[0]},
    )


def _gallery(dataset: str, instances: Sequence[StageInstance]) -> dg.AssetsDefinition:
    @_page_asset(
        (dataset, GALLERY),
        instances,
        "Every expression of the data set, and what all finished stages of all experiments made of it. Open the page "
        "that it names.",
    )
    def gallery() -> dg.MaterializeResult:  # type: ignore[type-arg]
        from pipelines.commands.gallery import write_gallery_of

        with refusals_as_failures():
            written = write_gallery_of(dataset)
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.url(served_address(written.page)),
                "file": dg.MetadataValue.path(str(written.page)),
                "expressions": written.expressions,
                "images": written.images,
                "images that changed": len(written.lost),
            }
        )

    return gallery


def _comparison(dataset: str, instances: Sequence[StageInstance]) -> dg.AssetsDefinition:
    @_page_asset(
        (dataset, COMPARISON),
        instances,
        "Experiments side by side: measures with intervals, knobs that differ, and the masks that differ most. Takes "
        "what is finished; open the page that it names.",
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
                "page": dg.MetadataValue.url(served_address(done.written.page)),
                "file": dg.MetadataValue.path(str(done.written.page)),
                "experiments": dg.MetadataValue.json(list(done.measured.comparison.experiments)),
                "table": dg.MetadataValue.md(markdown_page(done.measured.blocks).decode()),
                "expressions shown": done.written.expressions,
            }
        )

    return comparison
