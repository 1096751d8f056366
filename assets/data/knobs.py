"""Knobs of the stages that read a data set."""

from typing import Literal

from assets.framework.knobs import Knobs


class GroundTruthKnobs(Knobs):
    """How annotations become masks (S+S+C spec 1.4)."""

    overlap: Literal["union", "compat"] = "union"
    """`compat` drops pixels that two polygon parts cover, as the authors' code does."""
