"""Train a referring segmenter on target masks, and write its weights and its loss curve."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from assets.framework.stage import Outcome
from assets.framework.work import Work
from assets.reports.previews import curve_preview
from assets.segmenters.epoch_score import epoch_score
from assets.segmenters.knobs import TrainingKnobs
from assets.segmenters.label_sources import Targets
from assets.segmenters.tables import HISTORY, HistoryRow
from assets.segmenters.training_set import Encoder, training_set
from assets.ssc.matching_log import logging_matches, write_matches
from ops.training.course import History
from resources.runtime import Runtime
from storage.rows import Tally
from storage.weights import latest_checkpoint, save_checkpoint, save_weights

if TYPE_CHECKING:
    from assets.tris.knobs import TrisTrainingKnobs
    from ops.segmenters.prediction import Segmenter
    from ops.ssc.matching import MatchingLoss
    from ops.training.loop import Groups, Loss, TrainPlan

    Model = tuple[Segmenter, Encoder]


def fit(
    work: Work,
    knobs: TrainingKnobs,
    start: Model,
    targets_of: Targets,
    *,
    loss: Loss | None = None,
    matching: MatchingLoss | None = None,
    groups: Groups | None = None,
) -> Outcome:
    """Train a segmenter, and write the weights and the curve.

    Args:
        work: the running stage; needs `references`, and `ground_truth` where it picks the epoch.
        knobs: of the stage.
        start: the model as training finds it, and its tokenizer.
        targets_of: which masks a referent may learn from.
        loss: what to minimise; default: weighted cross-entropy against the first mask of each object.
        matching: how the loss gives masks to objects, if it does; what it gives to some is written beside the weights.
        groups: AdamW's groups of such a model; default: those of a LAVT.
    """
    from ops.segmenters.lavt import optimiser_groups
    from ops.training.distributed import Team
    from ops.training.loop import first_candidate, train
    from resources.models.referring import architecture_of

    model, tokenizer = start
    size, team = model.config.image_size, Team(rank=work.rank, size=work.ranks)
    data = training_set(work, targets_of, size=size, tokenizer=tokenizer, team=team)
    samples = data.samples
    judge = epoch_score(work, tokenizer, size=size) if knobs.select == "best_on_val" else None
    watch = logging_matches(work, data, matching) if matching and team.leads else None
    checkpoints = work.slot.scratch / "checkpoints"
    resume = latest_checkpoint(checkpoints, log=work.log)
    if watch and resume is None:
        watch(model, 0)

    def after(model: Segmenter, epoch: int) -> float | None:
        if watch:
            watch(model, epoch)
        return judge(model, epoch) if judge else None

    history = train(
        model,
        samples,
        plan_of(knobs, work.runtime, seed=knobs.seed + work.instance.source.seed),
        resume=resume,
        save=partial(save_checkpoint, checkpoints),
        log=work.log,
        loss=loss or first_candidate,
        on_epoch=after,
        groups=groups or optimiser_groups,
        team=team,
    )
    if not team.leads:
        return Outcome()
    card = {"architecture": architecture_of(model), **tokenizer.card()}
    save_weights(work.slot.content / "weights.safetensors", model.state_dict(), card)
    HISTORY.write(work.slot, history_rows(history))
    if watch:
        write_matches(work)
    steps, scores = len(history.step), list(history.scores.values())
    return Outcome(
        tallies={"history": Tally.computed_anew(steps)},
        metrics={
            "objects trained on": len(samples),
            "objects whose mask is empty or full": samples.dropped,
            "final loss": sum(history.loss[-20:]) / len(history.loss[-20:]),
            "epoch kept": history.best_epoch or knobs.epochs,
            "epoch chosen by": "oIoU on val, which reads ground truth" if judge else "being the last",
            **({"oIoU on val, epoch kept": max(scores), "oIoU on val, last epoch": scores[-1]} if scores else {}),
        },
        preview=curve_preview(history.step, history.loss),
    )


def history_rows(history: History) -> list[HistoryRow]:
    """Rows of the table `history`."""
    steps = zip(history.step, history.loss, history.lr, strict=True)
    return [HistoryRow(step=step, loss=loss, lr=lr) for step, loss, lr in steps]


def plan_of(knobs: TrainingKnobs, runtime: Runtime, *, seed: int) -> TrainPlan:
    """The knobs of a training stage and the pace of this machine."""
    from ops.training.loop import TrainPlan

    return TrainPlan(sentences=knobs.sentences, **course_of(knobs, runtime, seed=seed))


def course_of(knobs: TrainingKnobs | TrisTrainingKnobs, runtime: Runtime, *, seed: int) -> dict[str, Any]:
    """The parts of `ops.training.course.Plan`."""
    return {
        "epochs": knobs.epochs,
        "batch_size": knobs.batch_size,
        "accumulate": runtime.accumulate,
        "lr": knobs.learning_rate,
        "pretrained_rate": knobs.pretrained_rate,
        "warmup_steps": knobs.warmup_steps,
        "clip_norm": knobs.clip_norm,
        "weight_decay": knobs.weight_decay,
        "seed": seed,
        "bf16": runtime.bf16(knobs.precision),
        "checkpoint_every_steps": runtime.checkpoint_every,
    }
