"""What a command line asks to run, checked before anything is written or Dagster is imported."""

from collections.abc import Sequence
from typing import NamedTuple

from assets.stages import STAGES
from pipelines.commands.terminal import console
from pipelines.config.dataset_files import read_both
from pipelines.config.described import Described
from pipelines.config.experiment_files import Experiment
from pipelines.config.paper_tables import suite as suite_of
from pipelines.config.variants import Variant, parsed, variant, write_variant
from pipelines.graph.load import require_stage
from pipelines.graph.planner import closure


class Wanted(NamedTuple):
    """A run."""

    experiment: str
    until: str | None
    """The stage to end in; None: the experiment's own targets."""


def wanted_runs(
    dataset: str,
    experiment: str,
    *,
    until: str | None = None,
    settings: Sequence[str] = (),
    suite: str | None = None,
) -> list[Wanted]:
    """The runs of an experiment, or of all in a table of a paper, with some knobs turned; new experiments are written.

    Args:
        dataset: its name.
        experiment: its name; where a suite is named, its experiments take its place.
        until: only this stage and what it needs; a suite ends where its table is measured.
        settings: `STAGE.KNOB=VALUE` (`pipelines.config.variants`); of a suite, each takes those that it uses.
        suite: name of a table, such as ssc_table3.

    Raises:
        Refused: a name, a setting or a value is wrong; nothing was written then.
        StoreError: the disk refuses.
    """
    known = variants(dataset, experiment, until=until, settings=settings, suite=suite)
    for parent, new, _ in known:
        write_variant(new)
        if settings:
            console.print(_told(parent, new))
    return list(dict.fromkeys(Wanted(new.name, end) for _, new, end in known))


def variants(
    dataset: str,
    experiment: str,
    *,
    until: str | None = None,
    settings: Sequence[str] = (),
    suite: str | None = None,
) -> list[tuple[str, Variant, str | None]]:
    """Name of the parent, the experiment with the knobs turned, and the stage to end in; nothing is written.

    Arguments and errors are those of `wanted_runs`.
    """
    experiments, datasets = read_both()
    datasets.named(dataset)
    named = suite_of(suite).runs if suite else ((experiment, until),)
    made = {name: _turned(experiments.named(name), settings, experiments) for name, _ in named}
    reached = {name: closure(new.settled, STAGES) for name, new in made.items()}
    for stage in parsed(settings):
        require_stage(stage, dict.fromkeys(one for stages in reached.values() for one in stages))
    for name, end in named:
        if end is not None:
            require_stage(end, reached[name])
    return [(name, made[name], end) for name, end in named]


def _turned(parent: Experiment, settings: Sequence[str], known: Described[Experiment]) -> Variant:
    """With the settings of the stages that it leads to; the others would change nothing."""
    reached = closure(variant(parent, settings, known).settled, STAGES)
    return variant(parent, [one for one in settings if set(parsed([one])) <= set(reached)], known)


def _told(parent: str, new: Variant) -> str:
    if new.file is not None:
        return f"new experiment {new.name}: {new.file.description}"
    return f"{parent} is so already" if new.name == parent else f"these settings are those of experiment {new.name}"
