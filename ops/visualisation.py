"""Visualisation: masks overlaid on images, heat maps, panels side by side as a small PNG.

For previews, galleries and reports; no result depends on it. Images are HWC uint8 RGB arrays.
Shapes: N masks, H x W pixels.
"""

import base64
import io
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

RgbImage = NDArray[np.uint8]
Panel = tuple[str, RgbImage]
"""A title and the image under it."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 57, 70),
    (29, 120, 220),
    (42, 157, 84),
    (255, 183, 3),
    (155, 81, 224),
    (0, 180, 190),
    (240, 113, 33),
    (224, 86, 160),
    (130, 170, 20),
    (120, 85, 60),
)
"""Colours told apart at a glance, repeated from the eleventh mask on."""

PREVIEW_BYTES = 30_000
"""Upper limit of a preview in run metadata."""

QUALITY = 88
"""Of a JPEG, of 100."""
_CERTAIN = 0.4
"""The best palette takes more than this share of the bytes that a quick one takes: 0.5 to 0.9 of them."""
_GAP = 4
WIDEST = 8
"""Widths above that many heights are squeezed: a strip of 2000 x 1 pixels would fill 400 MB of a page."""
_INK = (25, 25, 30)
_PAPER = (255, 255, 255)


def overlay(
    image_HW3: RgbImage,
    masks_NHW: NDArray[np.bool_],
    *,
    labels: Sequence[str] = (),
    colours: Sequence[tuple[int, int, int]] = PALETTE,
    opacity: float = 0.5,
) -> RgbImage:
    """Overlay of masks (H, W, 3): each tinted and outlined in its own colour, with a white rim and its label inside.

    Args:
        image_HW3: it is not changed.
        masks_NHW: bool, at the image's resolution; later masks lie over earlier ones. N may be 0.
        labels: one per mask, or none; `index_labels(N)` gives 0, 1, 2, ...
        colours: taken in turn.
        opacity: of the tint, 0 to 1.

    Raises:
        ValueError: if a size or the number of labels does not fit.
    """
    masks_NHW = np.asarray(masks_NHW, dtype=bool)
    if len(masks_NHW) and masks_NHW.shape[1:] != image_HW3.shape[:2]:
        raise ValueError(f"masks {masks_NHW.shape} do not lie on an image {image_HW3.shape}: resize one of them first")
    if labels and len(labels) != len(masks_NHW):
        raise ValueError(f"{len(labels)} labels for {len(masks_NHW)} masks: one each, or none")
    tinted_HW3 = image_HW3.astype(np.float32)
    for index, mask_HW in enumerate(masks_NHW):
        colour_3 = np.array(colours[index % len(colours)], dtype=np.float32)
        tinted_HW3[mask_HW] += opacity * (colour_3 - tinted_HW3[mask_HW])
        tinted_HW3[_outline(mask_HW)] = colour_3
        tinted_HW3[_outline(~mask_HW)] = _PAPER  # visible on an object of the same colour, too
    canvas = Image.fromarray(tinted_HW3.round().astype(np.uint8))
    for index, label in enumerate(labels):
        _write_on(canvas, masks_NHW[index], label, colours[index % len(colours)])
    return np.array(canvas)


def heat_map(image_HW3: RgbImage, values_HW: NDArray[np.floating[Any]], *, opacity: float = 0.6) -> RgbImage:
    """Heat map over a grey image (H, W, 3): 0 is blue, 0.5 green, 1 red.

    Args:
        image_HW3: it is not changed.
        values_HW: at the image's resolution; clipped to [0, 1].
        opacity: of the colours, 0 to 1.

    Raises:
        ValueError: if a size does not fit.
    """
    if values_HW.shape != image_HW3.shape[:2]:
        raise ValueError(f"{values_HW.shape} values do not lie on an image {image_HW3.shape}: resize them first")
    grey_HW1 = image_HW3.mean(-1, keepdims=True)
    colour_HW3 = 255 * colormaps["turbo"](0.1 + 0.8 * np.clip(values_HW, 0, 1))[..., :3]  # its ends are nearly black
    return ((1 - opacity) * grey_HW1 + opacity * colour_HW3).round().astype(np.uint8)


def index_labels(count: int) -> tuple[str, ...]:
    """Labels "0", "1", ...: the indices of candidates in their table."""
    return tuple(map(str, range(count)))


def _outline(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Inner boundary of a mask, about 1/120 of the image's height thick; the image's own border is none."""
    inner_HW = mask_HW
    for _ in range(max(1, mask_HW.shape[0] // 120)):
        padded = np.pad(inner_HW, 1, mode="edge")
        inner_HW = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & inner_HW
    return np.asarray(mask_HW & ~inner_HW)


def _write_on(canvas: Image.Image, mask_HW: NDArray[np.bool_], label: str, colour: tuple[int, int, int]) -> None:
    """Write a label in a dark box on the mask's pixel nearest to its centre."""
    points_P2 = np.argwhere(mask_HW)
    if not len(points_P2):
        return
    y, x = points_P2[np.abs(points_P2 - points_P2.mean(0)).sum(1).argmin()].tolist()
    draw, font = ImageDraw.Draw(canvas), _font(max(10, canvas.height // 11))
    left, top, right, bottom = draw.textbbox((x, y), label, font=font, anchor="mm")
    x += max(2 - left, 0) + min(canvas.width - 3 - right, 0)
    y += max(2 - top, 0) + min(canvas.height - 3 - bottom, 0)
    left, top, right, bottom = draw.textbbox((x, y), label, font=font, anchor="mm")
    draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=_INK, outline=colour)
    draw.text((x, y), label, fill=_PAPER, font=font, anchor="mm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def side_by_side(panels: Sequence[Panel], *, height: int = 200, caption: str = "") -> RgbImage:
    """Panels in a row (h, w, 3), scaled to one height, each below its title, with a caption at the bottom.

    Raises:
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError("no panel: pass at least one (title, image)")
    images = [_scaled(image, height) for _, image in panels]
    width = sum(image.width for image in images) + _GAP * (len(images) + 1)
    title_font, text_font = _font(12), _font(13)
    lines = _wrapped(caption, text_font, width - 2 * _GAP)
    canvas = Image.new("RGB", (width, 18 + height + _GAP + 18 * len(lines)), _PAPER)
    draw, x = ImageDraw.Draw(canvas), _GAP
    for (title, _), image in zip(panels, images, strict=True):
        draw.text((x, 2), _cut(title, title_font, image.width), fill=_INK, font=title_font)
        canvas.paste(image, (x, 18))
        x += image.width + _GAP
    for number, line in enumerate(lines):
        draw.text((_GAP, 18 + height + 2 + 18 * number), line, fill=_INK, font=text_font)
    return np.array(canvas)


def _scaled(image_HW3: RgbImage, height: int) -> Image.Image:
    image = Image.fromarray(image_HW3)
    width = min(max(1, round(image.width * height / image.height)), WIDEST * height)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def scaled(image_HW3: RgbImage, height: int) -> RgbImage:
    """The image at another height, with its proportions; strips are shown at most `WIDEST` heights wide."""
    return np.array(_scaled(image_HW3, height))


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or its longest prefix that fits with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    lengths = range(1, len(text))
    fits = bisect_right(lengths, float(width), key=lambda length: float(font.getlength(text[:length] + "...")))
    return text[:fits] + "..."


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, *, most: int = 3) -> list[str]:
    """Lines of words that fit into a width; what exceeds `most` lines is replaced by an ellipsis."""
    lines: list[str] = []
    words = text[:1000].split()
    while words:
        taken = 1
        while taken < len(words) and font.getlength(" ".join(words[: taken + 1])) <= width:
            taken += 1
        if len(lines) == most - 1:
            taken = len(words)
        lines.append(_cut(" ".join(words[:taken]), font, width))
        words = words[taken:]
    return lines


def stacked(rows: Sequence[RgbImage]) -> RgbImage:
    """Images of different widths below each other on white.

    Raises:
        ValueError: if there is none.
    """
    if not rows:
        raise ValueError("no image to stack")
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    )


def png_bytes(image: RgbImage | NDArray[np.bool_], *, colours: int | None = None) -> bytes:
    """An image as PNG, or a mask, white on black in one bit a pixel.

    With `colours`, an image is quantised to a palette of that many, which is several times smaller.
    """
    pil_image = Image.fromarray(image)
    if colours is not None:
        pil_image = pil_image.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    pil_image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def preview_png(panels: Sequence[Panel], *, caption: str = "", max_bytes: int = PREVIEW_BYTES) -> bytes:
    """`side_by_side` as the tallest PNG of at most `max_bytes`; the text keeps its size.

    Raises:
        ValueError: if even the smallest one is larger: pass fewer panels.
    """
    for height in (240, 200, 160, 128, 104, 84, 64, 48, 32):
        image_HW3 = side_by_side(panels, height=height, caption=caption)
        if _CERTAIN * _quick_size(image_HW3) > max_bytes:
            continue
        small = png_bytes(image_HW3, colours=96)
        if len(small) <= max_bytes:
            large = png_bytes(image_HW3, colours=192)
            return large if len(large) <= max_bytes else small
    raise ValueError(f"{len(panels)} panels do not fit into {max_bytes} bytes: pass fewer")


def _quick_size(image_HW3: RgbImage) -> int:
    """Bytes of the PNG with a palette that is found at once and fits worse."""
    pil_image, buffer = Image.fromarray(image_HW3), io.BytesIO()
    pil_image.quantize(96, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "PNG")
    return buffer.tell()


def jpeg_bytes(image: RgbImage) -> bytes:
    """An image as JPEG, whose colours keep their resolution, since outlines of masks are thin."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def data_uri(picture: bytes, *, kind: Literal["png", "jpeg"] = "png") -> str:
    """A PNG or a JPEG as a `data:` address for Markdown and HTML."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
