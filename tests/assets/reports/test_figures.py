"""Which referents a page shows, and their figures."""

import numpy as np

from assets.data.tables import Referent
from assets.reports.figures import HEIGHT, PanelFigure, masked, spread
from assets.reports.plots import line_plot
from storage.masks import Rle

GREY = np.full((20, 30, 3), 90, np.uint8)
HALF = np.repeat([[True, False]], [15, 15], axis=1).repeat(20, axis=0)


def test_referents_are_shown_at_equal_distances_from_the_first_to_the_last() -> None:
    referents = [Referent(ref_id=n, object_id=str(n), image_id="", split="val") for n in range(11)]
    assert [referent.ref_id for referent in spread(referents, 3)] == [0, 5, 10]
    assert spread(referents, 20) == referents


def test_a_mask_tints_its_pixels_alone_however_it_is_given() -> None:
    assert (masked(GREY, HALF) == masked(GREY, Rle.of(HALF))).all()
    assert (masked(GREY, HALF)[:, 16:] == GREY[:, 16:]).all()
    assert (masked(GREY, HALF)[:, 5] != GREY[:, 5]).any()
    assert (masked(GREY, None) == GREY).all()


def test_panels_stand_in_one_row_or_in_two_equal_ones() -> None:
    plot = (("plane", line_plot({}, x_label="x", y_label="y")),)
    columns = [
        PanelFigure(panels=(("a", GREY),) * count, subject="", caption="", plots=plots).columns
        for count, plots in ((4, ()), (7, ()), (8, ()), (9, ()), (6, plot))
    ]
    assert columns == [4, 7, 4, 5, 4]


def test_panels_are_images_of_one_height() -> None:
    shown = PanelFigure(panels=(("image", GREY), ("S2", GREY[:10])), subject="it", caption="it")
    names, addresses = zip(*shown.images(), strict=True)
    assert names == ("image", "S2")
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert len(GREY) < HEIGHT
