"""Pictures come out upright and RGB, or with a reason why not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resources.datasets.images import ImageProblem, check_files, inspect_image, load_image, load_mask, safe_path

from .conftest import picture


def test_a_picture_is_read_as_rgb(tmp_path: Path) -> None:
    image_HW3 = load_image(picture(tmp_path / "a.png"), expected_size=(40, 30))
    assert image_HW3.shape == (30, 40, 3)
    assert image_HW3.dtype == np.uint8
    assert image_HW3[0, 0].tolist() == [255, 0, 0]
    assert image_HW3[0, -1].tolist() == [0, 0, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3))
    stored_as = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(stored_as[orientation]) if orientation in stored_as else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png", expected_size=(4, 6)), np.asarray(upright))
    header = inspect_image(tmp_path / "a.png")
    assert (header.width, header.height) == (4, 6)


def test_the_manifests_size_is_the_upright_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "a.jpg", exif=exif)
    with pytest.raises(ImageProblem, match="is 30 x 40 pixels, the manifest says 40 x 30, its size before its EXIF"):
        load_image(tmp_path / "a.jpg", expected_size=(40, 30))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_mask_is_what_is_painted_and_not_clear(tmp_path: Path, mode: str) -> None:
    painted_HW = np.zeros((6, 8), bool)
    painted_HW[1:4, 2:7] = True
    if mode == "I;16":
        image = Image.fromarray(painted_HW.astype(np.uint16) * 100)  # the number of an object
    elif mode in ("LA", "RGBA"):
        grey_HW = np.full((6, 8), 200, np.uint8)  # the same colour everywhere, clear around the object
        image = Image.merge("LA", [Image.fromarray(grey_HW), Image.fromarray(painted_HW.astype(np.uint8) * 255)])
        image = image.convert(mode)
    else:
        image = Image.fromarray(painted_HW.astype(np.uint8) * 255).convert(mode)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png", expected_size=(8, 6)), painted_HW)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_usual_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    white = Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode)
    name = "a.jpg" if mode == "CMYK" else "a.png"
    white.save(tmp_path / name)
    np.testing.assert_array_equal(load_image(tmp_path / name), np.full((4, 5, 3), 255, np.uint8))


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").min() == 255


@pytest.mark.parametrize("orientation", [1, 6])
def test_sixteen_bit_greys_are_scaled(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = np.array([[0, 257, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    image_HW3 = load_image(tmp_path / "a.png")
    assert image_HW3[..., 0].ravel().tolist() == [0, 1, 255]
    assert image_HW3.shape == ((1, 3, 3) if orientation == 1 else (3, 1, 3))


def test_a_floating_point_picture_is_refused(tmp_path: Path) -> None:
    Image.new("F", (3, 3)).save(tmp_path / "a.tiff")
    with pytest.raises(ImageProblem, match="mode F; save it as 8-bit"):
        inspect_image(tmp_path / "a.tiff")


def test_missing_and_empty_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match=r"a\.jpg is missing; put it into"):
        load_image(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").touch()
    with pytest.raises(ImageProblem, match=r"b\.jpg has 0 bytes"):
        inspect_image(tmp_path / "b.jpg")


def test_half_a_jpeg_passes_the_header_and_fails_the_decoder(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg", width=200, height=200)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert inspect_image(path).width == 200
    with pytest.raises(ImageProblem, match=r"a\.jpg is truncated or damaged"):
        load_image(path)


def test_a_damaged_png_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", width=100, height=100)
    whole = path.read_bytes()
    for cut in range(1, whole.index(b"IDAT") + 8, 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(ImageProblem):
            load_image(path)


def test_text_with_a_pictures_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("<html>not found</html>")
    with pytest.raises(ImageProblem, match="no image of a known format"):
        load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("side", [30_000, 8_000])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b""))
    for read in (inspect_image, load_image):
        with pytest.raises(ImageProblem, match="shrink it"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b.jpg", "..\\b.jpg", "C:\\b.jpg", "", " ", "a\0.jpg", "\udce9.jpg"],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageProblem):
        safe_path(tmp_path, name)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside" / "a.jpg")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.jpg").symlink_to(outside)
    with pytest.raises(ImageProblem, match="link out of the image folder"):
        safe_path(inside, "a.jpg")
    (tmp_path / "linked").symlink_to(outside.parent)
    assert safe_path(tmp_path / "linked", "a.jpg").is_file(), "the folder itself may be a link"


def test_check_files_names_the_broken_ones_only(tmp_path: Path) -> None:
    good, short = picture(tmp_path / "a.jpg"), picture(tmp_path / "b.jpg", width=300, height=300)
    short.write_bytes(short.read_bytes()[:1500])
    assert list(check_files({good: (40, 30), short: None})) == [short]
    assert list(check_files({good: (41, 30)})) == [good]
