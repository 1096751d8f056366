"""From experiments and data sets to distinct stage instances with Merkle recipes.

A recipe digests a stage's name, version, knobs, weights and the recipes of its inputs. Two experiments that agree so
far share one instance, owned by the first, which is who came first (`pipelines.config.dataset_files.remember`); a
changed knob gives new instances from its stage on, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from assets.data.source import Source
from assets.framework.stage import AssetPath, Stage, StageInstance, own_recipe
from pipelines.config.experiment_files import Experiment
from storage.digest import digest

Identify = Callable[[str], str]
"""Registry name of a model -> identity of its weights."""
Pair = tuple[str, Source, Experiment]
"""Name of a data set, the data set, and what is run on it."""
Shared = tuple[str, str]
"""Data set and recipe: what makes two instances one."""
Planned = Mapping[Shared, StageInstance]


def plan(pairs: Iterable[Pair], stages: Mapping[str, Stage], identify: Identify) -> list[StageInstance]:
    """Every distinct stage instance of the given (data set, source, experiment) triples, inputs before readers.

    Raises:
        ValueError: a stage needs one that is not registered.
    """
    planned: dict[Shared, StageInstance] = {}
    for pair in pairs:
        planned |= with_pair(planned, pair, stages, identify)
    return list(planned.values())


def with_pair(
    planned: Planned, pair: Pair, stages: Mapping[str, Stage], identify: Identify
) -> dict[Shared, StageInstance]:
    """What one more pair uses, those that it shares with `planned` among them.

    Raises:
        Refused: an experiment names a model that is not known.
        ValueError: a stage needs one that is not registered.
    """
    dataset, source, experiment = pair
    mine: dict[str, StageInstance] = {}
    for name in closure(experiment, stages):
        instance = _instance(stages[name], dataset, source, experiment, mine, identify)
        shared = planned.get((dataset, instance.recipe))
        if shared is not None:
            instance = replace(shared, used_by=(*shared.used_by, experiment.name))
        mine[name] = instance
    return {(dataset, instance.recipe): instance for instance in mine.values()}


def closure(experiment: Experiment, stages: Mapping[str, Stage]) -> list[str]:
    """The experiment's targets and all they need, inputs first."""
    ordered: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name not in stages:
            raise ValueError(f"stage {path[-1] if path else '?'} needs {name}, which is not registered")
        if name in path:
            raise ValueError(f"stages need each other: {' -> '.join((*path, name))}")
        for need in needs(stages[name], experiment):
            visit(need, (*path, name))
        ordered.setdefault(name)

    for target in experiment.targets:
        visit(target, ())
    return list(ordered)


def needs(stage: Stage, experiment: Experiment) -> tuple[str, ...]:
    """Names of the stages that a stage reads under an experiment's knobs."""
    return tuple(need.name for need in stage.inputs_under(experiment.of(stage)))


def _instance(
    stage: Stage,
    dataset: str,
    source: Source,
    experiment: Experiment,
    mine: Mapping[str, StageInstance],
    identify: Identify,
) -> StageInstance:
    knobs = experiment.of(stage)
    models = {name: identify(name) for name in knobs.models()}
    inputs = {need: mine[need] for need in needs(stage, experiment)}
    own = own_recipe(stage, knobs, models)
    origin = {
        "dataset": dataset,
        "layout": _layout(source),
        "train": list(source.train),
        "evaluate": list(source.evaluate),
        "toy": source.toy.recipe() if source.toy else None,
    }
    recipe = digest({"own": own, "origin": origin, "inputs": {name: read.recipe for name, read in inputs.items()}})
    return StageInstance(
        key=_key(stage, dataset, experiment.name),
        stage=stage,
        dataset=dataset,
        experiment=experiment.name if stage.needs else "data",
        source=source,
        knobs=knobs,
        models=models,
        inputs={name: read.key for name, read in inputs.items()},
        planned_inputs={name: read.recipe for name, read in inputs.items()},
        own_recipe=own,
        recipe=recipe,
        changed=experiment.changed.get(stage.name, {}),
        used_by=(experiment.name,),
    )


def _layout(source: Source) -> list[object]:
    """How the raw data are read; where they lie is left out, so that a moved folder changes nothing."""
    config = source.config
    return [config.kind, config.name, config.split_by, config.manifest, sorted(config.split_map.items())]


def _key(stage: Stage, dataset: str, experiment: str) -> AssetPath:
    return (dataset, experiment, stage.name) if stage.needs else (dataset, stage.name)
