"""One table of HEIC and AVIF files: every photograph comes out upright, 8 bits, sRGB, or with a reason why not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

from resources.datasets.images import ImageProblem, check_files, inspect_image, load_image, load_mask
from tests.cases.image_files import saved
from tests.cases.test_image_features import (
    COLOURS,
    CORNERS,
    NOISE,
    PAGES,
    RED_AND_GREEN_CHANGED,
    RGB,
    STORED_AS,
    Case,
    grey,
    over_white,
    swapped_colours,
)

AS_IT_IS: dict[str, Any] = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
SAMPLES = np.add.outer(np.arange(64), np.linspace(0, 960, 64)).astype(np.uint16)
"""Ten bits, from black to white."""
BIG = np.kron(RGB, np.ones((16, 16, 1), np.uint8))
HALF = np.dstack([BIG, np.full_like(BIG[..., 0], 128)])


def heic(samples: np.ndarray, mode: str = "RGB", **options: Any) -> bytes:
    """Lossless unless asked otherwise."""
    height, width = samples.shape[:2]
    return written(pillow_heif.from_bytes(mode, (width, height), samples.tobytes()), **options)


def written(file: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    file.save(buffer, **{**AS_IT_IS, **options})
    return buffer.getvalue()


def several(*images: np.ndarray, primary: int) -> bytes:
    file = pillow_heif.HeifFile()
    for image in images:
        file.add_frombytes("RGB", image.shape[1::-1], image.tobytes())
    return written(file, primary_index=primary)


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def with_xmp(orientation: int) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def of_size(width: int, height: int) -> bytes:
    """A photograph that promises other sizes than its pixels have."""
    whole = heic(BIG)
    at = whole.index(b"ispe") + 8
    return whole[:at] + width.to_bytes(4) + height.to_bytes(4) + whole[at + 8 :]


def branded(brand: bytes) -> bytes:
    whole = heic(BIG)
    return whole[:8] + brand + whole[12:]


ten = np.dstack([SAMPLES, SAMPLES[::-1], SAMPLES])
TABLE = {
    "a.heic": Case(heic(BIG), BIG),
    "a.jpg whose name is wrong": Case(heic(BIG), BIG),
    "a.heic as cameras write it": Case(heic(COLOURS, quality=90, chroma=420, matrix_coefficients=1), COLOURS, NOISE),
    "a.heic in tiles": Case(heic(np.tile(BIG, (2, 2, 1)), tile_size=64), np.tile(BIG, (2, 2, 1))),
    "a.heif": Case(branded(b"mif1"), BIG),
    "a.heic grey": Case(heic(BIG[..., 0].copy(), "L"), grey(BIG[..., 0])),
    # bit depth
    "a.heic 10 bits": Case(heic(ten * 64, "RGB;16"), np.round(ten / 1023 * 255).astype(np.uint8), 1),
    "a.heic 12 bits": Case(
        heic(ten * 64, "RGB;16", bit_depth=12), np.round(ten / 1023 * 255).astype(np.uint8), 1),
    "a.heic 10 bits grey": Case(heic(SAMPLES * 64, "I;16"), grey(np.round(SAMPLES / 1023 * 255)), 1),
    "a.hif HDR": Case(heic(ten * 64, "RGB;16", color_primaries=9, transfer_characteristics=16, matrix_coefficients=9),
                      "brightness of HDR .PQ.; save it as 8-bit"),
    # transparency
    "a.heic RGBA": Case(heic(HALF, "RGBA"), over_white(BIG, HALF[..., 3]), 1),
    "a.heic premultiplied": Case(
        heic(np.dstack([np.round(BIG * (128 / 255)).astype(np.uint8), HALF[..., 3]]), "RGBa"),
        over_white(BIG, HALF[..., 3]), 2),
    # colour profile
    "a.heic profile": Case(heic(BIG, icc_profile=swapped_colours()), np.kron(
        RED_AND_GREEN_CHANGED, np.ones((16, 16, 1), np.uint8)), 2),
    "a.heic damaged profile": Case(heic(BIG, icc_profile=b"no profile"), BIG),
    # several images in one file
    "a.heic of two, the first": Case(several(BIG, CORNERS, primary=0), BIG),
    "a.heic of two, the second": Case(several(BIG, CORNERS, primary=1), CORNERS),
    **{f"a.heics {brand.decode()}": Case(branded(brand), "sequence of images") for brand in (b"hevc", b"msf1")},
    # damage
    "a.heic cut in its header": Case(heic(BIG)[:100], "begins as a HEIF image but is damaged"),
    "a.heic cut in its pixels": Case(heic(BIG)[:-20], "truncated or damaged"),
    "a.heic huge": Case(of_size(30_000, 30_000), "far too large|shrink it"),
    "a.heic large": Case(of_size(8_000, 8_000), "more than 50,000,000; shrink it"),
    "a.heic smaller than its pixels": Case(of_size(20, 20), "truncated or damaged"),
    "a.heic larger than its pixels": Case(of_size(2_000, 2_000), "truncated or damaged"),
    "a.heic without width": Case(of_size(0, 6), "damaged|holds no pixel"),
    "a.mp4": Case(branded(b"isom"), "no image of a known format"),
}  # fmt: skip
AVIF_TABLE = {
    "a.avif": lambda: Case(saved(BIG, "AVIF", quality=100, subsampling="4:4:4"), BIG, NOISE),
    "a.avif mif1": lambda: Case(
        saved(COLOURS, "AVIF", quality=90).replace(b"ftypavif", b"ftypmif1", 1), COLOURS, NOISE),
    "a.avif RGBA": lambda: Case(
        saved(np.dstack([COLOURS, np.full((16, 32), 128, np.uint8)]), "AVIF", quality=100),
        over_white(COLOURS, np.full((16, 32), 128)), NOISE),
    "a.avif profile": lambda: Case(
        saved(COLOURS, "AVIF", quality=100, icc_profile=swapped_colours()), COLOURS[..., [1, 0, 2]], NOISE),
    "a.avif animated": lambda: Case(
        saved(COLOURS, "AVIF", save_all=True, append_images=[Image.new("RGB", (32, 16))]), PAGES),
    "a.avif cut": lambda: Case(saved(BIG, "AVIF")[:-40], "truncated or damaged"),
    "a.avif cut in its header": lambda: Case(saved(BIG, "AVIF")[:60], "AVIF image but is damaged|can not be opened"),
}  # fmt: skip
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


def check(case: Case, path: Path) -> None:
    path.write_bytes(case.file)
    if isinstance(case.want, str):
        with pytest.raises(ImageProblem, match=case.want) as caught:
            load_image(path)
        assert str(caught.value).startswith(path.name)
        return
    got, header = load_image(path), inspect_image(path)
    assert got.shape == (header.height, header.width, 3) == case.want.shape
    assert int(np.abs(got.astype(int) - case.want).max()) <= case.noise


@pytest.mark.parametrize("name", TABLE)
def test_a_heif_photograph_is_read_as_its_decoder_describes_it(tmp_path: Path, name: str) -> None:
    check(TABLE[name], tmp_path / name.split()[0])


@needs_avif
@pytest.mark.parametrize("name", AVIF_TABLE)
def test_an_avif_photograph_is_read_by_pillow(tmp_path: Path, name: str) -> None:
    check(AVIF_TABLE[name](), tmp_path / name.split()[0])


UPRIGHT = np.kron(CORNERS, np.ones((4, 4, 1), np.uint8))


def test_an_orientation_is_undone_once(tmp_path: Path) -> None:
    """Boxes say how to turn; EXIF and XMP repeat it, or say it of pixels that are upright by the boxes."""
    files = {}
    for turned in range(2, 9):
        stored = np.asarray(Image.fromarray(UPRIGHT).transpose(STORED_AS[turned]))
        files[f"boxes and EXIF {turned}.heic"] = oriented(stored, boxes=turned, exif=turned)
        files[f"boxes {turned}.heic"] = oriented(stored, boxes=turned, exif=1)
        files[f"EXIF alone {turned}.heic"] = oriented(UPRIGHT, boxes=1, exif=turned)
        files[f"XMP alone {turned}.heic"] = heic(UPRIGHT, xmp=with_xmp(1)).replace(with_xmp(1), with_xmp(turned))
        if features.check("avif"):
            files[f"boxes {turned}.avif"] = saved(stored, "AVIF", exif=with_exif(turned), **FINE)
            files[f"XMP alone {turned}.avif"] = saved(UPRIGHT, "AVIF", xmp=with_xmp(turned), **FINE)
    for name, file in files.items():
        path = tmp_path / name
        path.write_bytes(file)
        got, header = load_image(path, expected_size=UPRIGHT.shape[1::-1]), inspect_image(path)
        assert (header.height, header.width) == UPRIGHT.shape[:2], name
        assert int(np.abs(got.astype(int) - UPRIGHT).max()) <= NOISE, name


FINE = {"quality": 100, "subsampling": "4:4:4"}


def oriented(stored: np.ndarray, *, boxes: int, exif: int) -> bytes:
    """The writer makes boxes of the EXIF that it is given, and keeps it."""
    file = pillow_heif.from_bytes("RGB", stored.shape[1::-1], stored.tobytes())
    file[0].info["exif"] = with_exif(boxes)
    whole = written(file)
    assert with_exif(boxes) in whole
    return whole.replace(with_exif(boxes), with_exif(exif))


def test_masks_and_checks_read_them_too(tmp_path: Path) -> None:
    painted = np.zeros((64, 96), np.uint8)
    painted[10:40, 20:60] = 255
    (tmp_path / "mask.heic").write_bytes(heic(painted, "L", quality=80, chroma=420, matrix_coefficients=1))
    (tmp_path / "cut.heic").write_bytes(heic(painted, "L")[:-20])
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.heic", expected_size=(96, 64)), painted > 0)
    files = {tmp_path / "mask.heic": (96, 64), tmp_path / "cut.heic": None}
    assert list(check_files(files)) == [tmp_path / "cut.heic"]
