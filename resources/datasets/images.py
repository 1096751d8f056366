"""Reading images that strangers made: upright RGB or a reason why not.

Every problem is an `ImageProblem` whose message says what is wrong and what to do. Nothing is decoded before the header
has been checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from ops.refusal import Refused
from resources.datasets.heif import BOXED, boxed_kind, let_pillow_read_heif, undo_no_orientation_twice
from resources.datasets.image_colours import Samples, described, mode_problem, to_rgb
from resources.datasets.painted_masks import painted
from resources.mistaken import HEAD, mistaken_for
from resources.opening import open_file

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
    *BOXED,
)
"""Formats that are decoded in this process; others (EPS, WMF, ...) would start foreign programs."""
SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
}
"""First bytes -> format, to tell a damaged or unusual image from none."""
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
SWAPPING = (5, 6, 7, 8)
"""Orientations that swap width and height."""
REDUCED_OR_MASK = 1 | 4
"""Bits of TIFF's tag NewSubfileType: the page is a smaller copy of another one, or its transparency."""
_SUBFILE_TAG = 254
WHICH = ", and nothing says which of them is meant; save that one as an image of its own"
DAMAGED = ("is truncated or damaged", "; copy it again, or save it anew")
_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = frozenset({b"IHDR", b"PLTE", b"IDAT"})
"""Parts of a PNG without which there is no image."""

PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # a long comment (a workflow, XMP) is no attack


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

    Transparent pixels are laid over white, samples of more than 8 bits are scaled to 8, and colours of an embedded
    profile are brought to sRGB (`resources.datasets.image_colours`).

    Args:
        path: The image file.
        expected_size: (width, height) in pixels that the manifest promises, after orientation.
        max_pixels: Refuse larger images by their header.

    Raises:
        ImageProblem: Missing, no regular file, empty, truncated, oversized, mis-sized, animated, of several pages, or
            in an unusable mode.
    """
    return _decoded(path, to_rgb, expected_size=expected_size, max_pixels=max_pixels)


def load_mask(path: Path, *, expected_size: tuple[int, int], max_pixels: int = MAX_PIXELS) -> NDArray[np.bool_]:
    """Decode a painted mask as HW, True where the object is: the rule is told in `resources.datasets.painted_masks`.

    Arguments and errors as in `load_image`; and `ImageProblem` where the rule would be a guess.
    """
    return _decoded(path, painted, expected_size=expected_size, max_pixels=max_pixels)


def inspect_image(
    path: Path, *, expected_size: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> ImageHeader:
    """Check an image by its header alone, without decoding pixels.

    Raises:
        ImageProblem: Missing, empty, unreadable header, oversized, mis-sized, or in an unusable mode.
    """
    with _opened(path) as image:
        _check_promise(image, described(image), path, max_pixels=max_pixels)
        return _header(image, path, expected_size=expected_size)


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


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        file = open_file(path)
    except Refused as problem:
        raise ImageProblem(str(problem)) from problem
    with file, _identified(file, path) as image:
        yield image


def _identified(file: BinaryIO, path: Path) -> Image.Image:
    start = file.read(HEAD)
    file.seek(0)
    if not start:
        raise ImageProblem(f"{path.name} has 0 bytes; copy it again")
    boxes = boxed_kind(start)
    if boxes == "sequence":
        raise ImageProblem(f"{path.name} is a sequence of images{WHICH}")
    if boxes == "HEIF":
        let_pillow_read_heif()
    formats = [name for name in FORMATS if (name == boxes if boxes else name not in BOXED)]
    with _explained(path, "can not be opened"):
        try:
            return Image.open(file, formats=formats)
        except UnidentifiedImageError as problem:
            kind = boxes or next((kind for first, kind in SIGNATURES.items() if start.startswith(first)), None)
            if kind is None:
                file.seek(0)
                other = mistaken_for(file.read(HEAD))
                raise ImageProblem(
                    f"{path.name} is no image of a known format ({', '.join(FORMATS)})"
                    + (f" but {other}" if other else "")
                ) from problem
            raise ImageProblem(
                f"{path.name} begins as a {kind} image but is damaged or of a rare kind; save it as an 8-bit PNG"
            ) from problem


@contextmanager
def _explained(path: Path, what: str, advice: str = "") -> Iterator[None]:
    """Turn what Pillow raises into a reason. Nothing but calls of Pillow belongs into the block."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise ImageProblem(f"{path.name} is far too large ({problem}); shrink it") from problem
    except Refused:
        raise
    except Exception as problem:  # its decoders trip over damage in every way that Python knows
        raise ImageProblem(f"{path.name} {what} ({_say(problem)}){advice}") from problem


def _check_promise(image: Image.Image, samples: Samples, path: Path, *, max_pixels: int) -> None:
    """Refuse by the header what is not to be decoded."""
    if not image.width * image.height:
        raise ImageProblem(f"{path.name} is {image.width} x {image.height} pixels: it holds no pixel; copy it again")
    if image.width * image.height > max_pixels:
        found = f"{image.width:,} x {image.height:,}"
        raise ImageProblem(f"{path.name} has {found} pixels, more than {max_pixels:,}; shrink it")
    if problem := mode_problem(image, samples):
        raise ImageProblem(f"{path.name} {problem}")
    if _has_rivals(image):
        raise ImageProblem(f"{path.name} is an animation or has several pages{WHICH}")


def _header(image: Image.Image, path: Path, *, expected_size: tuple[int, int] | None) -> ImageHeader:
    orientation = _orientation(image)
    size = _upright_size(image, orientation)
    if expected_size is not None and size != tuple(expected_size):
        before = size == tuple(reversed(expected_size)) and orientation in SWAPPING
        raise ImageProblem(
            f"{path.name} is {size[0]} x {size[1]} pixels, the manifest says {expected_size[0]} x {expected_size[1]}"
            + (", its size before its EXIF rotation" if before else "")
        )
    return ImageHeader(
        width=size[0], height=size[1], mode=image.mode, format=image.format or "", orientation=orientation
    )


def _orientation(image: Image.Image) -> int:
    undo_no_orientation_twice(image)
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
        return int(value) if value in UPRIGHT else 1
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """(width, height) of the upright image; Pillow has turned those of a TIFF already, if its own tag asks for it."""
    turned = getattr(image, "tag_v2", {}).get(ORIENTATION_TAG) in SWAPPING
    return (image.height, image.width) if orientation in SWAPPING and not turned else image.size


def _has_rivals(image: Image.Image) -> bool:
    """Whether the file holds further images of equal standing: frames or pages, not previews or smaller copies."""
    if image.format in ("MPO", "HEIF"):
        return False  # the format says that the first is the photo, or which one is
    try:
        if not getattr(image, "is_animated", False):
            return False
        if not isinstance(image, TiffImagePlugin.TiffImageFile):
            return True
        return _has_further_pages(image)
    except Exception:  # a damaged second frame is none
        return False


def _has_further_pages(image: TiffImagePlugin.TiffImageFile) -> bool:
    try:
        for page in range(1, image.n_frames):
            image.seek(page)
            if not int(image.tag_v2.get(_SUBFILE_TAG, 0)) & REDUCED_OR_MASK:
                return True
    finally:
        image.seek(0)
    return False


def _decoded(
    path: Path,
    read: Callable[[Image.Image, Samples], NDArray[T]],
    *,
    expected_size: tuple[int, int] | None,
    max_pixels: int,
) -> NDArray[T]:
    """What `read` makes of the upright image."""
    with _opened(path) as image:
        samples = described(image)
        _check_promise(image, samples, path, max_pixels=max_pixels)
        if image.format == "PNG":  # its orientation may stand behind its pixels: asking for it decodes them
            _load_png(image, path)
        header = _header(image, path, expected_size=expected_size)
        with _explained(path, *DAMAGED):
            image.load()
            upright = _upright(image, header.orientation)
        try:
            return read(upright, samples)
        except Refused as problem:
            raise ImageProblem(f"{path.name} {problem}") from problem


def _load_png(image: Image.Image, path: Path) -> None:
    file: IO[bytes] | None = getattr(image, "fp", None)
    with _explained(path, *DAMAGED):
        image.load()
    if file is not None and not _sums_are_right(file):
        raise ImageProblem(f"{path.name} {DAMAGED[0]} (a checksum in it is wrong){DAMAGED[1]}")


def _sums_are_right(png: IO[bytes]) -> bool:
    """Whether what makes the pixels of a PNG is as it was written, which its decoder does not ask."""
    png.seek(len(_PNG))
    while len(head := png.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        content, written = png.read(length), png.read(4)
        if kind in _PIXELS and len(written) == 4 and zlib.crc32(kind + content) != int.from_bytes(written):
            return False
    return True


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turned as EXIF says; Pillow turns a TIFF while it decodes."""
    if orientation not in UPRIGHT or isinstance(image, TiffImagePlugin.TiffImageFile):
        return image
    return image.transpose(UPRIGHT[orientation])


def _say(problem: Exception) -> str:
    """The problem without the absolute path that the operating system adds: reasons must not depend on the machine."""
    strerror = problem.strerror if isinstance(problem, OSError) else None
    return strerror or str(problem) or type(problem).__name__
