"""What a training is told: how long, how fast, and from which seed. What is trained adds its own defaults and parts."""

from dataclasses import asdict, dataclass
from typing import Any

NEUTRAL = ("bf16", "checkpoint_every_steps", "log_every_steps")
"""Parts of a plan that may change when a training is taken up again, on another machine for example."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every training has."""

    epochs: int
    batch_size: int
    """Samples of an optimizer step."""
    clip_norm: float | None = None
    """Largest norm of the whole gradient; the papers do not clip."""
    seed: int = 0
    checkpoint_every_steps: int = 500
    log_every_steps: int = 20

    @property
    def remedy(self) -> str:
        """What a person can do when the loss is not finite."""
        return "lower the rates"

    def identity(self) -> dict[str, Any]:
        """What must agree for a saved state to be taken up again."""
        return {name: value for name, value in asdict(self).items() if name not in NEUTRAL}


@dataclass(frozen=True, kw_only=True)
class AdamWPlan(Plan):
    """A training by AdamW under a polynomial schedule, whose gradients may be accumulated."""

    lr: float = 5e-5
    pretrained_rate: float = 1.0
    """Share of `lr` for what was pretrained."""
    warmup_steps: int = 0
    """Steps over which the rate rises to its schedule; the papers have none."""
    weight_decay: float = 0.01
    accumulate: int = 1
    """Passes per optimizer step, each of batch_size / accumulate samples."""
    bf16: bool = False
    """Forward in bfloat16 autocast; set it where the device computes faster that way."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        if self.epochs < 1 or not 1 <= self.accumulate <= self.batch_size:
            raise ValueError(
                f"epochs={self.epochs}, batch_size={self.batch_size}, accumulate={self.accumulate}: "
                "all must be at least 1 and accumulate no more than batch_size"
            )

    @property
    def chunk(self) -> int:
        """Samples of a pass."""
        return -(-self.batch_size // self.accumulate)

    @property
    def remedy(self) -> str:
        """What a person can do when the loss is not finite."""
        return f"lower the learning rate, {self.lr:g} now"
