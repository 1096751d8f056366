"""Who answers for an experiment: the model that it has trained, or else its choice among candidates (S1 and S2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assets.framework.stage import StageInstance, resolved
from assets.segmenters.registry import TrainedSegmenter
from assets.ssc.stages import MASK_CHOICES
from assets.stages import SEGMENTERS, STAGES
from ops.refusal import Refused
from pipelines.config.experiment_files import Experiment
from pipelines.graph.load import in_use, models_of, read_plan, require_stage
from pipelines.graph.planner import closure
from pipelines.graph.state import raw_data_problem, ready
from resources.checkpoints import registered
from resources.models.refs import ModelRef
from resources.runtime import Runtime
from storage.artifact import Artifact

if TYPE_CHECKING:
    from assets.segmenters.answers import Segment  # brings numpy, which a refusal does not wait for

CHOICE = "choice"
"""The name of S1 and S2 where a model is named."""
DRAWN = (
    "its models know rendered scenes only; for photographs `wordmask models get --for photo` fetches others, "
    "and -e photo uses them"
)
MODELS = (*(one.trained.name for one in SEGMENTERS), CHOICE)


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What answers, with its models open."""

    dataset: str
    experiment: str
    by: str
    """The stage that trained the model, or `choice`."""
    segment: Segment
    note: str = ""
    """What a person should know of it."""

    @property
    def title(self) -> str:
        """Who answers, in words."""
        who = f"{self.by} (S1 and S2, no trained model)" if self.by == CHOICE else self.by
        return f"{who} of {self.experiment} on {self.dataset}"


def open_answering(
    dataset: str, experiment: str, model: str | None = None, *, runtime: Runtime | None = None
) -> Answering:
    """The named model of an experiment; else the one that it is about, if it is finished; else S1 and S2.

    Args:
        dataset: what the experiment was run on.
        experiment: whose model, or whose knobs.
        model: the stage that trained it; `choice` asks for S1 and S2 in any case; None: see above.
        runtime: of this machine.

    Raises:
        Refused: no such model is finished (says which are), what is finished was made from other data, the experiment
            neither trained a model nor has a choice, or a pretrained model is missing.
    """
    plan, runtime = read_plan(), runtime or Runtime()
    wanted = plan.experiments.named(experiment)
    plan.datasets.named(dataset)
    used = in_use(plan.instances, dataset, experiment)
    artifacts = ready(used) if used else {}
    trained = {one.trained.name: one for one in SEGMENTERS if one.trained.name in artifacts}
    by = model or next(iter(trained), CHOICE)
    require_stage(by, MODELS)
    drawn = DRAWN if _knows_drawings_only(experiment) else ""
    if by in trained:
        segment = _open_trained(trained[by], used, artifacts, runtime)
        return Answering(dataset=dataset, experiment=experiment, by=by, segment=segment, note=drawn)
    _require_choice(dataset, wanted, by, used=used, named=model is not None, finished=list(trained))
    choice, note = _open_choice(wanted, artifacts.get(MASK_CHOICES.name), runtime)
    told = "; ".join(filter(None, [note, drawn]))
    return Answering(dataset=dataset, experiment=experiment, by=CHOICE, segment=choice, note=told)


def _knows_drawings_only(experiment: str) -> bool:
    """Whether a model of an experiment that sees images is an embedded one."""
    parser = ModelRef("parser").registry_name
    return any(registered(name).embedded and name != parser for name in models_of(experiment))


def _open_trained(
    model: TrainedSegmenter, used: list[StageInstance], artifacts: Mapping[str, Artifact], runtime: Runtime
) -> Segment:
    predictions = model.predictions
    knobs = next((instance.knobs for instance in used if instance.stage.name == predictions.name), predictions.knobs())
    open_segmenter: Callable[..., Segment] = resolved(model.open)
    return open_segmenter(artifacts[model.trained.name], knobs, runtime)


def _require_choice(
    dataset: str, wanted: Experiment, by: str, *, used: list[StageInstance], named: bool, finished: list[str]
) -> None:
    """Refuse where S1 and S2 are not what was asked for, or the experiment has none."""
    chooses = MASK_CHOICES.name in closure(wanted, STAGES)
    if by == CHOICE and chooses and (named or not raw_data_problem(used)):
        return
    lacking = "model" if by == CHOICE else by
    if by == CHOICE and not chooses:
        lacking = "model, and no choice among candidates"
    otherwise = f"; `--model {CHOICE}` answers without training" if chooses else ""
    raise Refused(not_finished(dataset, wanted.name, lacking, used, finished=finished) + otherwise)


def not_finished(
    dataset: str, experiment: str, lacking: str, used: Sequence[StageInstance], *, finished: Iterable[str]
) -> str:
    """What to do about a model that is not there."""
    return (
        f"{raw_data_problem(used)}{experiment} on {dataset} has no finished {lacking}: "
        f"`wordmask run -d {dataset} -e {experiment}` trains it; finished are {', '.join(finished) or 'none'}"
    )


def _open_choice(wanted: Experiment, mask_choices: Artifact | None, runtime: Runtime) -> tuple[Segment, str]:
    from assets.ssc.answering import open_choosing, settings_of

    settings = settings_of(wanted.of, mask_choices)
    uncalibrated = settings.choice.absent is not None and settings.threshold is None
    note = "every sentence gets a mask: absent objects are calibrated by a run of mask_choices" if uncalibrated else ""
    return open_choosing(settings, runtime), note
