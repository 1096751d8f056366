"""Numbers that knobs hold, each with the bounds beyond which nothing sensible is meant.

Bounds are generous: they tell a slip (a missing full stop, seconds for steps) from a choice. No number is a switch, and
none is infinite or no number at all (`assets.framework.knobs`).
"""

from typing import Annotated

from pydantic import Field

Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Steps = Annotated[int, Field(ge=0, le=10_000_000)]
Rate = Annotated[float, Field(gt=0, le=100)]
"""A learning rate."""
Share = Annotated[float, Field(ge=0, le=1)]
RateShare = Annotated[float, Field(ge=0, le=100)]
"""Of a learning rate; more than one where what was pretrained learns faster."""
Norm = Annotated[float, Field(gt=0, le=1e6)]
Decay = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
"""Of a part of a loss."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Examples = Annotated[int, Field(ge=1, le=1000)]
"""Shown on a page."""
Channels = Annotated[int, Field(ge=1, le=65_536)]
Side = Annotated[int, Field(ge=1, le=8192)]
"""In pixels, of what a network reads."""
Deviation = Annotated[float, Field(gt=0, le=10_000)]
"""In pixels."""
