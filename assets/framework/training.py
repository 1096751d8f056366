"""From knobs, machine and slot to what a training is told: its plan, and where its checkpoints are."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from assets.framework.training_curves import curve_of
from assets.framework.training_knobs import AdamWKnobs
from assets.framework.work import Work
from ops.training.distributed import ProcessGroup
from ops.training.plan import AdamWPlan
from ops.training.trainer import TrainingOptions
from resources.runtime import Runtime
from storage.weights import latest_checkpoint, save_checkpoint

P = TypeVar("P", bound=AdamWPlan)


def seed_of(work: Work, knobs: AdamWKnobs) -> int:
    """The stage's seed: another embedded world is another training, too."""
    return knobs.seed + work.instance.source.seed


def plan_of(kind: type[P], knobs: AdamWKnobs, runtime: Runtime, *, seed: int, **more: Any) -> P:
    """A plan of some kind: the knobs of a training stage, and the pace of this machine."""
    shared = {field.name for field in fields(AdamWPlan)} & set(AdamWKnobs.model_fields)
    settings = {
        **knobs.model_dump(include=shared),
        "seed": seed,
        "lr": knobs.learning_rate,
        "bf16": runtime.bf16(knobs.precision),
        "accumulate": runtime.accumulate,
        "checkpoint_every_steps": runtime.checkpoint_every,
    }
    return kind(**settings, **more)


def group_of(work: Work) -> ProcessGroup:
    """The processes that run the body together."""
    return ProcessGroup(rank=work.rank, size=work.ranks)


def training_options(work: Work) -> TrainingOptions:
    """Checkpoints in the slot's scratch folder, a curve, lines in the run's log, loaders of the device, the group."""
    checkpoints, curve = work.slot.scratch / "checkpoints", curve_of(work)

    def save(state: Mapping[str, Any]) -> None:
        save_checkpoint(checkpoints, state)
        curve(state)

    return {
        "resume": latest_checkpoint(checkpoints, log=work.log),
        "save": save,
        "log": work.log,
        "workers": work.runtime.loaders(),
        "group": group_of(work),
    }
