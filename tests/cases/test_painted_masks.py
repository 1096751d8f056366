"""What counts as the object in a painted mask, over kinds of paint: the drawn pixels, or a reason why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resources.datasets.images import ImageProblem, load_mask
from tests.cases.image_files import saved

Y, X = np.mgrid[:80, :96]
DRAWN = (Y - 40) ** 2 + (X - 45) ** 2 < 400
WHITE = np.where(DRAWN, 255, 0).astype(np.uint8)
BORDER = ((Y - 40) ** 2 + (X - 45) ** 2 < 500) & ~DRAWN
SECOND = (np.abs(Y - 40) < 20) & (X > 75)
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [0] * (3 * 251) + [224, 224, 192]


def coloured(*colour: int) -> np.ndarray:
    return np.where(DRAWN[..., None], colour, 0).astype(np.uint8)


def numbered(numbers: np.ndarray, palette: list[int] | None = None) -> Image.Image:
    """Entries of a palette."""
    image = Image.fromarray(numbers.astype(np.uint8))
    image.putpalette(VOC if palette is None else palette)
    return image


def blurred(kind: Image.Resampling, factor: float) -> Image.Image:
    """Soft edges: painted at another size and brought to this one."""
    image = Image.fromarray(WHITE)
    painted = image.resize((round(96 * factor), round(80 * factor)), Image.Resampling.NEAREST)
    return painted.resize((96, 80), kind)


def layer(colour: int, around: int = 0) -> np.ndarray:
    """RGBA, clear around the object."""
    grey = np.where(DRAWN, colour, around)
    return np.dstack([grey, grey, grey, WHITE]).astype(np.uint8)


def textured() -> np.ndarray:
    """The object cut out of its photo, with an alpha channel; no pixel of it is black."""
    photo = np.random.default_rng(1).integers(1, 256, (80, 96, 3))
    return np.dstack([photo, WHITE]).astype(np.uint8)


SOFT = np.asarray(blurred(Image.Resampling.BICUBIC, 2))
ONE, DARK = np.where(DRAWN, 1, 0), np.where(DRAWN, 10, 0)
SEVERAL = np.where(SECOND, 2, ONE)
SEVERAL_COLOURS = np.where(SECOND[..., None], (0, 255, 0), coloured(255, 0, 0)).astype(np.uint8)
WITH_BORDER = np.where(BORDER, 255, ONE)
PLAIN_255 = [0, 0, 0] + [90, 90, 90] * 254 + [255, 255, 255]

EXACT = 1.0
NEARLY = 0.97
"""IoU with what was drawn."""

MASKS = {
    "a.png grey": (saved(WHITE, "PNG"), EXACT),
    "a.png 1 bit": (saved(Image.fromarray(WHITE).convert("1"), "PNG"), EXACT),
    "a.png the number 1": (saved(ONE.astype(np.uint8), "PNG"), EXACT),
    "a.png number of 16 bits": (saved(np.where(DRAWN, 300, 0).astype(np.uint16), "PNG"), EXACT),
    "a.tif number of 16 bits": (saved(ONE.astype(np.uint16), "TIFF"), EXACT),
    "a.png dark blue": (saved(coloured(0, 0, 1), "PNG"), EXACT),
    "a.png red": (saved(coloured(255, 0, 0), "PNG"), EXACT),
    "a.gif": (saved(WHITE, "GIF"), EXACT),
    "a.bmp": (saved(coloured(9, 9, 90), "BMP"), EXACT),
    "a.webp without loss": (saved(coloured(0, 200, 0), "WEBP", lossless=True), EXACT),
    "a.png RGBA, white on black": (saved(np.dstack([WHITE] * 3 + [np.full_like(WHITE, 255)]), "PNG"), EXACT),
    "a.png RGBA, white on clear": (saved(layer(255), "PNG"), EXACT),
    "a.png RGBA, one colour, clear around": (saved(layer(200, around=200), "PNG"), EXACT),
    "a.png RGBA, the object cut out": (saved(textured(), "PNG"), EXACT),
    "a.png LA": (saved(Image.fromarray(layer(255)).convert("LA"), "PNG"), EXACT),
    "a.png clear entry": (saved(numbered(np.where(DRAWN, 2, 1)), "PNG", transparency=1), EXACT),
    "a.png VOC": (saved(numbered(ONE), "PNG"), EXACT),
    "a.png VOC with its border": (saved(numbered(WITH_BORDER), "PNG"), EXACT),
    "a.png VOC's third class with its border": (saved(numbered(np.where(DRAWN, 3, WITH_BORDER)), "PNG"), EXACT),
    "a.png numbers on greys with a border": (saved(numbered(WITH_BORDER, PLAIN_255), "PNG"), EXACT),
    "a.png palette of greys": (saved(Image.fromarray(WHITE).convert("P"), "PNG"), EXACT),
    "a.png 255 alone in a palette": (saved(numbered(WHITE), "PNG"), EXACT),
    "a.png VOC's several objects": (saved(numbered(SEVERAL), "PNG"), "holds 2 colours beside black"),
    "a.png several numbers": (saved(SEVERAL.astype(np.uint8), "PNG"), "holds 2 colours beside black"),
    "a.png several numbers of 16 bits": (saved(SEVERAL.astype(np.uint16), "PNG"), "holds 2 colours"),
    "a.png several colours": (saved(SEVERAL_COLOURS, "PNG"), "holds 2 colours beside black"),
    "a.png number and border in grey": (saved(WITH_BORDER.astype(np.uint8), "PNG"), "holds 2 colours beside black"),
    "a.png trimap": (saved(np.where(BORDER, 128, WHITE).astype(np.uint8), "PNG"), "holds 2 colours beside black"),
    **{
        f"a.jpg quality {quality}{name}": (saved(paint, "JPEG", quality=quality), NEARLY)
        for quality in (10, 30, 50, 75, 95, 100)
        for name, paint in {"": WHITE, ", red": coloured(255, 0, 0), ", dark": coloured(90, 90, 90)}.items()
    },
    "a.webp with loss": (saved(coloured(255, 255, 255), "WEBP", quality=50), NEARLY),
    "a.jpg nearly black": (saved(DARK.astype(np.uint8), "JPEG"), "too dark to tell"),
    "a.png kept as JPEG before": (None, NEARLY),
    "a.png bicubic, larger": (saved(blurred(Image.Resampling.BICUBIC, 2), "PNG"), NEARLY),
    "a.png bicubic, smaller": (saved(blurred(Image.Resampling.BICUBIC, 0.5), "PNG"), 0.94),
    "a.png bilinear": (saved(blurred(Image.Resampling.BILINEAR, 3), "PNG"), NEARLY),
    "a.png soft alpha": (saved(np.dstack([np.full((80, 96, 3), 255, np.uint8),
                                          SOFT]), "PNG"), NEARLY),
    "a.png soft edges in a palette": (saved(blurred(Image.Resampling.BICUBIC, 2).quantize(16), "PNG"), NEARLY),
    "a.png soft red": (saved(np.dstack([SOFT, 0 * SOFT, 0 * SOFT]), "PNG"),
                       NEARLY),
    "a.png a heat map": (saved((255 * np.exp(-((Y - 40) ** 2 + (X - 45) ** 2) / 400)).astype(np.uint8), "PNG"),
                         "pixels between black and the object's colour"),
    "a.png a ramp": (saved(np.tile(np.linspace(0, 255, 96).astype(np.uint8), (80, 1)), "PNG"),
                     "pixels between black|colours beside black"),
    "a.jpg a blur": (saved(blurred(Image.Resampling.BICUBIC, 0.1), "JPEG"), "pixels between black"),
}  # fmt: skip
JPEG_BEFORE = "a.png kept as JPEG before"


@pytest.mark.parametrize("name", MASKS)
def test_the_object_is_what_was_drawn(tmp_path: Path, name: str) -> None:
    file, want = MASKS[name]
    path = tmp_path / name.split()[0].rstrip(",")
    if file is None:
        (tmp_path / "a.jpg").write_bytes(saved(WHITE, "JPEG", quality=60))
        file = saved(np.asarray(Image.open(tmp_path / "a.jpg")), "PNG")
    path.write_bytes(file)
    if isinstance(want, str):
        with pytest.raises(ImageProblem, match=want) as caught:
            load_mask(path, expected_size=(96, 80))
        assert str(caught.value).startswith(path.name)
        return
    mask = load_mask(path, expected_size=(96, 80))
    assert (mask & DRAWN).sum() / (mask | DRAWN).sum() >= want


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_small_objects_with_soft_edges_are_read(tmp_path: Path, side: int) -> None:
    large = np.zeros((240, 240), np.uint8)
    large[30 : 30 + 10 * side, 30 : 30 + 10 * side] = 255
    small = Image.fromarray(large).resize((24, 24), Image.Resampling.BICUBIC)
    (tmp_path / "a.png").write_bytes(saved(small, "PNG"))
    mask = load_mask(tmp_path / "a.png", expected_size=(24, 24))
    assert mask.sum() == side**2


def test_a_thin_border_that_outshines_its_object_is_not_taken_for_it(tmp_path: Path) -> None:
    line = BORDER & ((Y - 40) ** 2 + (X - 45) ** 2 < 441)
    (tmp_path / "m.png").write_bytes(saved(np.where(line, 255, ONE).astype(np.uint8), "PNG"))
    with pytest.raises(ImageProblem, match="lines that are brighter than its object"):
        load_mask(tmp_path / "m.png", expected_size=(96, 80))
