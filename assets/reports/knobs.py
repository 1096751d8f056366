"""Knobs of the report."""

from typing import Literal

from assets.framework.knobs import Knobs


class ReportKnobs(Knobs):
    """What the page shows."""

    examples: int = 12
    segmenters: tuple[Literal["corrected", "supervised", "meres", "meres_matched"], ...] = ()
    """Trained models to show beside ZSBootstrap."""
