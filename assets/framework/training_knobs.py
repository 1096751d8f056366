"""What every training by AdamW can turn."""

from typing import ClassVar

from pydantic import Field

from assets.framework.knob_types import BatchSize, Decay, Epochs, Norm, Rate, RateShare, Seed, Steps
from assets.framework.knobs import Knobs
from resources.runtime import Precision


class AdamWKnobs(Knobs):
    """Length, rates and precision of a training."""

    later: ClassVar[tuple[str, ...]] = ("precision", "ema")

    epochs: Epochs
    """Passes over the training samples."""
    batch_size: BatchSize
    """Samples of an optimizer step."""
    learning_rate: Rate = 5e-5
    """The highest that AdamW steps with."""
    pretrained_rate: RateShare = 1.0
    """Share of the learning rate for what was pretrained."""
    warmup_steps: Steps = 0
    """Optimizer steps over which the learning rate rises; the papers have none."""
    clip_norm: Norm | None = None
    """Largest norm of the gradient; the papers do not clip."""
    weight_decay: Decay = 0.01
    """AdamW's, decoupled from the gradient."""
    ema: float = Field(default=0.0, ge=0, lt=1)
    """Keep the moving average of the weights instead of the last ones: what it keeps of itself at a step, such as 0.99
    (Polyak and Juditsky 1992; `ops.training.weight_average`). 0: the last ones, as the papers do."""
    precision: Precision = "device"
    """Of the forward passes, here and in all that the model predicts; the authors' is float32."""
    seed: Seed = 0
    """Of first weights, the order of samples, and all else that is drawn."""
