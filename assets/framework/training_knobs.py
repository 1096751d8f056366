"""What every training by AdamW can turn."""

from typing import ClassVar

from assets.framework.knobs import Knobs
from resources.runtime import Precision


class AdamWKnobs(Knobs):
    """Length, rates and precision of a training."""

    later: ClassVar[tuple[str, ...]] = ("precision",)

    epochs: int
    batch_size: int
    """Samples of an optimizer step."""
    learning_rate: float = 5e-5
    pretrained_rate: float = 1.0
    """Share of the learning rate for what was pretrained."""
    warmup_steps: int = 0
    """Optimizer steps over which the learning rate rises; the papers have none."""
    clip_norm: float | None = None
    """Largest norm of the gradient; the papers do not clip."""
    weight_decay: float = 0.01
    precision: Precision = "device"
    """Of the forward passes, here and in all that the model predicts; the authors' is float32."""
    seed: int = 0
