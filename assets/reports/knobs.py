"""Knobs of the report."""

from typing import Literal

from pydantic import Field

from assets.framework.knobs import Knobs


class ReportKnobs(Knobs):
    """What the page shows."""

    examples: int = Field(default=12, ge=0, le=1000)
    segmenters: tuple[Literal["corrected", "supervised", "meres", "meres_matched"], ...] = ()
    """Trained models to show beside ZSBootstrap."""
