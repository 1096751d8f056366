"""What there is to run, as tables for the terminal: experiments, data sets, knobs. Without Dagster and torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType

from assets.data.stages import DATASET_INDEX
from assets.framework.stage import Stage
from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.commands.terminal import coloured, folding
from pipelines.config.dataset_files import PlannedDataset, read_both
from pipelines.config.described import Described, LeftOut, unknown
from pipelines.config.experiment_files import Experiment
from pipelines.config.knob_words import KnobWords, described
from pipelines.config.plain_yaml import flow
from pipelines.config.variants import differences
from pipelines.graph.state import stored
from resources.paths import home
from resources.store import open_store
from storage.artifact import Store

EXPRESSIONS = ": expressions"
"""How the metrics of `dataset_index` end that count a split."""
LISTED = 5
"""Names in a sentence."""


def experiments_table(word: str = "") -> RenderableType:
    """Experiments, the parents first, and the own ones that are asked for nowhere.

    Args:
        word: only those in whose name, description, parent, knobs or data sets it stands.

    Raises:
        Refused: there is none.
    """
    experiments, datasets = read_both()
    table = folding("experiment", "extends", "knobs turned", "asked for on", "description")
    for one in experiments.values():
        asked = _datasets_of(one, datasets)
        turned = differences(experiments[one.extends] if one.extends else None, one)
        knobs = [f"{stage}.{knob}" for stage, changed in turned.items() for knob in changed]
        if any(word.casefold() in text.casefold() for text in (one.name, one.description, *asked, *knobs)):
            table.add_row(one.name, one.extends or "-", str(len(knobs)), ", ".join(asked) or "-", one.description)
    if not table.rows:
        raise Refused(unknown("no experiment has to do with", word, experiments, "`wordmask experiments` lists all"))
    table.caption = "-: nowhere yet; wordmask run -e EXPERIMENT -d DATASET does so"
    return Group(table, *nowhere(experiments, datasets), *_left_out(experiments.left_out))


def nowhere(experiments: Described[Experiment], datasets: Described[PlannedDataset]) -> Iterator[str]:
    """A line for each of the person's own experiments that no data set is asked for, with how to ask."""
    where = f"-d {_some(datasets, ' or -d ')}"
    for one in experiments.values():
        if experiments.paths[one.name].is_relative_to(home()) and not _datasets_of(one, datasets):
            yield (
                f"{one.name} is asked for on no data set yet: `wordmask run -e {one.name} {where}` runs it there, "
                f"and `datasets:` in {experiments.paths[one.name].name} puts it into the graph"
            )


def datasets_table() -> RenderableType:
    """Data sets with the expressions of their splits, as far as they were read, and their experiments."""
    experiments, datasets = read_both()
    store = open_store()
    table = folding("data set", "kind", "root", "expressions", "experiments asked for")
    for one in datasets.values():
        asked = [experiment.name for experiment in one.run_here(experiments.values())]
        config = one.source.config
        table.add_row(one.name, config.kind, str(config.root), _splits(one, store), ", ".join(asked) or "-")
    table.caption = "wordmask add registers a folder"
    return Group(table, *_left_out(datasets.left_out))


def knobs_table(name: str = "") -> RenderableType:
    """The knobs of a stage, or one knob of all stages that have it, with the experiments that turn it.

    Args:
        name: of a stage or a knob; empty: all stages with the names of their knobs.

    Raises:
        Refused: nothing is called so.
    """
    if not name:
        return _stages_table()
    stage, _, wanted = name.rpartition(".") if "." in name else (name, "", "") if name in STAGES else ("", "", name)
    stages = [STAGES[stage]] if stage in STAGES else [] if stage else list(STAGES.values())
    rows = [(one, knob) for one in stages for knob in described(one.knobs) if wanted in ("", knob.name)]
    if not rows and not (stages and not wanted):
        raise Refused(unknown("no stage or knob is called", name, _names(), "`wordmask knobs` lists all"))
    experiments, _ = read_both()
    title = f"{stage}: {STAGES[stage].description.strip().splitlines()[0]}" if stage else None
    table = folding("knob", "type", "default", "meaning", "turned by", title=title, show_lines=True)
    for one, knob in rows:
        label = knob.name if stage else f"{one.name}.{knob.name}"
        table.add_row(label, knob.kind, knob.default, knob.description, coloured(_turned_by(one, knob, experiments)))
    table.caption = "wordmask run --set STAGE.KNOB=VALUE turns one"
    return table if rows else f"{name} has no knobs."


def _stages_table() -> RenderableType:
    table = folding("stage", "knobs")
    for stage in STAGES.values():
        table.add_row(stage.name, ", ".join(stage.knobs.model_fields) or "-")
    table.caption = "wordmask knobs STAGE says what they mean"
    return table


def _names() -> list[str]:
    """Of stages and knobs, alone and together."""
    pairs = [(stage.name, knob) for stage in STAGES.values() for knob in stage.knobs.model_fields]
    return list(dict.fromkeys([*STAGES, *(knob for _, knob in pairs), *map(".".join, pairs)]))


def _turned_by(stage: Stage, knob: KnobWords, experiments: Mapping[str, Experiment]) -> str:
    """A line for each value: which experiments set it in their own files."""
    found: dict[str, list[str]] = {}
    for one in experiments.values():
        if knob.name in one.changed.get(stage.name, {}):
            value = one.knobs[stage.name].model_dump(mode="json")[knob.name]
            found.setdefault(flow(value), []).append(one.name)
    return "\n".join(f"{value}: {', '.join(names)}" for value, names in found.items())


def _datasets_of(one: Experiment, datasets: Mapping[str, PlannedDataset]) -> list[str]:
    """Where an experiment is asked for."""
    return [name for name, dataset in datasets.items() if dataset.has(one.name, one.datasets)]


def _splits(one: PlannedDataset, store: Store) -> str:
    """Expressions of each split, as they were last read."""
    index = stored((one.name, DATASET_INDEX.name), store)
    metrics = index.manifest.metrics if index else {}
    counts = {name.removesuffix(EXPRESSIONS): count for name, count in metrics.items() if name.endswith(EXPRESSIONS)}
    ordered = sorted(counts, key=[*one.source.splits, *counts].index)
    return ", ".join(f"{name} {counts[name]:,}" for name in ordered) or f"not read yet: {', '.join(one.source.splits)}"


def _some(names: Iterable[str], between: str) -> str:
    """The first few names."""
    return between.join([*names][:LISTED])


def _left_out(files: Sequence[LeftOut]) -> Iterator[RenderableType]:
    return (coloured(f"left out: {file}", "red") for file in files)
