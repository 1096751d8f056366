"""Pictures for people: masks over photographs, panels side by side as a small PNG.

For previews, galleries and the report; no number of the method comes from here. Pictures are HWC uint8 RGB arrays.
Shapes: N masks, H x W pixels.
"""

import base64
import io
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Panel = tuple[str, Picture]
"""A title and the picture under it."""

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

_GAP = 4
_INK = (25, 25, 30)
_PAPER = (255, 255, 255)


def overlay(
    image_HW3: Picture,
    masks_NHW: NDArray[np.bool_],
    *,
    labels: Sequence[str] = (),
    colours: Sequence[tuple[int, int, int]] = PALETTE,
    opacity: float = 0.5,
) -> Picture:
    """Tint each mask in its own colour, outline it in that and in white, and write its label in its middle.

    Args:
        image_HW3: the picture; it is not changed.
        masks_NHW: bool, at the picture's resolution; later masks lie over earlier ones. N may be 0.
        labels: one per mask, or none; `indices(N)` makes 0, 1, 2, ...
        colours: taken in turn.
        opacity: of the tint, 0 to 1.

    Raises:
        ValueError: if a size or the number of labels does not fit.
    """
    masks_NHW = np.asarray(masks_NHW, dtype=bool)
    if len(masks_NHW) and masks_NHW.shape[1:] != image_HW3.shape[:2]:
        raise ValueError(f"masks {masks_NHW.shape} do not lie on a picture {image_HW3.shape}: resize one of them first")
    if labels and len(labels) != len(masks_NHW):
        raise ValueError(f"{len(labels)} labels for {len(masks_NHW)} masks: one each, or none")
    drawn_HW3 = image_HW3.astype(np.float32)
    for index, mask_HW in enumerate(masks_NHW):
        colour_3 = np.array(colours[index % len(colours)], dtype=np.float32)
        drawn_HW3[mask_HW] += opacity * (colour_3 - drawn_HW3[mask_HW])
        drawn_HW3[_outline(mask_HW)] = colour_3
        drawn_HW3[_outline(~mask_HW)] = _PAPER  # seen on an object of the same colour, too
    canvas = Image.fromarray(drawn_HW3.round().astype(np.uint8))
    for index, label in enumerate(labels):
        _write_on(canvas, masks_NHW[index], label, colours[index % len(colours)])
    return np.array(canvas)


def heat(image_HW3: Picture, strength_HW: NDArray[np.floating[Any]], *, opacity: float = 0.6) -> Picture:
    """The picture in grey under a scale of colours: 0 is blue, one half green, 1 red.

    Args:
        image_HW3: the picture; it is not changed.
        strength_HW: at the picture's resolution; what is below 0 or above 1 counts as that.
        opacity: of the colours, 0 to 1.

    Raises:
        ValueError: if a size does not fit.
    """
    if strength_HW.shape != image_HW3.shape[:2]:
        raise ValueError(f"{strength_HW.shape} strengths do not lie on a picture {image_HW3.shape}: resize them first")
    grey_HW1 = image_HW3.mean(-1, keepdims=True)
    colour_HW3 = 255 * colormaps["turbo"](0.1 + 0.8 * np.clip(strength_HW, 0, 1))[..., :3]  # its ends are nearly black
    return ((1 - opacity) * grey_HW1 + opacity * colour_HW3).round().astype(np.uint8)


def indices(count: int) -> tuple[str, ...]:
    """Labels "0", "1", ... as candidate tables number them."""
    return tuple(map(str, range(count)))


def _outline(mask_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rim of the mask, about 1/120 of the picture thick; the picture's own edge makes no rim."""
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


def side_by_side(panels: Sequence[Panel], *, height: int = 200, caption: str = "") -> Picture:
    """Panels in a row, scaled to one height, each under its title, with a caption below: (h, w, 3).

    Raises:
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError("no panel to draw: pass at least one (title, picture)")
    pictures = [_scaled(picture, height) for _, picture in panels]
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) + 1)
    title_font, text_font = _font(12), _font(13)
    lines = _wrapped(caption, text_font, width - 2 * _GAP)
    canvas = Image.new("RGB", (width, 18 + height + _GAP + 18 * len(lines)), _PAPER)
    draw, x = ImageDraw.Draw(canvas), _GAP
    for (title, _), picture in zip(panels, pictures, strict=True):
        draw.text((x, 2), _cut(title, title_font, picture.width), fill=_INK, font=title_font)
        canvas.paste(picture, (x, 18))
        x += picture.width + _GAP
    for number, line in enumerate(lines):
        draw.text((_GAP, 18 + height + 2 + 18 * number), line, fill=_INK, font=text_font)
    return np.array(canvas)


def _scaled(picture_HW3: Picture, height: int) -> Image.Image:
    picture = Image.fromarray(picture_HW3)
    return picture.resize((max(1, round(picture.width * height / picture.height)), height), Image.Resampling.BILINEAR)


def scaled(picture_HW3: Picture, height: int) -> Picture:
    """The picture at another height, with its proportions."""
    return np.array(_scaled(picture_HW3, height))


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or its longest beginning that fits with dots behind it."""
    if font.getlength(text) <= width:
        return text
    lengths = range(1, len(text))
    fits = bisect_right(lengths, float(width), key=lambda length: float(font.getlength(text[:length] + "...")))
    return text[:fits] + "..."


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, *, most: int = 3) -> list[str]:
    """Words in lines that fit; what does not fit into `most` lines is cut off with dots."""
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


def stacked(rows: Sequence[Picture]) -> Picture:
    """Pictures of different widths under each other on white.

    Raises:
        ValueError: if there is none.
    """
    if not rows:
        raise ValueError("no picture to stack")
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [np.pad(row, ((0, _GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    )


def png_bytes(image: Picture | NDArray[np.bool_], *, colours: int | None = None) -> bytes:
    """A picture as PNG, or a mask, white on black in one bit a pixel.

    With `colours`, a picture goes through a palette of that many, which is several times smaller.
    """
    picture = Image.fromarray(image)
    if colours is not None:
        picture = picture.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def preview_png(panels: Sequence[Panel], *, caption: str = "", max_bytes: int = PREVIEW_BYTES) -> bytes:
    """`side_by_side` as the tallest PNG of at most `max_bytes`; the writing keeps its size.

    Raises:
        ValueError: if even the smallest one is larger: pass fewer panels.
    """
    for height in (240, 200, 160, 128, 104, 84, 64, 48, 32):
        picture_HW3 = side_by_side(panels, height=height, caption=caption)
        for colours in (192, 96):
            png = png_bytes(picture_HW3, colours=colours)
            if len(png) <= max_bytes:
                return png
    raise ValueError(f"{len(panels)} panels do not fit into {max_bytes} bytes: pass fewer")


def data_uri(png: bytes) -> str:
    """The PNG as a `data:` address for Markdown and HTML."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
