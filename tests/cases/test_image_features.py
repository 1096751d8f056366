"""One table of formats x features: every image comes out upright, 8 bits, sRGB, or with a reason why not."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from resources.datasets.images import ImageProblem, check_files, inspect_image, load_image, load_mask
from tests.cases.image_files import cmyk_table, gamma, icc, png, saved, tiff, xyz

RGB = np.random.default_rng(17).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = RGB[..., 0].copy()
CLEAR = GREY < 100
WIDE = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
"""Sixteen bits, from black to white."""
DARK = WIDE // 16
"""Twelve bits in sixteen."""
NOISE = 12
"""Grey levels that lossy formats may differ on a smooth image."""
SMOOTH = np.dstack([np.tile(np.linspace(0, 255, 32), (16, 1))] * 3).astype(np.uint8)
COLOURS = np.full((16, 32, 3), (200, 90, 60), np.uint8)
PAGES = "animation or has several pages"
BITS = "12 bits are kept in 16"


def grey(values: np.ndarray) -> np.ndarray:
    """HW to HW3."""
    return np.dstack([values] * 3).astype(np.uint8)


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.round(rgb * share + 255 * (1 - share)).astype(np.uint8)


def encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] as sRGB in [0, 255]."""
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_colours() -> bytes:
    """The profile of sRGB whose red and green have changed places: a profile that nobody overlooks."""
    return srgb().replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")


def wide_gamut() -> bytes:
    """Adobe RGB."""
    red, green, blue = xyz(0.60974, 0.31111, 0.01947), xyz(0.20528, 0.62567, 0.06087), xyz(0.14919, 0.06322, 0.74457)
    curves = {name: gamma(2.19921875) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return icc(b"RGB ", {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue} | curves)


def adobe_to_srgb(rgb: np.ndarray) -> np.ndarray:
    """By the two spaces' published matrices."""
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_rgb = np.array([[3.24045, -1.53714, -0.49853], [-0.96927, 1.87601, 0.04156], [0.05564, -0.20403, 1.05723]])
    return encoded(np.clip((rgb / 255) ** 2.19921875 @ to_xyz.T @ to_rgb.T, 0, 1))


def sixteen(rgb: np.ndarray, *, kind: str = ".png") -> bytes:
    """An RGB(A) image of 16 bits a colour."""
    order = [2, 1, 0, 3][: rgb.shape[2]]
    return bytes(cv2.imencode(kind, rgb[..., order])[1])


def twelve_bit_tiff(values: np.ndarray) -> bytes:
    wide = (values[..., None] >> np.arange(12)[::-1]) & 1
    packed = np.packbits(wide.reshape(len(values), -1).astype(np.uint8), axis=1)
    return tiff((packed, {256: values.shape[1], 258: 12, 262: 1}))


def grey_tiff(values: np.ndarray, *, bits: int, photometric: int = 1, **more: int) -> bytes:
    return tiff(
        (values, {256: values.shape[1], 258: bits, 262: photometric} | {int(k[1:]): v for k, v in more.items()})
    )


def animated(kind: str) -> bytes:
    """Three frames that begin black."""
    first, *others = [Image.new("RGB", (8, 6), colour) for colour in ("black", "red", "white")]
    return saved(first, kind, save_all=True, append_images=others, duration=100)


def two_pages(subfile: int) -> bytes:
    tags: dict[int, int | Sequence[int]] = {256: 8, 258: [8, 8, 8], 262: 2, 277: 3}
    return tiff((RGB, tags), (RGB[::-1].copy(), {**tags, 254: subfile}))


def with_text(length: int, *, last: bool = False) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "a" * length, zip=True)
    whole = saved(RGB, "PNG", pnginfo=text)
    begin, end = whole.index(b"zTXt") - 4, whole.index(b"IDAT") - 4
    return whole[:begin] + whole[end:-12] + whole[begin:end] + whole[-12:] if last else whole


@dataclass(frozen=True)
class Case:
    file: bytes
    want: np.ndarray | str
    """Pixels, or a part of the reason."""
    noise: int = 0
    """Grey levels between what is read and `want`."""


straight_rgba = np.dstack([RGB, np.where(CLEAR, 0, 255)]).astype(np.uint8)
half_rgba = np.dstack([RGB, np.full_like(GREY, 128)])
premultiplied = np.dstack([np.round(RGB * (128 / 255)), np.full_like(GREY, 128)]).astype(np.uint8)
la = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(np.where(CLEAR, 0, 255).astype(np.uint8))])
palette = Image.fromarray((GREY // 64).astype(np.uint8))
palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)[GREY // 64]
NOT_FIRST = np.where((GREY // 64 == 0)[..., None], 255, PALETTE).astype(np.uint8)
cmyk = Image.fromarray(RGB).convert("CMYK")
CYAN = Image.new("CMYK", (8, 6), (255, 0, 0, 0))
RED_AND_GREEN_CHANGED = np.ascontiguousarray(RGB[..., [1, 0, 2]])
LINEAR_GREY = icc(b"GRAY", {b"kTRC": gamma(1.0)})
CYAN_IS_RED = icc(
    b"CMYK", {b"A2B0": cmyk_table({(1, 0, 0, 0): (53, 80, 67), (0, 0, 0, 1): (0, 0, 0)})}, between=b"Lab "
)
lab = Image.new("LAB", (8, 6), (138, 209, 198))

TABLE = {
    # bit depth
    "a.png 1 bit": Case(png(CLEAR.astype(int)[..., None], colour=0, bits=1), grey(CLEAR * 255)),
    "a.png 2 bits": Case(png(GREY[..., None] // 64, colour=0, bits=2), grey(GREY // 64 * 85)),
    "a.png 4 bits": Case(png(GREY[..., None] // 16, colour=0, bits=4), grey(GREY // 16 * 17)),
    "a.png 8 bits grey": Case(saved(GREY, "PNG"), grey(GREY)),
    "a.png 8 bits": Case(saved(RGB, "PNG"), RGB),
    "a.png 16 bits grey": Case(saved(WIDE, "PNG"), grey(np.round(WIDE / 257))),
    "a.png 16 bits": Case(sixteen(np.dstack([WIDE, WIDE[::-1], WIDE])), np.dstack([WIDE, WIDE[::-1], WIDE]) // 256),
    "a.png 12 in 16 bits grey": Case(saved(DARK, "PNG"), BITS),
    "a.png 12 in 16 bits": Case(sixteen(np.dstack([DARK] * 3)), BITS),
    "a.png 12 in 16 bits, alpha": Case(sixteen(np.dstack([DARK] * 3 + [np.full_like(DARK, 65535)])), BITS),
    "a.png 16 bits black": Case(saved(np.zeros((6, 8), np.uint16), "PNG"), grey(np.zeros((6, 8)))),
    "a.tif 12 bits": Case(twelve_bit_tiff(DARK), grey(np.round(DARK / 4095 * 255))),
    "a.tif 10 bits": Case(grey_tiff(DARK, bits=10), "begins as a TIFF image but"),
    "a.tif 16 bits grey": Case(grey_tiff(WIDE, bits=16), grey(np.round(WIDE / 257))),
    "a.tif 16 bits, 0 is white": Case(grey_tiff(WIDE, bits=16, photometric=0), grey(np.round((65535 - WIDE) / 257))),
    "a.tif 8 bits, 0 is white": Case(grey_tiff(GREY, bits=8, photometric=0), grey(255 - GREY)),
    "a.tif 12 in 16 bits grey": Case(grey_tiff(DARK, bits=16), BITS),
    "a.tif 16 bits": Case(sixteen(np.dstack([WIDE] * 3), kind=".tiff"), grey(WIDE // 256)),
    "a.tif 12 in 16 bits": Case(sixteen(np.dstack([DARK] * 3), kind=".tiff"), BITS),
    "a.tif 16 bits in planes": Case(
        tiff((np.stack([WIDE] * 3), {256: 8, 257: 6, 258: [16] * 3, 262: 2, 277: 3, 284: 2, 278: 6,
                                     273: [8, 104, 200], 279: [96] * 3})), "in planes; save it as 8-bit RGB"),
    "a.tif float": Case(saved(np.zeros((6, 8), np.float32), "TIFF"), "mode F; save it as 8-bit"),
    "a.tif 32 bits": Case(saved(np.zeros((6, 8), np.int32), "TIFF"), "mode I; save it as 8-bit"),
    "a.pgm 16 bits": Case(b"P5 8 6 65535 " + WIDE.astype(">u2").tobytes(), grey(np.round(WIDE / 257))),
    "a.pgm 12 bits": Case(b"P5 8 6 4095 " + DARK.astype(">u2").tobytes(), grey(np.round(DARK / 4095 * 255)), 1),
    "a.ppm 8 bits": Case(saved(RGB, "PPM"), RGB),
    "a.bmp 8 bits": Case(saved(RGB, "BMP"), RGB),
    # colour
    "a.jpg grey": Case(saved(SMOOTH[..., 0], "JPEG"), SMOOTH, NOISE),
    "a.jpg progressive": Case(saved(SMOOTH, "JPEG", progressive=True), SMOOTH, NOISE),
    "a.jpg CMYK": Case(saved(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"), SMOOTH, NOISE),
    "a.tif CMYK": Case(saved(cmyk, "TIFF"), RGB, 1),
    "a.tif CMYK deflated": Case(saved(cmyk, "TIFF", compression="tiff_adobe_deflate"), RGB, 1),
    "a.tif LAB": Case(saved(lab, "TIFF"), np.full((6, 8, 3), [254, 0, 0]), 6),
    "a.webp": Case(saved(RGB, "WEBP", lossless=True), RGB),
    "a.png interlaced": Case(png(RGB, colour=2, lace=True), RGB),
    "a.gif": Case(saved(palette, "GIF"), PALETTE),
    "a.tif palette": Case(saved(palette, "TIFF"), PALETTE),
    "a.png palette": Case(saved(palette, "PNG"), PALETTE),
    # transparency
    "a.png RGBA": Case(saved(straight_rgba, "PNG"), over_white(RGB, straight_rgba[..., 3])),
    "a.png LA": Case(saved(la, "PNG"), over_white(grey(GREY), straight_rgba[..., 3])),
    "a.png RGBA 16 bits": Case(sixteen(half_rgba.astype(np.uint16) * 257), over_white(RGB, half_rgba[..., 3]), 1),
    "a.webp RGBA": Case(saved(half_rgba, "WEBP", lossless=True, exact=True), over_white(RGB, half_rgba[..., 3]), 1),
    "a.tif RGBA": Case(saved(half_rgba, "TIFF"), over_white(RGB, half_rgba[..., 3]), 1),
    "a.tif premultiplied": Case(
        tiff((premultiplied, {256: 8, 258: [8] * 4, 262: 2, 277: 4, 338: 1})), over_white(RGB, half_rgba[..., 3]), 2),
    "a.tif grey premultiplied": Case(
        tiff((premultiplied[..., [0, 3]].copy(), {256: 8, 258: [8] * 2, 262: 1, 277: 2, 338: 1})),
        over_white(grey(GREY), half_rgba[..., 3]), 2),
    "a.png palette with one clear entry": Case(saved(palette, "PNG", transparency=0), NOT_FIRST),
    "a.png palette with alphas": Case(
        saved(palette, "PNG", transparency=bytes([0, 255, 255, 255])), NOT_FIRST),
    "a.gif with a clear entry": Case(saved(palette, "GIF", transparency=0), NOT_FIRST),
    "a.png clear grey": Case(saved(GREY, "PNG", transparency=int(GREY[2, 3])),
                             grey(np.where(GREY[2, 3] == GREY, 255, GREY))),
    "a.png clear grey, 4 bits": Case(
        png(GREY[..., None] // 16, colour=0, bits=4, chunks=[(b"tRNS", struct.pack(">H", 3))]),
        grey(np.where(GREY // 16 == 3, 255, GREY // 16 * 17))),
    "a.png clear grey, 1 bit": Case(
        png(CLEAR.astype(int)[..., None], colour=0, bits=1, chunks=[(b"tRNS", struct.pack(">H", 0))]),
        grey(np.full((6, 8), 255))),
    "a.png clear grey, 16 bits": Case(
        png(WIDE[..., None], colour=0, bits=16, chunks=[(b"tRNS", struct.pack(">H", int(WIDE[0, 0])))]),
        grey(np.where(WIDE[0, 0] == WIDE, 255, np.round(WIDE / 257)))),
    "a.png clear colour": Case(
        saved(RGB, "PNG", transparency=tuple(int(v) for v in RGB[1, 1])),
        np.where((RGB[1, 1] == RGB).all(2)[..., None], 255, RGB)),
    "a.png clear colour, 16 bits": Case(
        png(RGB.astype(int) * 257, colour=2, bits=16, chunks=[(b"tRNS", bytes(6))]), "transparent colour; save it as"),
    # colour profile
    "a.png sRGB profile": Case(saved(RGB, "PNG", icc_profile=srgb()), RGB),
    "a.png profile": Case(saved(RGB, "PNG", icc_profile=swapped_colours()), RED_AND_GREEN_CHANGED, 2),
    "a.tif profile": Case(saved(RGB, "TIFF", icc_profile=swapped_colours()), RED_AND_GREEN_CHANGED, 2),
    "a.webp profile": Case(
        saved(RGB, "WEBP", lossless=True, icc_profile=swapped_colours()), RED_AND_GREEN_CHANGED, 2),
    "a.jpg wide gamut": Case(
        saved(COLOURS, "JPEG", icc_profile=wide_gamut(), quality=100, subsampling=0), adobe_to_srgb(COLOURS), NOISE),
    "a.png wide gamut": Case(saved(RGB, "PNG", icc_profile=wide_gamut()), adobe_to_srgb(RGB), 3),
    "a.png profile and alpha": Case(
        saved(half_rgba, "PNG", icc_profile=swapped_colours()),
        over_white(RED_AND_GREEN_CHANGED, half_rgba[..., 3]), 2),
    "a.png profile and palette": Case(saved(palette, "PNG", icc_profile=swapped_colours()), PALETTE[..., [1, 0, 2]], 2),
    "a.png grey profile": Case(saved(GREY, "PNG", icc_profile=LINEAR_GREY), grey(np.round(encoded(GREY / 255))), 2),
    "a.tif CMYK profile": Case(
        saved(CYAN, "TIFF", icc_profile=CYAN_IS_RED), np.full((6, 8, 3), [254, 0, 0]), 8),
    "a.jpg CMYK profile": Case(
        saved(CYAN, "JPEG", icc_profile=CYAN_IS_RED, quality=100), np.full((6, 8, 3), [254, 0, 0]), 8),
    "a.png damaged profile": Case(saved(RGB, "PNG", icc_profile=b"no profile"), RGB),
    "a.png cut profile": Case(saved(RGB, "PNG", icc_profile=srgb()[:200]), RGB),
    "a.png profile of other colours": Case(saved(RGB, "PNG", icc_profile=LINEAR_GREY), RGB),
    "a.png large profile": Case(saved(RGB, "PNG", icc_profile=srgb() + bytes(3_000_000)), RGB),
    # several images in one file
    "a.gif animated": Case(animated("GIF"), PAGES),
    "a.webp animated": Case(animated("WEBP"), PAGES),
    "a.png animated": Case(animated("PNG"), PAGES),
    "a.tif pages": Case(animated("TIFF"), PAGES),
    "a.tif two pages": Case(two_pages(0), PAGES),
    "a.tif with a smaller copy": Case(two_pages(1), RGB),
    "a.tif with a mask": Case(two_pages(4), RGB),
    "a.jpg MPO": Case(
        saved(SMOOTH, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 6))]), SMOOTH, NOISE),
    # what surrounds the pixels
    "a.png large text": Case(with_text(3_000_000), RGB),
    "a.png large text at the end": Case(with_text(3_000_000, last=True), RGB),
    "a.jpg without its end": Case(saved(SMOOTH, "JPEG")[:-2], "truncated or damaged"),
    "a.png without its end": Case(saved(RGB, "PNG")[:-12], RGB),
    "a.png cut": Case(saved(RGB, "PNG")[:-30], "truncated or damaged"),
    "a.png without width": Case(png(np.zeros((4, 0, 3), int), colour=2), "holds no pixel|damaged"),
    "a.ppm without height": Case(b"P6 8 0 255 ", "holds no pixel|known format"),
    "a.jpg of 12 bits": Case(saved(SMOOTH, "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
                             "begins as a JPEG"),
    "a.png a web page": Case(b"<html>not found</html>", "no image of a known format"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_an_image_is_read_as_its_decoder_describes_it(tmp_path: Path, name: str) -> None:
    case, path = TABLE[name], tmp_path / name.split()[0]
    path.write_bytes(case.file)
    if isinstance(case.want, str):
        with pytest.raises(ImageProblem, match=case.want) as caught:
            load_image(path)
        assert str(caught.value).startswith(path.name)
        assert str(tmp_path) not in str(caught.value)
        return
    got, header = load_image(path), inspect_image(path)
    assert got.dtype == np.uint8
    assert got.shape == (header.height, header.width, 3) == case.want.shape
    assert int(np.abs(got.astype(int) - case.want).max()) <= case.noise


STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
WRITERS: dict[str, tuple[str, dict[str, Any], int]] = {
    "jpg": ("JPEG", {"quality": 100, "subsampling": 0}, 3),
    "mpo": ("MPO", {"quality": 100, "subsampling": 0}, 3),
    "png": ("PNG", {}, 0),
    "webp": ("WEBP", {"lossless": True}, 0),
    "tif": ("TIFF", {}, 0),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}, 0),
    "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
}
CORNERS = np.full((16, 24, 3), 255, np.uint8)
CORNERS[:8, :8], CORNERS[:8, 16:], CORNERS[8:, :8] = 0, (64, 64, 64), (160, 160, 160)


def test_a_png_whose_pixels_are_not_all_there_is_damaged_wherever_its_orientation_stands(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 1
    for options in ({}, {"exif": exif}):
        whole = saved(RGB, "PNG", **options)
        damaged = bytearray(whole)
        damaged[whole.index(b"IEND") - 12 : whole.index(b"IEND") - 8] = b"xxxx"  # the sum of all pixels
        (tmp_path / "image.png").write_bytes(bytes(damaged))
        with pytest.raises(ImageProblem, match="broken data stream"):
            load_image(tmp_path / "image.png")


def test_a_png_whose_sums_are_wrong_is_damaged(tmp_path: Path) -> None:
    sound = png(RGB, colour=2)
    path = tmp_path / "image.png"
    path.write_bytes(sound)
    assert (load_image(path) == RGB).all()
    path.write_bytes(sound[:-12])  # its last part holds no pixel
    assert (load_image(path) == RGB).all()
    for place in (sound.index(b"IDAT") + 20, len(sound) - 12 - 6, len(sound) - 12 - 2):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 255]) + sound[place + 1 :])
        with pytest.raises(ImageProblem, match=r"image\.png is truncated or damaged"):
            load_image(path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (png(np.zeros((4, 5, 1), np.uint8), colour=3), "has no palette"),
        (grey_tiff(np.zeros((4, 5), np.uint8), bits=8, _339=2), "has samples below 0"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is no image .* but a pointer of git-lfs .*git lfs pull",
        ),
        (b"<!DOCTYPE html><html>", "is no image .* but a web page"),
    ],
)
def test_what_holds_no_pixels_that_are_known_says_why(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "image").write_bytes(data)
    with pytest.raises(ImageProblem, match=f"image {told}"):
        load_image(tmp_path / "image")
    assert "image" in check_files({tmp_path / "image": None})[tmp_path / "image"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", WRITERS)
def test_every_orientation_of_every_format_is_undone_once(tmp_path: Path, kind: str, orientation: int) -> None:
    upright, path, exif = Image.fromarray(CORNERS), tmp_path / f"a.{kind}", Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(STORED_AS[orientation]) if orientation in STORED_AS else upright
    writer, options, noise = WRITERS[kind]
    path.write_bytes(saved(stored, writer, exif=exif, **options))
    got, header = load_image(path, expected_size=(24, 16)), inspect_image(path, expected_size=(24, 16))
    assert (header.width, header.height) == (24, 16)
    assert int(np.abs(got.astype(int) - CORNERS).max()) <= noise


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is a named pipe"),
        (os.mkdir, "is a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        (lambda path: path.symlink_to(path), "can not be opened"),
        (lambda path: None, r"is missing; put it into"),
        (lambda path: path.touch(), "has 0 bytes"),
    ],
)
def test_what_is_no_regular_file_is_a_problem_at_once(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "a.png"
    make(path)
    for read in (inspect_image, load_image, lambda path: load_mask(path, expected_size=(8, 6))):
        with pytest.raises(ImageProblem, match=rf"^'?a\.png'? {reason}"):
            read(path)


def test_a_file_without_permission_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ImageProblem, match=r"a\.png may not be read by this user; give it read permission") as caught:
        inspect_image(tmp_path / "a.png")
    assert str(tmp_path) not in str(caught.value)
