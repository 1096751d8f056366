"""From experiments and data sets to distinct stage instances with Merkle recipes.

A recipe digests a stage's name, version, knobs, weights and the recipes of its inputs. Two experiments that agree so
far share one instance, owned by the first; a changed knob gives new instances from its stage on, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from assets.data.source import Source
from assets.framework.stage import AssetPath, Stage, StageInstance, own_recipe
from pipelines.config.experiment_files import Experiment
from storage.digest import digest

Identify = Callable[[str], str]
"""Registry name of a model -> identity of its weights."""


def plan(
    pairs: Iterable[tuple[str, Source, Experiment]], stages: Mapping[str, Stage], identify: Identify
) -> list[StageInstance]:
    """Every distinct stage instance of the given (data set, source, experiment) triples, inputs before readers.

    Raises:
        ValueError: a stage needs one that is not registered.
    """
    planned: dict[tuple[str, str], StageInstance] = {}
    for dataset, source, experiment in pairs:
        mine: dict[str, StageInstance] = {}
        for name in closure(experiment, stages):
            instance = _instance(stages[name], dataset, source, experiment, mine, identify)
            shared = planned.get((dataset, instance.recipe))
            if shared is not None:
                instance = replace(shared, used_by=(*shared.used_by, experiment.name))
            planned[dataset, instance.recipe] = instance
            mine[name] = instance
    return list(planned.values())


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
        "toy": source.toy.model_dump() if source.toy else None,
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
