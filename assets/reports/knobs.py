"""Knobs of the report."""

from typing import Literal, Self

from pydantic import Field, model_validator

from assets.framework.knobs import Knobs


class ReportKnobs(Knobs):
    """What the page shows."""

    later = ("trained",)

    examples: int = Field(default=12, ge=0, le=1000)
    """Objects that the page shows with pictures."""
    segmenters: tuple[Literal["corrected", "distilled", "supervised", "meres", "meres_matched"], ...] = ()
    """Trained models to show beside ZSBootstrap."""
    trained: bool = True
    """Off: the page ends with the choices, and nothing is trained for it."""

    @model_validator(mode="after")
    def _shows_what_is_trained(self) -> Self:
        if self.segmenters and not self.trained:
            raise ValueError(f"segmenters: {', '.join(self.segmenters)} needs trained: true")
        return self
