"""A data set as the graph sees it: where it lies, which splits train and which are scored."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from assets.framework.knob_types import Seed
from assets.framework.knobs import Settings
from resources.datasets import DatasetConfig


class ToyWorld(Settings):
    """Which embedded world."""

    style: Literal["toyref", "toyref+", "toyrefg"] = "toyref"
    size: Literal["tiny", "small", "base"] = "small"
    seed: Seed = 0
    framing: Literal["wide", "close"] = "close"
    """Objects of about 3 % of the image, or of about a tenth of fewer pixels."""

    @property
    def split_by(self) -> str:
        """Whose splits the style is written in, see `resources.toyref.refcoco_writer`."""
        return "umd" if self.style == "toyrefg" else "unc"

    @property
    def scored(self) -> tuple[str, ...]:
        """The splits beside train: RefCOCOg has one test split."""
        return ("val", "test") if self.style == "toyrefg" else ("val", "testA", "testB")

    def recipe(self) -> dict[str, Any]:
        """What a recipe digests; the framing is younger than artifacts."""
        return self.model_dump(exclude={"framing"} if self.framing == "wide" else None)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set and what its splits are for."""

    config: DatasetConfig
    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    toy: ToyWorld | None = None
    """An embedded world, rendered on first use; None for data on disk."""

    @property
    def seed(self) -> int:
        """Of the embedded world; trainings add it to theirs, so that another world is another training, too."""
        return self.toy.seed if self.toy else 0

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Every split that some stage reads, training first."""
        return tuple(dict.fromkeys((*self.train, *self.evaluate)))

    @property
    def unusual(self) -> dict[str, list[str]]:
        """Both kinds of splits where the first one alone does not train, or is scored too; `splits` does not tell."""
        if (self.train, self.evaluate) == (self.splits[:1], self.splits[1:]):
            return {}
        return {"train": list(self.train), "evaluate": list(self.evaluate)}
