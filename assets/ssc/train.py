"""Train LAVT: on chosen masks (ZSBootstrap), on all candidates (S+S+C), on drawn masks (the upper bound).

`fit` and `read_segmenter` serve every segmenter that is trained here; MERES has its stages in `assets.meres.train`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from assets.data.tables import ObjectRecord
from assets.framework.stage import Outcome, Work
from assets.knobs_old import BootstrapKnobs, CorrectKnobs, SupervisedKnobs, TrainingKnobs
from assets.reports.previews import curve_preview
from assets.segmenters.label_sources import all_candidates, chosen_mask, drawn_mask, val_score
from assets.segmenters.training_set import Encoder, Offer, training_set
from assets.ssc.matching_log import watching, write_matches
from resources.models.loading import open_referring
from resources.runtime import Runtime
from storage.artifact import Artifact
from storage.rows import Tally
from storage.tables import column, write_table
from storage.weights import latest_checkpoint, load_weights, save_checkpoint, save_weights

if TYPE_CHECKING:
    from assets.tris.knobs import TrisTrainingKnobs
    from ops.segmenters.prediction import Segmenter
    from ops.ssc.matching import MatchingLoss
    from ops.training.loop import Groups, Loss, TrainPlan
    from resources.models.referring import S

    Model = tuple[Segmenter, Encoder]

HISTORY = pa.schema(
    [
        column("step", pa.int64(), "optimiser step"),
        column("loss", pa.float64(), "mean loss of the step's samples"),
        column("lr", pa.float64(), "learning rate of the step"),
    ]
)


def zs_bootstrap(work: Work) -> Outcome:
    """ZSBootstrap: LAVT trained on the chosen masks with weighted cross-entropy (S+S+C spec 4.7-4.9).

    Resumes from its last checkpoint with the weights that an undisturbed run would have. The last epoch is kept, which
    needs no ground truth; `best_on_val` is the authors' way, and the report says when it was used.
    """
    from ops.segmenters.lavt import Lavt

    knobs = work.knobs_as(BootstrapKnobs)
    return fit(work, knobs, pretrained(work, knobs, Lavt), chosen_mask(work))


def corrected(work: Work) -> Outcome:
    """S+S+C: training goes on from ZSBootstrap over all candidates, matched anew at every step (Eq. 3, spec 4.10).

    The rule `chosen` keeps training on the chosen masks instead, the paper's "+40 epochs". Resumes as ZSBootstrap does.
    """
    knobs = work.knobs_as(CorrectKnobs)
    model, matching = read_segmenter(work.inputs["zs_bootstrap"], work.runtime), matching_of(knobs)
    return fit(work, knobs, model, offers_of(work, matching), loss=matching, matching=matching)


def supervised(work: Work) -> Outcome:
    """Fully supervised LAVT, trained on drawn masks: the upper bound of every table, and never an input of another."""
    from ops.segmenters.lavt import Lavt
    from ops.training.loop import first_candidate, pixels_of_a_pass

    knobs = work.knobs_as(SupervisedKnobs)
    loss = pixels_of_a_pass if knobs.loss == "batch" else first_candidate
    return fit(work, knobs, pretrained(work, knobs, Lavt), drawn_mask(work, classes=knobs.classes), loss=loss)


def pretrained(work: Work, knobs: BootstrapKnobs, kind: type[S]) -> tuple[S, Encoder]:
    """`Lavt` or `Meres` as training finds it: pretrained towers, and everything else at random."""
    seed = knobs.seed + work.instance.source.seed
    return open_referring(
        kind, knobs.size, switches=knobs.switches(), **knobs.towers(), runtime=work.runtime, seed=seed
    )


def matching_of(knobs: CorrectKnobs) -> MatchingLoss | None:
    """How masks are given to objects; none where the chosen masks stay."""
    from ops.ssc.matching import MatchingLoss

    if knobs.rule == "chosen":
        return None
    return MatchingLoss(rule=knobs.rule, leftovers=knobs.leftovers, rivals=knobs.rivals)


def offers_of(work: Work, matching: MatchingLoss | None) -> Callable[[ObjectRecord], Offer]:
    """All candidates where they are matched, the chosen masks otherwise."""
    return all_candidates(work) if matching else chosen_mask(work)


def read_segmenter(artifact: Artifact, runtime: Runtime) -> Model:
    """A trained segmenter of any kind and its tokenizer out of an artifact, on the device."""
    from resources.models.referring import segmenter_from, tokenizer_from

    state, card = load_weights(artifact.file("weights.safetensors"))
    model = segmenter_from(card["architecture"])
    model.load_state_dict(state)
    return model.to(runtime.torch_device()), tokenizer_from(card)


def bf16_of(trained: Artifact, runtime: Runtime) -> bool:
    """Whether a trained model computes in bfloat16: as in its training."""
    return runtime.bf16(trained.manifest.recipe["knobs"].get("precision", "device"))


def fit(
    work: Work,
    knobs: TrainingKnobs,
    start: Model,
    offer_of: Callable[[ObjectRecord], Offer],
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
        offer_of: which masks an object may learn from.
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
    data = training_set(work, offer_of, size=size, tokenizer=tokenizer, team=team)
    samples = data.samples
    judge = val_score(work, tokenizer, size=size) if knobs.select == "best_on_val" else None
    watch = watching(work, data, matching) if matching and team.leads else None
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
    save_weights(work.slot.work / "weights.safetensors", model.state_dict(), card)
    curve = {name: getattr(history, name) for name in HISTORY.names}
    write_table(work.slot.work / "history.parquet", pa.table(curve, schema=HISTORY))
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
