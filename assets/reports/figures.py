"""Figures of pages: panels side by side above what they are of.

Shapes: H x W pixels of an image.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from markupsafe import Markup

from assets.data.images import Mask, Pixels, read_image
from assets.data.tables import Referent, images_of
from assets.framework.work import Work
from ops.visualisation import Panel, data_uri, jpeg_bytes, overlay, scaled
from storage.masks import Rle

HEIGHT = 170
"""Of a panel, pixels."""
MOST_COLUMNS = 7
"""Panels that fit beside each other."""


@dataclass(frozen=True, kw_only=True)
class PanelFigure:
    """What a page shows of one referent."""

    panels: tuple[Panel, ...]
    """Title and picture of each."""
    subject: str
    """What all panels are of, for those who do not see them."""
    caption: str
    plots: tuple[tuple[str, Markup], ...] = ()
    """Title and plot, behind the panels."""
    across: int = 0
    """Columns of a wide page; 0: as many as fit."""

    @property
    def columns(self) -> int:
        """In which a wide page shows panels and plots, which are twice as wide: one row, or two equal ones."""
        widths = len(self.panels) + 2 * len(self.plots)
        return self.across or (widths if widths <= MOST_COLUMNS else -(-widths // 2))

    def images(self) -> list[tuple[str, str]]:
        """Title and `data:` address of each panel, scaled to one height; as PNG they would be four times as large."""
        return [(title, data_uri(jpeg_bytes(scaled(picture, HEIGHT)), kind="jpeg")) for title, picture in self.panels]


class OfImage(Protocol):
    """Something in an image, such as a referent."""

    @property
    def image_id(self) -> str:
        """The image."""


S = TypeVar("S", bound=OfImage)


def figures_of(work: Work, shown: Iterable[S], draw: Callable[[S, Pixels], PanelFigure]) -> list[PanelFigure]:
    """The figure of each referent, or of whatever lies in an image."""
    images = images_of(work)
    return [draw(one, read_image(work, images[one.image_id])) for one in shown]


def spread(referents: Sequence[Referent], count: int) -> list[Referent]:
    """`count` referents at equal distances through the list."""
    if len(referents) <= count:
        return list(referents)
    return [referents[round(row)] for row in np.linspace(0, len(referents) - 1, count)]


def masked(pixels: Pixels, mask: Rle | Mask | None) -> Pixels:
    """The image under a mask, or as it is."""
    mask_HW = mask.decode() if isinstance(mask, Rle) else mask
    return overlay(pixels, np.zeros((0, *pixels.shape[:2]), dtype=bool) if mask_HW is None else mask_HW[None])
