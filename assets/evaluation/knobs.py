"""Knobs of the scores."""

from typing import Literal

from assets.framework.knob_types import Seed
from assets.framework.knobs import Knobs

PUBLISHED_REFS = 1000
"""The papers measure choices on the first so many references of the training split (S+S+C spec 7, row 33)."""


class ScoreKnobs(Knobs):
    """How numbers are counted (S+S+C spec 5)."""

    empties: Literal["count", "compat"] = "count"
    """`compat` leaves objects without any candidate out of oIoU, as the authors do for S+S."""
    random_seed: Seed = 0
    """For the random baseline that stands beside every choice."""
