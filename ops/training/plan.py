"""Hyperparameters of a training; each method adds its own fields and defaults."""

from dataclasses import asdict, dataclass
from typing import Any

NEUTRAL = ("bf16", "checkpoint_every_steps", "log_every_seconds")
"""Fields of a plan that may change when a training is resumed, for example on another machine."""


def rising_too_long(warmup_steps: int, steps: int) -> list[str]:
    """A sentence where a warm-up takes more than half of a training's optimizer steps; none where it does not."""
    if 2 * warmup_steps <= steps:
        return []
    what = f"the learning rate rises for {warmup_steps} steps, and the training has {steps}"
    return [f"{what}: fewer warmup_steps, a smaller batch_size or more epochs would let it learn"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Hyperparameters of every training."""

    epochs: int
    batch_size: int
    """Samples of an optimizer step."""
    clip_norm: float | None = None
    """Gradient clipping: largest norm of the gradient; the papers do not clip."""
    ema: float = 0.0
    """Most that the mean of the weights over the steps keeps of itself at a step, see `ops.training.weight_average`; 0:
    there is none, and the last weights stay."""
    seed: int = 0
    checkpoint_every_steps: int = 500
    log_every_seconds: float = 10.0
    """Seconds between two lines of the log, at least."""

    @property
    def remedy(self) -> str:
        """Advice for a loss that is not finite."""
        return "lower the rates"

    def doubts(self, *, steps: int, samples: int) -> list[str]:
        """Why a training of so many optimizer steps on so many samples can hardly learn, a sentence each."""
        whole = f"a batch of {self.batch_size} is more than all {samples} samples: a smaller batch_size steps more"
        return [whole] if samples < self.batch_size else []

    def identity(self) -> dict[str, Any]:
        """Fields that must be equal for a training state to be resumed."""
        without = NEUTRAL if self.ema else (*NEUTRAL, "ema")
        return {name: value for name, value in asdict(self).items() if name not in without}


@dataclass(frozen=True, kw_only=True)
class AdamWPlan(Plan):
    """Hyperparameters of AdamW with a polynomial schedule and gradient accumulation."""

    lr: float = 5e-5
    pretrained_rate: float = 1.0
    """Share of `lr` for pretrained parameters."""
    warmup_steps: int = 0
    """Steps of linear warm-up; the papers have none."""
    weight_decay: float = 0.01
    accumulate: int = 1
    """Passes per optimizer step, each of batch_size / accumulate samples."""
    bf16: bool = False
    """Whether the forward pass is in bfloat16 autocast, for devices that are faster with it."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        if self.epochs < 1 or not 1 <= self.accumulate <= self.batch_size:
            raise ValueError(
                f"epochs={self.epochs}, batch_size={self.batch_size}, accumulate={self.accumulate}: "
                "all must be at least 1 and accumulate no more than batch_size"
            )

    def doubts(self, *, steps: int, samples: int) -> list[str]:
        """As of any plan, and of the warm-up."""
        return [*super().doubts(steps=steps, samples=samples), *rising_too_long(self.warmup_steps, steps)]

    @property
    def chunk(self) -> int:
        """Samples of a pass."""
        return -(-self.batch_size // self.accumulate)

    @property
    def remedy(self) -> str:
        """Advice for a loss that is not finite."""
        return f"lower the learning rate, {self.lr:g} now"
