"""From what a decoder gives to 8-bit sRGB: bit depth, colour profile and transparency, each decided in this one place.

What counts is what the decoder says of the samples (how many bits, which sample is clear, which profile), never the
file's name, and a mode alone never decides. Eight-bit images without profile or transparency pass through untouched.

Shapes: H x W pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ops.refusal import Refused
from resources.datasets.heif import hdr_curve

SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
OPAQUE_MODES = frozenset({"RGB", "RGBX", "L", "1", "P", "CMYK", "YCbCr", "LAB"})
CLEAR_MODES = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP", "HEIF", "AVIF"})
DARKEST = 0.25
"""An image of more than 8 bits whose brightest sample is below this share of white has unused bits on top."""
SRGB_TOLERANCE = 3
"""Grey levels of 255; a profile that moves no colour further than this is sRGB, of which there are many spellings."""

_BITS, _PHOTOMETRIC, _PLANAR, _FORMAT = 258, 262, 284, 339
_SIGNED = 2
_UNPACKED = {";16": 16, "L;2": 2, "L;4": 4}
_MODE_OF_SPACE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of an ICC profile -> mode of an image that it fits."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """How the samples of an image lie in its file, as the decoder says before it decodes."""

    bits: int = 8
    """Bits of one sample."""
    inverted: bool = False
    """0 is white, and the decoder leaves it so."""
    signed: bool = False
    """Samples may be below 0, which the decoder does not know."""
    apart: bool = False
    """Each colour in a plane of its own."""
    clear: Any = None
    """The one colour that is transparent, in the file's own numbers; or what a palette says."""
    profile: bytes | None = None
    """ICC profile."""
    lossy: bool = False
    """The file does not keep every pixel exactly."""


def described(image: Image.Image) -> Samples:
    """What the decoder of an open image says, before any pixel is decoded."""
    tags: Any = getattr(image, "tag_v2", {})
    profile = image.info.get("icc_profile")
    return Samples(
        bits=max(tags[_BITS]) if _BITS in tags else _bits(image),
        inverted=image.mode in SIXTEEN_BIT_MODES and tags.get(_PHOTOMETRIC) == 0,
        signed=image.mode == "L" and _SIGNED in tags.get(_FORMAT, ()),
        apart=tags.get(_PLANAR) == 2,
        clear=image.info.get("transparency"),
        profile=profile if isinstance(profile, bytes) else None,
        lossy=image.format in LOSSY_FORMATS or image.info.get("compression") == "jpeg",
    )


def _bits(image: Image.Image) -> int:
    """By the name of what unpacks the samples, such as I;16B, RGB;16N or L;2."""
    if image.mode == "I" or image.format == "HEIF":
        return 16 if image.mode in SIXTEEN_BIT_MODES | {"I"} else 8  # scaled so that 65535 is what the file calls white
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else None
    raw = str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)
    return next((bits for name, bits in _UNPACKED.items() if name in raw), 8)


def mode_problem(image: Image.Image, samples: Samples) -> str | None:
    """Why the samples can not be read, or None."""
    if image.mode in SIXTEEN_BIT_MODES or (image.mode == "I" and image.format == "PPM"):
        return None
    if image.mode == "P" and image.palette is None:
        return "has no palette; save it as 8-bit RGB or grey"
    if curve := hdr_curve(image):
        return f"has the brightness of HDR ({curve}); save it as 8-bit RGB"
    if samples.signed:
        return "has samples below 0; save it as 8-bit RGB or grey"
    if image.mode not in OPAQUE_MODES | CLEAR_MODES:
        return f"has the mode {image.mode}; save it as 8-bit RGB or grey"
    if samples.bits > 8 and samples.apart:
        return f"has {samples.bits} bits for each colour, in planes; save it as 8-bit RGB"
    if samples.bits > 8 and samples.clear is not None:
        return f"has {samples.bits} bits for each colour and a transparent colour; save it as 8-bit RGBA"
    return None


def numbers(image: Image.Image, samples: Samples) -> NDArray[np.int64]:
    """The samples of a grey image of more than 8 bits as they are meant, HW: 0 is black."""
    values_HW = np.asarray(image).astype(np.int64)
    return 2**samples.bits - 1 - values_HW if samples.inverted else values_HW


def to_rgb(image: Image.Image, samples: Samples) -> NDArray[np.uint8]:
    """HW3 sRGB of a decoded image; what is transparent is laid over white.

    Raises:
        Refused: it has more than 8 bits and uses so few of them that it would be all but black.
    """
    alpha = alpha_of(image, samples)
    opaque = _in_srgb(_eight_bits(image, samples), samples.profile)
    if alpha is None:
        return np.array(opaque)
    opaque.putalpha(alpha)
    white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(white, opaque).convert("RGB"))


def _eight_bits(image: Image.Image, samples: Samples) -> Image.Image:
    """The colours alone, as L, RGB, CMYK or LAB."""
    if image.mode in SIXTEEN_BIT_MODES or image.mode == "I":
        values_HW = numbers(image, samples)
        white = 2**samples.bits - 1
        _require_light(float(values_HW.max()) / white, samples.bits)
        return Image.fromarray(np.round(values_HW / (white / 255)).astype(np.uint8))
    if image.mode in ("LA", "La"):
        return image.convert("LA").getchannel("L")
    colours = image if image.mode in ("L", "CMYK", "LAB") else image.convert("RGB")
    if samples.bits > 8:
        _require_light(float(np.asarray(colours).max()) / 255, samples.bits)
    return colours


def _require_light(brightest: float, bits: int) -> None:
    if 0 < brightest < DARKEST:
        raise Refused(
            f"has {bits} bits a sample and its brightest one is {100 * brightest:.1f} % of white, as when 12 bits are "
            "kept in 16: scale its values to the whole range, or save it with 8 bits"
        )


def alpha_of(image: Image.Image, samples: Samples) -> Image.Image | None:
    """How opaque each pixel is, as L; None: all of them."""
    if image.mode in CLEAR_MODES or (image.mode == "P" and image.has_transparency_data):
        straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
        return straight.convert("RGBA").getchannel("A")
    if isinstance(samples.clear, int) or (isinstance(samples.clear, tuple) and len(samples.clear) == 3):
        stretch = 255 // (2**samples.bits - 1) if samples.bits < 8 else 1  # the decoder stretched the pixels alone
        clear = np.atleast_1d(np.asarray(samples.clear)) * stretch
        pixels = np.asarray(image if image.mode != "1" else image.convert("L"))
        opaque_HW = (pixels.reshape(*pixels.shape[:2], -1) != clear).any(2)
        return Image.fromarray(np.where(opaque_HW, np.uint8(255), np.uint8(0)))
    return None


def _in_srgb(colours: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, by the profile where it fits the image and can be read."""
    transform = _transform(profile, colours.mode) if profile or colours.mode == "LAB" else None
    if transform is None:
        return colours.convert("RGB")
    converted = ImageCms.applyTransform(colours, transform)
    return converted if converted is not None else colours.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """To sRGB, relative colorimetric with black point compensation; None: there is nothing to do, or no way."""
    try:
        source = ImageCms.ImageCmsProfile(
            ImageCms.createProfile("LAB") if mode == "LAB" else io.BytesIO(profile or b"")
        )
        if mode != "LAB" and _MODE_OF_SPACE.get(source.profile.xcolor_space) != mode:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None  # a damaged profile says nothing about the pixels
    return None if _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours stay as they are, tried on greys and on a coarse cube of colours."""
    if mode not in ("RGB", "L"):
        return False
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube_N3 = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    tried = Image.fromarray(cube_N3[None] if mode == "RGB" else levels[None])
    after = np.asarray(ImageCms.applyTransform(tried, transform)).astype(int)
    return bool(np.abs(after - np.asarray(tried.convert("RGB"))).max() <= SRGB_TOLERANCE)
