"""What a command line asks to run, checked before anything is written or Dagster is imported."""

from collections.abc import Sequence
from typing import NamedTuple

from assets.stages import STAGES
from ops.refusal import Refused
from pipelines.commands.terminal import console
from pipelines.config.dataset_files import read_both
from pipelines.config.described import unknown
from pipelines.config.experiment_files import Experiment
from pipelines.config.paper_tables import suite as suite_of
from pipelines.config.variants import Variant, variant, write_variant
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
        settings: `STAGE.KNOB=VALUE`, see `pipelines.config.variants`.
        suite: name of a table, such as ssc_table3.

    Raises:
        Refused: a name, a setting or a value is wrong; nothing was written then.
        StoreError: the disk refuses.
    """
    experiments, datasets = read_both()
    datasets.named(dataset)
    named = suite_of(suite).runs if suite else ((experiment, until),)
    runs: list[Wanted] = []
    variants: dict[str, Variant] = {}
    for name, stage in named:
        parent = experiments.named(name)
        _require_stage(stage, parent)
        variants[name] = variant(parent, settings, experiments) if settings else Variant(name, None)
        runs.append(Wanted(variants[name].name, stage))
    for name, new in variants.items():
        write_variant(new)
        if settings:
            console.print(_told(name, new))
    return list(dict.fromkeys(runs))


def _require_stage(stage: str | None, experiment: Experiment) -> None:
    """Refuse one that the experiment does not lead to."""
    known = closure(experiment, STAGES)
    if stage is not None and stage not in known:
        complaint = f"experiment {experiment.name} has no stage" if stage in STAGES else "no stage is called"
        raise Refused(unknown(complaint, stage, known, f"stages of {experiment.name}: {', '.join(known)}"))


def _told(parent: str, new: Variant) -> str:
    if new.file is not None:
        return f"new experiment {new.name}: {new.file.description}"
    return f"{parent} is so already" if new.name == parent else f"these settings are those of experiment {new.name}"
