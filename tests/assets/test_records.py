"""What happens to one image that a stage cannot use."""

from typing import Any, cast

import numpy as np
import pytest

from assets import records
from assets.records import ImageRecord, on_image
from assets.stage import Work
from storage.rows import Quarantined

IMAGE = ImageRecord(image_id="strip.png", image_file="strip.png", width=3000, height=2, sha256="")


def test_what_a_model_refuses_is_quarantined_by_its_name_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "read_image", lambda *_: np.zeros((2, 3000, 3), np.uint8))

    def refuse(_: Any) -> Any:
        raise ValueError("height and width must be > 0")

    found = on_image(cast(Work, None), IMAGE, refuse)
    assert isinstance(found, Quarantined)
    assert found.reason == "strip.png (3000 x 2): height and width must be > 0"
    assert on_image(cast(Work, None), IMAGE, lambda pixels: [{"width": pixels.shape[1]}]) == [{"width": 3000}]
