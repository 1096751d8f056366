"""Reading images that strangers made: upright RGB or a reason why not.

Every problem is an `ImageProblem` whose message says what is wrong and what to do. Nothing is decoded before the header
has been checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from ops.refusal import Refused

T = TypeVar("T", bound=np.generic)
MAX_PIXELS = 50_000_000
FORMATS = (
    "JPEG",
    "PNG",
    "BMP",
    "GIF",
    "PPM",
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
"""Formats that are decoded by Pillow itself; others (EPS, WMF, ...) would start foreign programs."""
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright."""
ORIENTATION_TAG = 0x0112
PLAIN_MODES = frozenset({"RGB", "L", "1", "CMYK", "YCbCr"})
ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "P"})
SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_BROKEN = (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, IndexError, KeyError, TypeError)


class ImageProblem(Refused):
    """An image that can not be used; the message is the reason that goes to quarantine."""


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What the header of an image file promises."""

    width: int
    """Pixels, after EXIF orientation."""
    height: int
    """Pixels, after EXIF orientation."""
    mode: str
    """Pillow's mode, e.g. RGB, L, CMYK."""
    format: str
    orientation: int
    """EXIF orientation, 1 (upright) to 8."""


def load_image(
    path: Path, *, expected_size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode an image as HW3 uint8 RGB, EXIF orientation applied.

    Transparent pixels are laid over white; 16-bit greys are scaled to 8 bits.

    Args:
        path: The image file.
        expected_size: (width, height) in pixels that the manifest promises, after orientation.
        max_pixels: Refuse larger images by their header.

    Raises:
        ImageProblem: Missing, empty, truncated, oversized, mis-sized, or in an unusable mode.
    """
    return _decoded(path, _rgb, expected_size=expected_size, max_pixels=max_pixels)


def load_mask(path: Path, *, expected_size: tuple[int, int], max_pixels: int = MAX_PIXELS) -> NDArray[np.bool_]:
    """Decode a painted mask as HW: True where a pixel has any colour but black, and is not clear.

    Numbers of 16 bits are taken as they are, so that a mask of object numbers counts. Arguments and errors as in
    `load_image`.
    """
    return _decoded(path, _painted, expected_size=expected_size, max_pixels=max_pixels)


def inspect_image(
    path: Path, *, expected_size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> ImageHeader:
    """Check an image by its header alone, without decoding pixels.

    Raises:
        ImageProblem: Missing, empty, unreadable header, oversized, mis-sized, or in an unusable mode.
    """
    with _open(path) as image:
        return _checked_header(image, path, expected_size=expected_size, max_pixels=max_pixels)


def check_files(
    sizes: Mapping[Path, tuple[int, int] | None], *, max_pixels: int = MAX_PIXELS, workers: int = 2
) -> dict[Path, str]:
    """Decode every image once and name those that can not be used.

    Args:
        sizes: Image file -> (width, height) it must have, or None.
        max_pixels: Refuse larger images by their header.
        workers: Threads that decode.

    Returns:
        Reasons by image file; files that are fine do not appear.
    """

    def reason(item: tuple[Path, tuple[int, int] | None]) -> str | None:
        try:
            load_image(item[0], expected_size=item[1], max_pixels=max_pixels)
        except ImageProblem as problem:
            return str(problem)
        return None

    with ThreadPoolExecutor(max_workers=workers) as pool:
        reasons = pool.map(reason, sizes.items())
        return {path: text for path, text in zip(sizes, reasons, strict=True) if text is not None}


def safe_path(folder: Path, name: str) -> Path:
    """The file `name` inside `folder`, refusing every way out of it.

    Args:
        folder: Folder that the manifest's names are relative to; it may itself be a symbolic link.
        name: Relative name from a manifest.

    Raises:
        ImageProblem: An absolute name, one with `..`, or a symbolic link that leads out of the folder.
    """
    parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor != ""
    if not name.strip() or "\0" in name or absolute or ".." in parts:
        raise ImageProblem(f"{name!r} leads out of the image folder; name a file inside {folder.name}/")
    path = folder / name
    try:
        name.encode()
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as problem:
        raise ImageProblem(f"{name!r} is no usable file name ({problem})") from problem
    if not inside:
        raise ImageProblem(f"{name!r} is a link out of the image folder; copy the file into {folder.name}/")
    return path


def _open(path: Path) -> Image.Image:
    try:
        if not path.is_file():
            raise ImageProblem(f"{path.name} is missing; put it into {path.parent.name}/")
        if path.stat().st_size == 0:
            raise ImageProblem(f"{path.name} has 0 bytes; copy it again")
        return Image.open(path, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise ImageProblem(f"{path.name} is far too large ({problem}); shrink it") from problem
    except UnidentifiedImageError as problem:
        raise ImageProblem(f"{path.name} is no image of a known format ({', '.join(FORMATS)})") from problem
    except ImageProblem:
        raise
    except _BROKEN as problem:
        raise ImageProblem(f"{path.name} can not be opened ({_say(problem)})") from problem


def _checked_header(
    image: Image.Image, path: Path, *, expected_size: tuple[int, int] | None, max_pixels: int
) -> ImageHeader:
    if image.width * image.height > max_pixels:
        found = f"{image.width:,} x {image.height:,}"
        raise ImageProblem(f"{path.name} has {found} pixels, more than {max_pixels:,}; shrink it")
    if image.mode not in PLAIN_MODES | ALPHA_MODES | SIXTEEN_BIT_MODES:
        raise ImageProblem(f"{path.name} has the mode {image.mode}; save it as 8-bit RGB or grey")
    orientation = _orientation(image)
    swapped = orientation in (5, 6, 7, 8)
    size = (image.height, image.width) if swapped else image.size
    if expected_size is not None and size != tuple(expected_size):
        before = " before its EXIF rotation" if swapped and image.size == tuple(expected_size) else ""
        raise ImageProblem(
            f"{path.name} is {size[0]} x {size[1]} pixels, the manifest says {expected_size[0]} x {expected_size[1]}"
            + (f", its size{before}" if before else "")
        )
    return ImageHeader(
        width=size[0], height=size[1], mode=image.mode, format=image.format or "", orientation=orientation
    )


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except _BROKEN:
        return 1  # a damaged EXIF block says nothing about the pixels
    return value if value in UPRIGHT else 1


def _decoded(
    path: Path,
    read: Callable[[Image.Image], NDArray[T]],
    *,
    expected_size: tuple[int, int] | None,
    max_pixels: int,
) -> NDArray[T]:
    """What `read` makes of the upright image."""
    image = _open(path)
    try:
        header = _checked_header(image, path, expected_size=expected_size, max_pixels=max_pixels)
        try:
            image.load()
            upright = image.transpose(UPRIGHT[header.orientation]) if header.orientation in UPRIGHT else image
            return read(upright)
        except _BROKEN as problem:
            raise ImageProblem(f"{path.name} is truncated or damaged ({_say(problem)}); copy it again") from problem
    finally:
        image.close()


def _painted(image: Image.Image) -> NDArray[np.bool_]:
    if image.mode in SIXTEEN_BIT_MODES:
        return np.asarray(image) != 0
    rgba_HW4 = np.asarray(image.convert("RGBA"))
    return np.asarray(rgba_HW4[..., :3].any(2) & (rgba_HW4[..., 3] > 0))


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in SIXTEEN_BIT_MODES:
        grey_HW = np.round(np.asarray(image, dtype=np.float64) / 257).astype(np.uint8)
        return np.repeat(grey_HW[:, :, None], 3, axis=2)
    if image.mode in ALPHA_MODES and (image.mode != "P" or "transparency" in image.info):
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, over)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _say(problem: Exception) -> str:
    """The problem without the absolute path that the operating system adds: reasons must not depend on the machine."""
    return (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
