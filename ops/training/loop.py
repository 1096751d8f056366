"""The training loop of a referring segmenter: plain PyTorch, opens no file, resumes to the same bits.

Everything random at a step (drop path) is seeded by (seed, step) and the order of samples by (seed, epoch), so training
that is killed and resumed from its last saved state ends with the weights of an undisturbed run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ops.segmenters.lavt import optimiser_groups
from ops.training.course import Course, History, Plan, State
from ops.training.dataset import Batch, SampleSource, Sentences
from ops.training.distributed import Team
from ops.training.losses import batch_lavt, per_sample

Model = TypeVar("Model", bound=nn.Module)
ALONE = Team()
Loss = Callable[[Tensor, Batch], Tensor]
"""Maps logits (B, 2, H, W) of a batch, or whatever else its model returns, to the mean loss of its samples."""
Groups = Callable[..., list[dict[str, Any]]]
"""Maps a model, `weight_decay` and `pretrained_rate` to AdamW's groups; the `rate` of each is its share of `lr`."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan(Plan):
    """How long and how fast to train; the defaults are S+S+C's (spec 4.7-4.9).

    The papers train the pretrained trunks, Swin and BERT, at the rate of all; trunks that saw little data lose what
    they know at the rate that a new fusion and decoder need.
    """

    epochs: int = 40
    batch_size: int = 60
    """Samples (image, sentence) of an optimiser step, give or take: whole images are packed."""
    sentences: Sentences = "one"


def first_candidate(logits_B2HW: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy against each sample's pseudo-label (ZSBootstrap)."""
    return per_sample(logits_B2HW, batch.targets_BHW())


def pixels_of_a_pass(logits_B2HW: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy against each sample's mask, one weighted mean over all their pixels (LAVT)."""
    return batch_lavt(logits_B2HW, batch.targets_BHW())


def train(
    model: Model,
    samples: SampleSource,
    plan: TrainPlan,
    *,
    resume: Mapping[str, Any] | None = None,
    save: Callable[[State], None] = lambda state: None,
    log: Callable[[str], None] = lambda line: None,
    loss: Loss = first_candidate,
    on_epoch: Callable[[Model, int], float | None] | None = None,
    groups: Groups = optimiser_groups,
    team: Team = ALONE,
) -> History:
    """Train `model` in place on the device it lies on.

    Args:
        model: a Lavt, or another module that is called like one; starts from its own weights, or those in `resume`.
        samples: the data.
        plan: epochs, batch size, learning rate and so on.
        resume: a state that an earlier call handed to `save`; the plan and the data must be the same.
        save: gets the state every `checkpoint_every_steps` steps and at the end. Its tensors are live: write or copy
            them before returning.
        log: gets a line every `log_every_steps` steps.
        loss: what to minimise; the default takes each object's first candidate as its mask.
        on_epoch: called after each epoch, epochs counted from 1. When it returns scores, the weights of the best epoch
            are put back at the end; otherwise those of the last epoch stay, and no ground truth is asked for.
        groups: the optimiser's groups of such a model; the default is for a Lavt.
        team: the processes that train together, all called with equal arguments; only the first one saves, logs and
            scores, and only its model counts at the end.

    Raises:
        ValueError: `resume` belongs to another plan or other data, a batch has too few images for the team, or a
            parameter that learns is in no group.
        FloatingPointError: the loss is not finite.
    """
    size = plan.chunk
    steps_per_epoch = -(-samples.batches(size=size, sentences=plan.sentences) // plan.accumulate)
    total = plan.epochs * steps_per_epoch
    run = Run.start(model, plan, total, groups=groups, team=team)
    if resume is not None:
        run.restore(resume)
    if not team.leads:
        save = log = _nothing
        on_epoch = None
    cuda = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        for epoch in range(run.step // steps_per_epoch, plan.epochs):
            packed = samples.epoch(size=size, sentences=plan.sentences, seed=plan.seed, epoch=epoch)
            model.train()
            for start in range(run.step % steps_per_epoch * plan.accumulate, len(packed), plan.accumulate):
                torch.manual_seed(plan.seed * 1_000_003 + run.step + (team.rank << 40))
                parts = packed[start : start + plan.accumulate]
                own = [samples.split(part, parts=team.size)[team.rank] for part in parts] if team.size > 1 else parts
                run.advance([samples.batch(part) for part in own], loss, count=sum(map(len, parts)))
                if run.step % plan.log_every_steps == 0 or run.step == total:
                    log(run.line())
                if run.step % plan.checkpoint_every_steps == 0 and run.step % steps_per_epoch:
                    save(run.state())
            if on_epoch is not None:
                run.score(epoch + 1, on_epoch(model, epoch + 1))
            if run.step % plan.checkpoint_every_steps == 0 or run.step == total:
                save(run.state())
    run.put_back_best()
    return run.history


def _nothing(_: object) -> None:
    pass


@dataclass(kw_only=True)
class Run(Course):
    """A training run between two steps: everything a checkpoint holds."""

    plan: TrainPlan
    replica: nn.Module
    """What a step calls: the model, or its stand-in that shares gradients with a team."""
    team: Team = ALONE
    best: State | None = None
    """Weights of the best epoch so far, on the CPU."""

    @classmethod
    def start(
        cls, model: nn.Module, plan: TrainPlan, total: int, *, groups: Groups = optimiser_groups, team: Team = ALONE
    ) -> "Run":
        """A run at step 0."""
        replica = team.replica(model)
        grouped = groups(model, weight_decay=plan.weight_decay, pretrained_rate=plan.pretrained_rate)
        held = {id(one) for group in grouped for one in group["params"]}
        idle = [name for name, one in model.named_parameters() if one.requires_grad and id(one) not in held]
        if idle:
            raise ValueError(f"no group of the optimiser holds {idle}: add them, or freeze them")
        optimiser = torch.optim.AdamW(grouped, lr=plan.lr, fused=True)
        return cls(model=model, replica=replica, optimiser=optimiser, plan=plan, total=total, team=team)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.model.parameters()).device

    def advance(self, batches: Sequence[Batch], loss: Loss, *, count: int) -> None:
        """One optimiser step on the mean loss over all `count` samples of the batches, those of the team included."""
        self.descend(partial(self._backward, batches, loss, count), count=count)

    def _backward(self, batches: Sequence[Batch], loss: Loss, count: int) -> Tensor:
        value = torch.zeros((), device=self.device)
        for number, batch in enumerate(batches, 1):
            with self.team.quiet(self.replica, last=number == len(batches)):
                part = self.forward(batch.to(self.device), loss) * (len(batch) / count)
                (part * self.team.size).backward()  # the team takes the mean of its gradients, we want their sum
            value += part.detach()
        return self.team.total(value)

    def forward(self, batch: Batch, loss: Loss) -> Tensor:
        """The loss of one batch; the logits are computed in bfloat16 if the plan says so, the loss never is."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.bf16):
            logits_B2HW = self.replica(
                batch.images_I3HW, batch.token_ids_BT, batch.token_mask_BT, image_of_B=batch.image_of_B
            )
        return loss(logits_B2HW.float(), batch)

    def score(self, epoch: int, score: float | None) -> None:
        """Note the score of an epoch and keep its weights if none was better."""
        if score is None:
            return
        self.history.scores[epoch] = score
        if self.history.best_epoch == epoch:
            self.best = {name: value.to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def put_back_best(self) -> None:
        """Give the model the weights of the best epoch, if epochs were scored."""
        if self.best is not None:
            self.model.load_state_dict(self.best)

    def state(self) -> State:
        """Everything `restore` needs, plain containers and live tensors."""
        return {**super().state(), "best": self.best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken."""
        super().restore(state)
        self.best = state["best"]
