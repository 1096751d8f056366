"""Train a referring segmenter on target masks, and write its weights and its loss curve."""

from collections.abc import Callable

from assets.framework.stage import Outcome
from assets.framework.training import group_of, plan_of, seed_of, training_options
from assets.framework.work import Work
from assets.reports.previews import curve_preview
from assets.segmenters.epoch_score import epoch_score
from assets.segmenters.knobs import TrainingKnobs
from assets.segmenters.label_sources import Targets
from assets.segmenters.tables import HISTORY, HistoryRow
from assets.segmenters.training_set import Encoder, TrainingSet, training_set
from assets.ssc.matching_log import LogEpoch, logging_matches, write_matches
from assets.ssc.matching_prior import Prior, with_prior
from ops.segmenters.lavt import optimizer_groups
from ops.segmenters.prediction import Segmenter
from ops.segmenters.training import Groups, Loss, SegmenterPlan, first_candidate, train
from ops.ssc.matching import MatchingLoss
from ops.training.train_state import History
from resources.models.referring import architecture_of
from storage.rows import Tally
from storage.weights import save_weights

Model = tuple[Segmenter, Encoder]
ScoreEpoch = Callable[[Segmenter, int], float]


def fit(
    work: Work,
    knobs: TrainingKnobs,
    start: Model,
    targets_of: Targets,
    *,
    loss: Loss = first_candidate,
    matching: MatchingLoss | None = None,
    prior: Prior | None = None,
    groups: Groups = optimizer_groups,
) -> Outcome:
    """Train a segmenter, and write the weights and the curve.

    Args:
        work: the running stage; needs `references`, and `ground_truth` where it picks the epoch.
        knobs: of the stage.
        start: the model as training finds it, and its tokenizer.
        targets_of: which masks a referent may learn from.
        loss: what to minimise; default: weighted cross-entropy against the first mask of each referent.
        matching: how the loss gives masks to referents, if it does; what it gives to some is written beside the
            weights.
        prior: what matching is told of the candidates beforehand; the loss is the matching's own then.
        groups: AdamW's groups of such a model; default: those of a LAVT.
    """
    model, tokenizer = start
    size, group = model.config.image_size, group_of(work)
    data = training_set(work, targets_of, size=size, tokenizer=tokenizer, group=group)
    if matching and prior:
        loss = matching = with_prior(matching, data, prior)
    score_epoch = epoch_score(work, tokenizer, size=size) if knobs.select == "best_on_val" else None
    log_epoch = logging_matches(work, data, matching) if matching and group.is_main else None
    options = training_options(work)
    if log_epoch and options["resume"] is None:
        log_epoch(model, 0)
    options["on_epoch"] = after_epoch(log_epoch, score_epoch)
    plan = plan_of(SegmenterPlan, knobs, work.runtime, seed=seed_of(work, knobs), expressions=knobs.sentences)
    history = train(model, data.dataset, plan, loss=loss, groups=groups, **options)
    if not group.is_main:
        return Outcome()
    card = {"architecture": architecture_of(model), **tokenizer.card()}
    save_weights(work.slot.content / "weights.safetensors", model.state_dict(), card)
    HISTORY.write(work.slot, history_rows(history))
    if log_epoch:
        write_matches(work)
    return outcome_of(history, data, epochs=knobs.epochs)


def after_epoch(log_epoch: LogEpoch | None, score_epoch: ScoreEpoch | None) -> Callable[[Segmenter, int], float | None]:
    """Log what matching gives, and score where scores pick the epoch."""

    def on_epoch(model: Segmenter, epoch: int) -> float | None:
        if log_epoch:
            log_epoch(model, epoch)
        return score_epoch(model, epoch) if score_epoch else None

    return on_epoch


def outcome_of(history: History, data: TrainingSet, *, epochs: int) -> Outcome:
    """What a finished training says of itself."""
    steps, scores = len(history.step), list(history.scores.values())
    return Outcome(
        tallies={"history": Tally.computed_anew(steps)},
        metrics={
            "objects trained on": len(data.dataset),
            "objects whose mask is empty or full": data.dropped,
            "final loss": sum(history.loss[-20:]) / len(history.loss[-20:]),
            "epoch kept": history.best_epoch or epochs,
            "epoch chosen by": "oIoU on val, which reads ground truth" if scores else "being the last",
            **({"oIoU on val, epoch kept": max(scores), "oIoU on val, last epoch": scores[-1]} if scores else {}),
        },
        preview=curve_preview(history.step, history.loss),
    )


def history_rows(history: History) -> list[HistoryRow]:
    """Rows of the table `history`."""
    steps = zip(history.step, history.loss, history.lr, strict=True)
    return [HistoryRow(step=step, loss=loss, lr=lr) for step, loss, lr in steps]
