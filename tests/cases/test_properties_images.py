"""Whatever lies in an image file: upright RGB as a reference says, or an `ImageProblem`, and never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resources.datasets.images import ImageProblem, inspect_image, load_image, load_mask
from tests.cases.image_files import saved
from tests.cases.outcomes import count
from tests.cases.test_image_features import STORED_AS, TABLE
from tests.cases.test_painted_masks import MASKS

pytestmark = [pytest.mark.property, pytest.mark.filterwarnings("ignore::UserWarning")]

FORMATS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "PNG": (("1", "L", "LA", "P", "RGB", "RGBA"), {}),
    "TIFF": (("1", "L", "LA", "RGB", "RGBA", "CMYK"), {}),
    "WEBP": (("RGB", "RGBA"), {"lossless": True, "exact": True}),
}
"""Format without loss -> modes, options."""
FILES = [(name.split()[0], case.file) for name, case in TABLE.items() if len(case.file) < 5_000]
FILES += [(name.split()[0].rstrip(","), file) for name, (file, _) in MASKS.items() if file]
CUTS = st.tuples(st.integers(0, 4999), st.integers(0, 24), st.binary(max_size=8))
"""Where, how many bytes go, which come instead."""


def over_white(image: Image.Image) -> np.ndarray:
    """RGB by arithmetic of our own."""
    rgba_HW4 = np.asarray(image.convert("RGBA")).astype(float)
    share_HW1 = rgba_HW4[..., 3:] / 255
    return rgba_HW4[..., :3] * share_HW1 + 255 * (1 - share_HW1)


def problem_of(path: Path) -> str | None:
    """Why an image or a mask cannot be read."""
    try:
        header = inspect_image(path)
        size = (header.width, header.height)
        image, mask = load_image(path, expected_size=size), load_mask(path, expected_size=size)
    except ImageProblem as problem:
        return str(problem)
    assert (image.shape, mask.shape) == ((*size[::-1], 3), size[::-1])
    assert (str(image.dtype), str(mask.dtype)) == ("uint8", "bool")
    return None


@given(data=st.data(), kind=st.sampled_from(sorted(FORMATS)), orientation=st.integers(1, 8))
def test_a_sound_image_is_its_upright_rgb(
    data: st.DataObject, kind: str, orientation: int, tmp_path_factory: Any
) -> None:
    modes, options = FORMATS[kind]
    width, height = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    pixels = data.draw(st.binary(min_size=4 * width * height, max_size=4 * width * height))
    upright = Image.frombytes("RGBA", (width, height), pixels).convert(data.draw(st.sampled_from(modes)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(STORED_AS[orientation]) if orientation in STORED_AS else upright
    path = tmp_path_factory.getbasetemp() / f"sound.{kind.lower()}"
    path.write_bytes(saved(stored, kind, exif=exif, **options))
    header = inspect_image(path, expected_size=(width, height))
    got = load_image(path, expected_size=(header.width, header.height))
    assert np.abs(got - over_white(upright)).max() <= 1
    count("images", "accepted")


@given(file=st.sampled_from(FILES), cuts=st.lists(CUTS, min_size=1, max_size=5))
def test_a_damaged_image_is_read_or_a_problem(
    file: tuple[str, bytes], cuts: list[tuple[int, int, bytes]], tmp_path_factory: Any
) -> None:
    name, whole = file
    data = bytearray(whole)
    for place, gone, new in cuts:
        start = place % (len(data) + 1)
        data[start : start + gone] = new
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    reason = problem_of(path)
    assert reason is None or reason.startswith(name)
    count("damaged images", "accepted" if reason is None else "quarantined")
